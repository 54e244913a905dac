//! The running agent: one task that owns the core and its state, and the doors around it.

use crate::client::{Away, Client};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{self, Answer, Request};
use crate::core::{AlarmKind, Core, Input, Output, Record, Router};
use crate::driver::{Drivers, Job};
use crate::error::{Broken, Error};
use crate::heartbeat::Heart;
use crate::store::{Opened, Store};
use crate::stream::{Resume, keep, pause};
use crate::submit::{send, tell};
use crate::watchdog::FOLLOW_MAX;
use crate::wishes::{Asked, Requests, Wish, input, outcome};
use act::Point;
use model::{Digest, Measure, PointName, Refusal, Rule, Salt, Sighting, Timestamp};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Inputs that wait for the core; whoever brings more waits.
const INPUTS_MAX: usize = 4_096;
/// Inputs that become durable with one write.
const BATCH_MAX: usize = 1_024;
/// How often room is looked for on a disk that is full.
const ROOM_EVERY: Duration = Duration::from_secs(10);
/// How long a start waits for the state directory, which a watchdog takes while it lifts.
const LOCK_WAIT: Duration = FOLLOW_MAX.saturating_add(Duration::from_secs(5));

/// The library's entrance.
#[derive(Debug)]
pub struct Agent;

/// A running agent. Stops when dropped; what is in force then ends by the points' own means.
#[derive(Debug)]
pub struct Running {
    requests: Requests,
    directory: PathBuf,
    main: JoinHandle<Result<(), Error>>,
    stop: watch::Sender<bool>,
    doors: Vec<JoinHandle<()>>,
}

impl Agent {
    /// Starts an agent with the points that its configuration names.
    ///
    /// # Errors
    /// Broken: a key, token, CA or the state directory cannot be used (another process holds it for longer than 20 s),
    /// or a point cannot work.
    pub async fn start(config: Config) -> Result<Running, Error> {
        // First: whoever holds the directory may hold the points' addresses, too.
        let opened = open(&config).await?;
        let points = config.points.iter().map(|point| point.start()).collect::<Result<_, _>>()?;
        Self::start_on(config, opened, points).await
    }

    /// Starts an agent with these points, which must be those that its configuration names.
    ///
    /// # Errors
    /// As [`Agent::start`].
    pub async fn start_with(config: Config, points: Vec<Arc<dyn Point>>) -> Result<Running, Error> {
        let opened = open(&config).await?;
        Self::start_on(config, opened, points).await
    }

    async fn start_on(config: Config, opened: Opened, points: Vec<Arc<dyn Point>>) -> Result<Running, Error> {
        for source in &config.sources {
            // A sensor that cannot be read as configured must not be found out only when it speaks.
            source.reader(&config.observe).map_err(Refusal::from)?;
        }
        let key = crate::keys::read_key(&config.member.key)?;
        let client = Client::new(&config.hub, &config.member.id)?;
        let Opened { store, state, torn_bytes } = opened;
        if torn_bytes > 0 {
            tracing::warn!(torn_bytes, "the end of the state file was torn and has been cut off");
        }
        let lists = kept_lists(store.directory(), &state);
        let router = Arc::new(Routes(points.clone()));
        let mut settings = config.settings();
        settings.witness = Some(Arc::new(crate::keys::read_or_create_key(&config.witness_key())?));
        let core = Core::new(settings, key, router, state, lists.as_deref())?;
        let (inputs, inbox) = mpsc::channel(INPUTS_MAX);
        let (asks, asked) = mpsc::channel(64);
        let (stop, stopped) = watch::channel(false);
        let drivers = Drivers::start(&points, &inputs).map_err(|error| Broken::Failed(error.to_string()))?;
        let requests = Requests(asks);
        let mut doors = vec![control::listen(store.directory(), requests.clone())?];
        let resume = watch::Sender::new(Resume::default());
        let (silence, bytes_max) = (config.hub.silence_max.to_std(), config.hub.event_bytes_max);
        doors.push(tokio::spawn(keep(client.clone(), silence, bytes_max, resume.subscribe(), inputs.clone())));
        if let (Some(identity), Some(ca)) = (config.hub.certificate.clone(), config.hub.ca.clone()) {
            let key = crate::keys::read_key(&config.member.key)?;
            let renewal = crate::renew::Renewal { client: client.clone(), identity, ca, key };
            doors.push(tokio::spawn(crate::renew::keep(renewal, inputs.clone())));
        }
        let room = watch::Sender::new(true);
        for source in config.sources.clone() {
            let mark = core.state().sources.get(&source.name).cloned();
            let gate = crate::room::gated(inputs.clone(), room.subscribe());
            doors.push(tokio::spawn(crate::sensors::follow(source, config.observe.clone(), mark, gate)));
        }
        if let Some(listen) = config.witness.listen {
            doors.push(crate::witness::serve(listen, config.witness.requests_per_minute_max, requests.clone()).await?);
        }
        for peer in &config.peers {
            doors.push(crate::peers::follow(peer, config.witness.compare_every, requests.clone(), inputs.clone())?);
        }
        let heart = Heart::new(store.directory());
        let board = Arc::new(crate::feeds::Board::default());
        let around = crate::feeds::Around {
            client: client.clone(),
            requests: requests.clone(),
            inputs: inputs.clone(),
            board: Arc::clone(&board),
            strip: Arc::new(config.strip()),
        };
        doors.extend(crate::feeds::start(&config, &core.state().feeds, &around)?);
        let clock = Clock::starting(core.state().seen);
        let looked = Instant::now();
        let main =
            Main { core, store: Some(store), drivers, client, inputs, resume, clock, heart, board, room, looked };
        let main = tokio::spawn(main.run(inbox, asked, stopped));
        Ok(Running { requests, directory: config.state.directory, main, stop, doors })
    }
}

impl Running {
    /// Asks as the control socket does.
    pub async fn ask(&self, request: Request) -> Answer {
        self.requests.ask(request).await
    }

    /// A handle with which others may ask.
    pub fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// The state directory, in which the control socket is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits until the agent ends by itself, which it does only when it is broken.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn ended(&mut self) -> Result<(), Error> {
        (&mut self.main).await.map_err(|error| Broken::Failed(error.to_string()))?
    }

    /// Stops the agent; what is in force stays so until it expires.
    ///
    /// # Errors
    /// It was broken before.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.stop.send_replace(true);
        self.ended().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.doors.iter().for_each(JoinHandle::abort);
    }
}

/// Sightings with their salts, from the system's random source.
pub(crate) fn salted(sightings: Vec<Sighting>) -> Result<Input, getrandom::Error> {
    let salt = || {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map(|()| Salt(salt))
    };
    let salted = sightings.into_iter().map(|sighting| Ok((salt()?, sighting))).collect::<Result<_, _>>()?;
    Ok(Input::Sightings(salted))
}

struct Routes(Vec<Arc<dyn Point>>);

impl Router for Routes {
    fn accepts(&self, point: &PointName, measure: &Measure) -> bool {
        self.0.iter().any(|p| p.name() == point && p.accepts(measure))
    }
}

struct Main {
    core: Core,
    /// None only while a write is under way.
    store: Option<Store>,
    drivers: Drivers,
    client: Client,
    inputs: mpsc::Sender<Input>,
    resume: watch::Sender<Resume>,
    clock: Clock,
    heart: Heart,
    board: Arc<crate::feeds::Board>,
    /// Is there room on the disk, as was said last?
    room: watch::Sender<bool>,
    /// When it was looked for last.
    looked: Instant,
}

impl Main {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Input>,
        mut asked: mpsc::Receiver<Asked>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), Error> {
        self.take(vec![Input::Restarted]).await?;
        let mut inputs = Vec::with_capacity(BATCH_MAX);
        loop {
            if let Some(text) = self.clock.trouble() {
                self.take(vec![Input::Trouble { kind: AlarmKind::ClockWentBack, text }]).await?;
            }
            self.look_for_room().await?;
            let wait = self.until_wake();
            self.heart.beat();
            tokio::select! {
                biased;
                () = stop_wanted(&mut stopped) => return Ok(()),
                Some(ask) = asked.recv() => self.answer(ask).await?,
                _ = inbox.recv_many(&mut inputs, BATCH_MAX) => drop(self.take(std::mem::take(&mut inputs)).await?),
                () = tokio::time::sleep(wait) => drop(self.take(vec![Input::Tick]).await?),
            }
        }
    }

    /// A disk that is full is told of at once, and looked at again and again.
    async fn look_for_room(&mut self) -> Result<(), Error> {
        let told = *self.room.borrow();
        let Some(mut store) = self.store.take_if(|store| !store.has_room() || !told) else { return Ok(()) };
        if !store.has_room() && !told && self.looked.elapsed() >= ROOM_EVERY {
            store = blocking(move || {
                store.make_room();
                store
            })
            .await?;
            self.looked = Instant::now();
        }
        let (has, directory) = (store.has_room(), store.directory().display().to_string());
        self.store = Some(store);
        if has == told {
            return Ok(());
        }
        self.room.send_replace(has);
        self.looked = Instant::now();
        let full = format!(
            "The disk is full ({directory}). What is in force ends in time; nothing new is accepted, and sensors and \
             feeds wait, until there is room: that is looked for by itself."
        );
        self.take(vec![Input::Room((!has).then_some(full))]).await.map(drop)
    }

    fn until_wake(&mut self) -> Duration {
        let now = self.clock.now();
        let wait = self.core.wakes_at().map_or(Duration::from_secs(1), |at| at.since(now).to_std());
        wait.clamp(Duration::from_millis(1), Duration::from_secs(1))
    }

    async fn take(&mut self, inputs: Vec<Input>) -> Result<Vec<Output>, Error> {
        let mut outputs = Vec::new();
        let allows = inputs.iter().any(Input::may_change_allow_list);
        for input in inputs {
            let now = if matches!(input, Input::ClockAccepted) { self.clock.trust() } else { self.clock.now() };
            if let Input::Charter { lists, .. } = &input {
                self.keep_lists(lists);
            }
            outputs.extend(self.core.handle(input, now));
        }
        self.write(&outputs).await?;
        if allows {
            self.drivers.allow(&self.core.allow_entries().into_keys().collect());
        }
        let rest: Vec<Output> = outputs.into_iter().filter(|o| !matches!(o, Output::Persist(_))).collect();
        let now = self.clock.now();
        rest.iter().for_each(|output| self.carry_out(output, now));
        let (ready, after) = (self.core.is_ready(), self.core.state().position);
        self.resume.send_if_modified(|resume| {
            let changed = resume.ready != ready;
            (resume.ready, resume.after) = (ready, after);
            changed
        });
        Ok(rest)
    }

    /// Everything that is to be remembered becomes durable with one write, before anything else is done.
    async fn write(&mut self, outputs: &[Output]) -> Result<(), Error> {
        let record = |output: &Output| match output {
            Output::Persist(record) => Some(record.clone()),
            _ => None,
        };
        let records: Vec<Record> = outputs.iter().filter_map(record).collect();
        let Some(mut store) = self.store.take_if(|_| !records.is_empty()) else { return Ok(()) };
        let state = store.wants_compaction().then(|| self.core.state().clone());
        let (store, written) = blocking(move || {
            let written = match state {
                Some(state) => store.compact(&state),
                None => store.append(&records),
            };
            (store, written)
        })
        .await?;
        self.store = Some(store);
        written
    }

    fn carry_out(&self, output: &Output, now: Timestamp) {
        match output {
            Output::Point { point, order, protections } => {
                let job = Job::new(*order, protections.clone(), now);
                if !self.drivers.give(point, job) {
                    tracing::error!(%point, order = order.as_str(), "no such point");
                }
            }
            Output::Send(submission) => {
                tokio::spawn(send(self.client.clone(), submission.clone(), self.inputs.clone()));
            }
            Output::FetchCharter(which) => {
                self.fetch(*which, |client, which| async move { client.charter(which).await })
            }
            Output::FetchConsistency { from, to } => {
                let sizes = (*from, *to);
                self.fetch(sizes, |client, (from, to)| async move { client.consistency(from, to).await });
            }
            Output::FetchProof { plan } => {
                self.once(*plan, |client, plan| async move { client.proof(plan).await.map(Some) })
            }
            Output::Cosign(note) => {
                self.once(note.clone(), |client, note| async move { client.cosign(&note).await.map(|()| None) });
            }
            Output::FetchSequence => self.fetch((), |client, ()| async move { client.next_sequence().await }),
            Output::Reconnect { after } => self.resume.send_modify(|resume| {
                (resume.after, resume.epoch) = (*after, resume.epoch + 1);
            }),
            Output::Alarm(alarm) => {
                tracing::warn!(kind = alarm.kind.as_str(), kept_back = alarm.kept_back, "{}", alarm.text);
            }
            Output::Persist(_) | Output::Done(_) | Output::Refused(_) | Output::WitnessAnswer(_) => {}
        }
    }

    /// Asks the hub until it answers.
    fn fetch<A, F, R>(&self, about: A, ask: F)
    where
        A: Copy + Send + 'static,
        F: Fn(Client, A) -> R + Send + 'static,
        R: Future<Output = Result<Input, Away>> + Send,
    {
        let (client, inputs) = (self.client.clone(), self.inputs.clone());
        tokio::spawn(async move {
            for attempts in 0.. {
                if inputs.is_closed() {
                    return;
                }
                match ask(client.clone(), about).await {
                    Ok(input) => return drop(inputs.send(input).await),
                    Err(away) => tell(&inputs, &away, attempts).await,
                }
                tokio::time::sleep(pause(attempts)).await;
            }
        });
    }

    /// Asks or tells the hub once; what did not get through is tried again by the core, or not needed any more.
    fn once<A, F, R>(&self, about: A, ask: F)
    where
        A: Send + 'static,
        F: FnOnce(Client, A) -> R + Send + 'static,
        R: Future<Output = Result<Option<Input>, Away>> + Send,
    {
        let (client, inputs) = (self.client.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let input = match ask(client, about).await {
                Ok(input) => input,
                Err(Away::Refused(refusal)) if refusal.rule == Rule::UnknownWitness => {
                    let text = format!("The hub does not count this member's witness: {refusal}");
                    Some(Input::Trouble { kind: AlarmKind::WitnessSilent, text })
                }
                Err(away) => {
                    tracing::debug!(%away, "the hub did not take or give what it was asked once");
                    None
                }
            };
            if let Some(input) = input {
                // The agent may have stopped meanwhile.
                let _ = inputs.send(input).await;
            }
        });
    }

    async fn answer(&mut self, Asked { wish, answer }: Asked) -> Result<(), Error> {
        let given = match wish {
            Wish::Input(input) => outcome(&self.take(vec![*input]).await?),
            Wish::Request(request) => match self.view(&request) {
                Some(view) => view,
                None => match input(request) {
                    Ok(input) => outcome(&self.take(vec![input]).await?),
                    Err(refusal) => Answer::Refused(refusal),
                },
            },
        };
        // Whoever asked may have gone away.
        let _ = answer.send(given);
        Ok(())
    }

    fn view(&self, request: &Request) -> Option<Answer> {
        let core = &self.core;
        Some(Answer::Ok(match request {
            Request::Feeds => json!(self.board.views(&core.state().feeds)),
            Request::FeedNow { feed } => match self.board.want(feed) {
                Some(rounds) => json!(rounds),
                None => {
                    let refusal = Refusal::new(Rule::Malformed, feed, "a pull or push of the configuration");
                    return Some(Answer::Refused(refusal));
                }
            },
            Request::Status => json!(core.status()),
            Request::Why { value } => json!(core.why(value)),
            Request::Mitigations => json!(core.mitigations()),
            Request::Alarms => json!(core.alarms()),
            Request::AllowList => json!(core.allow_entries()),
            Request::Witness => json!(core.witness_view()),
            Request::CosignedLog { origin_hash } => json!(core.cosigned_log(origin_hash).map(|seen| &seen.note)),
            Request::History => json!({"checkpoint": core.state().checkpoint, "forked": core.state().forked}),
            _ => return None,
        }))
    }

    /// List files are kept beside the state under their digests: a start must not need the hub.
    fn keep_lists(&self, lists: &[Vec<u8>]) {
        let Some(store) = &self.store else { return };
        for list in lists {
            let path = store.directory().join(format!("list-{}", Digest::of(&[list])));
            let new = path.with_extension("new");
            let kept = path.exists() || std::fs::write(&new, list).and_then(|()| std::fs::rename(&new, &path)).is_ok();
            if !kept {
                tracing::warn!(path = %path.display(), "a guard list was not kept; the next start fetches it again");
            }
        }
    }
}

async fn open(config: &Config) -> Result<Opened, Error> {
    let directory = config.state.directory.clone();
    blocking(move || Store::open_within(&directory, LOCK_WAIT)).await?
}

/// The guard list files of the charter in the state, if all are at hand.
fn kept_lists(directory: &Path, state: &crate::core::State) -> Option<Vec<Vec<u8>>> {
    let charter = charter::Charter::parse(&state.charter.as_ref()?.text).ok()?;
    let read = |list: &charter::GuardFile| {
        let bytes = std::fs::read(directory.join(format!("list-{}", list.sha256))).ok()?;
        (Digest::of(&[&bytes]) == list.sha256).then_some(bytes)
    };
    charter.guards.list.iter().map(read).collect()
}

async fn stop_wanted(stopped: &mut watch::Receiver<bool>) {
    // Nobody is left who could want anything else: that is a stop, too.
    drop(stopped.wait_for(|stop| *stop).await);
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Broken::Failed(format!("writing the state: {error}")).into())
}
