//! The demo's resolvers, one for each member that filters names: an installed Unbound, else a small resolver of our
//! own. Each follows the policy zone of its member's agent and asks nobody but the demo's own little world.

use super::cast::Role;
use crate::exit::Failure;
use act::rpz::{Mini, MiniSettings};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use testbed::{Rpz, Unbound, World};

/// The policy zone of each agent.
pub const ZONE: &str = "rpz.demo.example";

/// All of them, and the world they know.
pub struct Resolvers {
    all: BTreeMap<&'static str, Resolver>,
    _world: World,
}

/// One member's resolver.
pub struct Resolver {
    running: Running,
    /// Where the agent's primary is to listen, agreed beforehand.
    pub primary: SocketAddr,
}

enum Running {
    Unbound(Box<Unbound>),
    Mini(Mini),
}

impl Resolvers {
    /// Starts a resolver for each member that filters names; the agents' primaries come later.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(roles: &[Role]) -> Result<Self, Failure> {
        let world = World::whole().map_err(failed)?;
        let mut all = BTreeMap::new();
        for role in roles.iter().filter(|role| role.filters_names()) {
            all.insert(role.id, Resolver::start(world.port())?);
        }
        Ok(Self { all, _world: world })
    }

    /// A member's resolver.
    pub fn of(&self, member: &str) -> Option<&Resolver> {
        self.all.get(member)
    }

    /// Are they real ones?
    pub fn are_real(&self) -> bool {
        self.all.values().all(|resolver| matches!(resolver.running, Running::Unbound(_)))
    }

    /// What they are, for people.
    pub fn name(&self) -> String {
        match self.are_real() {
            true => "a real Unbound for each member that filters names".to_owned(),
            false => "small ones of the demo's own (with unbound installed, real ones)".to_owned(),
        }
    }

    /// Asks a member's resolver for a name's address; gives what it says, in a word.
    ///
    /// # Errors
    /// The member has none.
    pub fn ask(&self, member: &str, name: &str) -> Result<String, Failure> {
        let none = || Failure::failed(format_args!("{member} has no resolver"), "");
        let address = self.of(member).ok_or_else(none)?.address();
        let answer = testbed::ask(address, name, testbed::Rtype::A, Duration::from_secs(2));
        Ok(answer.map_or_else(|| "no answer".to_owned(), |answer| answer.rcode.to_string()))
    }
}

impl Resolver {
    fn start(world: u16) -> Result<Self, Failure> {
        let primary = SocketAddr::from((Ipv4Addr::LOCALHOST, testbed::free_port().map_err(failed)?));
        let zones = [Rpz { zone: ZONE.to_owned(), primary }];
        if let Ok(unbound) = Unbound::start(&zones, world) {
            return Ok(Self { running: Running::Unbound(Box::new(unbound)), primary });
        }
        let mini = Mini::start(MiniSettings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            primary,
            zones: vec![ZONE.to_owned()],
            world: Arc::new(|_| Some(IpAddr::V4(testbed::WORLD_V4))),
        });
        Ok(Self { running: Running::Mini(mini.map_err(failed)?), primary })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        match &self.running {
            Running::Unbound(unbound) => unbound.address(),
            Running::Mini(mini) => mini.address(),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::failed(error, "apt-get install unbound")
}
