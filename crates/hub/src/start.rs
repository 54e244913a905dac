//! Starting and stopping: journal, state, tree, threads, doors; and the same backwards.

use crate::archive::Reports;
use crate::behind::{Behind, make_snapshot, make_snapshots};
use crate::ca::Authority;
use crate::clock::Clock;
use crate::config::{Config, JournalKeys};
use crate::core::{Condition, Core, WAITING_MAX};
use crate::directory::Directory;
use crate::error::Error;
use crate::fair::{Queue, Turnstile};
use crate::figures::{Figures, SNAPSHOTS_PASSED_OVER};
use crate::gate::{Gate, Pass};
use crate::joining::Joining;
use crate::sequencer::Sequencer;
use crate::serve::Server;
use crate::snapshots::{Snapshots, replay};
use crate::space::free_bytes;
use crate::strangers::{Nonces, Strangers};
use crate::streams::Streams;
use crate::tls::Presented;
use crate::tree::Log;
use account::{Checkpoint, SignedCheckpoint, Signer};
use alliance::{Alliance, Setup};
use journal::{FileJournal, Journal, Options, read_checkpoint};
use model::Timestamp;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// Turns that may wait to be published before the sequencer waits.
const BEHIND_MAX: usize = 64;
/// Entries of the journal that the index of objects takes in before the doors open.
const CAUGHT_UP_AT_START: u64 = 20_000;
/// Fewest workers: some wait for the sequencer while others verify.
const WORKERS_MIN: usize = 4;

/// The hub.
#[derive(Debug)]
pub struct Hub;

/// A hub that runs in this process. Dropping it stops it as a crash would: nothing acknowledged is lost, but the last
/// snapshot is not made; [`Running::shutdown`] is the orderly way.
pub struct Running {
    core: Arc<Core>,
    address: SocketAddr,
    certificate_pem: String,
    stop: watch::Sender<bool>,
    server: Option<tokio::task::JoinHandle<()>>,
    renewal: tokio::task::AbortHandle,
    threads: Vec<JoinHandle<()>>,
    snapshots: Arc<Snapshots>,
}

impl Hub {
    /// Starts a hub: opens its directory, brings the state up to the journal's head, opens its doors.
    ///
    /// With too little room on the disk, or a journal that cannot be opened for appending, it serves reads only.
    ///
    /// # Errors
    /// Refused: configuration or directory. Unavailable: the address is taken, another process has the journal.
    /// Broken: the journal is damaged, or does not lead to the checkpoint that was signed over it.
    pub async fn start(config: Config) -> Result<Running, Error> {
        Self::start_over(config, |journal| journal).await
    }

    /// As [`Hub::start`], with something between the hub and its journal: tests let writes fail there.
    ///
    /// # Errors
    /// As [`Hub::start`].
    #[doc(hidden)]
    pub async fn start_over(
        config: Config,
        between: impl FnOnce(Arc<dyn Journal>) -> Arc<dyn Journal> + Send + 'static,
    ) -> Result<Running, Error> {
        let address = config.listen.address;
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener = listener.map_err(|error| Error::unavailable(format_args!("listening on {address}"), error))?;
        let address = listener.local_addr().map_err(|error| Error::unavailable("the listener's address", error))?;
        let opened = tokio::task::spawn_blocking(move || Opened::open(config, between)).await;
        let Opened { core, snapshots, presented } = opened.map_err(|error| Error::Broken(error.to_string()))??;
        let threads = start_threads(&core, &snapshots)?;
        let (stop, stopped) = watch::channel(false);
        let server = Server {
            listener,
            tls: TlsAcceptor::from(Arc::clone(&presented.config)),
            app: crate::routes::router(&core),
            core: Arc::clone(&core),
        };
        let certificate_pem = presented.anchors.pem.clone();
        let renewal = tokio::spawn(presented.renew(Arc::downgrade(&core))).abort_handle();
        let server = Some(tokio::spawn(server.run(stopped)));
        tracing::info!(%address, alliance = core.directory.identity().alliance, "the hub is listening");
        Ok(Running { core, address, certificate_pem, stop, server, renewal, threads, snapshots })
    }
}

impl Running {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://` and the address.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificates that the hub's own leads to, as PEM: what clients pin.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Which hub it is.
    pub fn directory(&self) -> &Directory {
        &self.core.directory
    }

    /// How it is now.
    pub fn condition(&self) -> Condition {
        self.core.condition.borrow().clone()
    }

    /// Waits until the hub is broken, and gives the reason. A program then ends with it.
    pub async fn broken(&self) -> String {
        let mut watched = self.core.condition.subscribe();
        let broken = watched.wait_for(|condition| matches!(condition, Condition::Broken(_))).await;
        match broken.as_deref() {
            Ok(Condition::Broken(reason)) => reason.clone(),
            _ => "the hub is gone".to_owned(),
        }
    }

    /// How often the sequencer has looked after itself, once a tick: while this grows, the hub is alive.
    pub fn ticks(&self) -> u64 {
        self.core.ticks.load(Ordering::Relaxed)
    }

    /// Takes no more connections and lets streams end; requests on open connections are still answered.
    pub fn stop_accepting(&self) {
        self.core.streams.close();
        let _ = self.stop.send(true);
    }

    /// The figures as they are counted, without the gauges that are read from the state: never waits for a turn.
    #[doc(hidden)]
    pub fn figures(&self) -> String {
        self.core.figures.render()
    }

    /// The state's snapshot as bytes, for comparing two hubs: shards by name.
    #[doc(hidden)]
    pub fn state_bytes(&self) -> Vec<(String, Vec<u8>)> {
        let shards = self.core.read(Alliance::snapshot).unwrap_or_default();
        shards.into_iter().map(|shard| (shard.name, shard.bytes)).collect()
    }

    /// Says something to a member's agents that stands in no journal, as a hostile hub could. For the demo and for
    /// tests, which show that agents do not believe it.
    pub fn whisper(&self, member: &model::MemberId, message: &model::StreamMessage) {
        self.core.streams.whisper(member, message);
    }

    /// Makes a snapshot now; gives its position.
    ///
    /// # Errors
    /// Unavailable: it could not be written. Broken: the hub is.
    pub async fn snapshot(&self) -> Result<u64, Error> {
        let (core, snapshots) = (Arc::clone(&self.core), Arc::clone(&self.snapshots));
        let made = tokio::task::spawn_blocking(move || make_snapshot(&core, &snapshots)).await;
        made.map_err(|error| Error::Broken(error.to_string()))?
    }

    /// Stops in good order: no new connections, streams end with a word, open requests are answered, what waits is
    /// ordered and written, a last checkpoint and a snapshot are made.
    ///
    /// # Errors
    /// Broken: the hub was broken before. Unavailable: no snapshot was made; the next start takes longer.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.stop_accepting();
        if let Some(server) = self.server.take() {
            let _ = server.await;
        }
        let threads = std::mem::take(&mut self.threads);
        let (core, snapshots) = (Arc::clone(&self.core), Arc::clone(&self.snapshots));
        let ended = tokio::task::spawn_blocking(move || {
            // What waits goes first.
            core.queue.end();
            for thread in threads {
                let _ = thread.join();
            }
            match &*core.condition.borrow() {
                Condition::Broken(reason) => return Err(Error::Broken(reason.clone())),
                Condition::ReadOnly(_) => return Ok(()),
                Condition::Serving => {}
            }
            make_snapshot(&core, &snapshots).map(|_| ())
        });
        ended.await.map_err(|error| Error::Broken(error.to_string()))?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop_accepting();
        self.renewal.abort();
        self.core.queue.end();
    }
}

/// Everything but threads and doors.
struct Opened {
    core: Arc<Core>,
    snapshots: Arc<Snapshots>,
    presented: Presented,
}

impl Opened {
    fn open(config: Config, between: impl FnOnce(Arc<dyn Journal>) -> Arc<dyn Journal>) -> Result<Self, Error> {
        let directory = Directory::open(&config.data)?;
        crate::restored::refuse_marked(&directory, &config.data)?;
        let secrets = directory.secrets()?;
        let signer = Signer::new(&directory.identity().alliance, &secrets.checkpoint)
            .map_err(|error| Error::refused(error, "a name that can sign"))?;
        let signed = signed_checkpoint(&directory, &signer)?;
        let (file, condition) = open_journal(&directory, &config.journal, signed.as_ref())?;
        let kept = file.report().head;
        tracing::info!(entries = kept, ?condition, "the journal is open");
        let writable = !matches!(&condition, Condition::ReadOnly(why) if why.starts_with(NOT_OPENED));
        let journal = between(file.clone());
        let snapshots = Arc::new(Snapshots::open(&directory.path("snapshots"), directory.log())?);
        let state = state(&directory, &secrets.engine, &snapshots, journal.as_ref())?;
        let tiles = directory.path("tiles");
        let log = Log::open(tiles, Arc::clone(&journal), writable.then_some(file), signer, signed.as_ref())?;
        let clock = Clock::from(state.time().unwrap_or(Timestamp::MIN));
        log.sign(clock.now())?;
        let authority = Authority::open(&directory)?;
        let presented = crate::tls::server(&directory, &config.tls, &authority, clock.now())?;
        let joining = Joining {
            authority,
            anchors: presented.anchors.clone(),
            nonces: Nonces::new()?,
            strangers: Strangers::default(),
        };
        let figures = Arc::new(Figures::new());
        figures.counter(&SNAPSHOTS_PASSED_OVER, &[]).increment(snapshots.passed_over());
        let gate = Gate::default();
        let first = Pass { first: crate::admin::first_record(&directory)?, ..Pass::default() };
        gate.publish(first.next(&state));
        let streams = Streams::new(config.stream.queue_max, config.stream.per_member_max, Arc::clone(&figures));
        let cosigned = directory.path("journal/cosigned");
        let witnesses = crate::witness::Witnesses::open(cosigned, log.can_write(), log.verifier(), &clock);
        let taxii = crate::taxii::Store::new(&directory.identity().alliance, Arc::clone(&journal));
        // A long journal is gone through while the hub serves.
        taxii.catch_up(CAUGHT_UP_AT_START, &|| false)?;
        let core = Core {
            taxii,
            search: crate::search::Search::keeping(config.search.sightings_max),
            reports: Reports::new(Arc::clone(&journal), config.journal.sightings_cached_max as usize),
            workers: Arc::new(Turnstile::new(workers(config.intake.workers), WAITING_MAX)),
            clock,
            gate,
            joining,
            figures,
            quotas: Arc::default(),
            streams: Arc::new(streams),
            journal,
            log,
            witnesses,
            state: RwLock::new(state),
            queueing: crate::core::Queueing::default(),
            saving: std::sync::Mutex::default(),
            condition: watch::channel(condition).0,
            queue: Queue::new(config.order.queue_max as usize),
            protections: crate::gauges::Counted::default(),
            stopping: AtomicBool::new(false),
            ticks: AtomicU64::new(0),
            config,
            directory,
        };
        Ok(Self { core: Arc::new(core), snapshots, presented })
    }
}

/// How a reason begins when the journal could not be opened for appending: room on the disk alone does not cure it.
const NOT_OPENED: &str = "the journal is open for reading only";

/// The checkpoint that was kept beside the journal, if it is ours.
fn signed_checkpoint(directory: &Directory, signer: &Signer) -> Result<Option<Checkpoint>, Error> {
    let Some(bytes) = read_checkpoint(&directory.path("journal"))? else { return Ok(None) };
    let broken = |error: String| Error::Broken(format!("the checkpoint beside the journal: {error}"));
    let signed = SignedCheckpoint::parse(&bytes).map_err(|error| broken(error.to_string()))?;
    let checkpoint = signed.verify(signer.verifier()).map_err(|error| broken(error.to_string()))?;
    Ok(Some(checkpoint.clone()))
}

fn open_journal(
    directory: &Directory,
    keys: &JournalKeys,
    signed: Option<&Checkpoint>,
) -> Result<(Arc<FileJournal>, Condition), Error> {
    let path = directory.path("journal");
    let mut options = Options::new(directory.log());
    options.segment_bytes = keys.segment_bytes;
    options.acknowledged = signed.map_or(0, |checkpoint| checkpoint.size);
    let free = free_bytes(&path).map_err(|error| Error::unavailable(format_args!("{}", path.display()), error))?;
    match FileJournal::open(&path, options) {
        Ok(journal) => {
            if let Some(torn) = &journal.report().torn {
                tracing::warn!(
                    ?torn,
                    "an interrupted write at the journal's end was cut off; none of it was acknowledged"
                );
            }
            let condition = match free < keys.free_bytes_min {
                true => Condition::ReadOnly(format!("{free} bytes are free on the hub's disk")),
                false => Condition::Serving,
            };
            Ok((Arc::new(journal), condition))
        }
        Err(journal::Error::Unavailable(told)) if free < keys.free_bytes_min => {
            tracing::warn!(told, "the journal cannot be written: the hub serves reads only");
            let journal = FileJournal::open_read_only(&path, Some(directory.log()), options.check)?;
            Ok((Arc::new(journal), Condition::ReadOnly(format!("{NOT_OPENED}: {told}"))))
        }
        Err(error) => Err(error.into()),
    }
}

/// The newest snapshot and the journal's tail, or the whole journal.
fn state(
    directory: &Directory,
    seed: &[u8; 16],
    snapshots: &Snapshots,
    journal: &dyn Journal,
) -> Result<Alliance, Error> {
    let setup = Setup { seed: *seed };
    let lists = guard_lists(directory)?;
    let head = journal.head()?;
    let mut state = match snapshots.load(&setup, &lists, head)? {
        Some(state) => state,
        None => {
            let mut state = Alliance::new(setup)?;
            lists.into_iter().for_each(|list| {
                state.add_list(list);
            });
            state
        }
    };
    let snapshot = state.next_position();
    let replayed = replay(&mut state, journal)?;
    state.replayed();
    tracing::info!(snapshot, replayed, "the state is up to the journal's head");
    Ok(state)
}

/// The guard lists that were handed in, each still with the digest it is named by.
fn guard_lists(directory: &Directory) -> Result<Vec<Vec<u8>>, Error> {
    let dir = directory.path("lists");
    let failed = |error| Error::unavailable(format_args!("reading {}", dir.display()), error);
    let mut lists = Vec::new();
    for item in std::fs::read_dir(&dir).map_err(failed)? {
        let path = item.map_err(failed)?.path();
        let bytes = std::fs::read(&path).map_err(failed)?;
        let digest = model::Digest::of(&[&bytes]).to_string();
        match path.file_name().is_some_and(|name| name.to_str() == Some(&digest)) {
            true => lists.push(bytes),
            false => tracing::warn!(path = %path.display(), "no guard list: its name is not its digest"),
        }
    }
    Ok(lists)
}

fn workers(configured: u32) -> usize {
    match configured {
        0 => std::thread::available_parallelism().map_or(WORKERS_MIN, |count| count.get().max(WORKERS_MIN)),
        workers => workers as usize,
    }
}

fn start_threads(core: &Arc<Core>, snapshots: &Arc<Snapshots>) -> Result<Vec<JoinHandle<()>>, Error> {
    let (after, done) = sync_channel(BEHIND_MAX);
    let (ask, asked) = sync_channel(1);
    let (hears, heard) = sync_channel(BEHIND_MAX);
    let sequencer = Sequencer::new(Arc::clone(core), after, hears);
    let behind = Behind { core: Arc::clone(core), done, snapshots: ask };
    let (of, store) = (Arc::clone(core), Arc::clone(snapshots));
    let (objects, search) = (Arc::clone(core), Arc::clone(core));
    Ok(vec![
        spawn("sequencer", move || sequencer.run())?,
        spawn("behind", move || behind.run())?,
        spawn("objects", move || index_objects(&objects))?,
        spawn("search", move || crate::search::follow(&search, &heard))?,
        spawn("snapshots", move || make_snapshots(&of, &store, &asked))?,
    ])
}

/// Brings the index of objects up to the journal.
fn index_objects(core: &Core) {
    let stop = || core.stopping.load(std::sync::atomic::Ordering::Acquire);
    match core.taxii.catch_up(u64::MAX, &stop) {
        Ok(true) => tracing::info!("the index of objects is up to the journal's head"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "the index of objects cannot be made: TAXII answers that it is away"),
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|error| Error::unavailable(format_args!("starting the thread {name}"), error))
}
