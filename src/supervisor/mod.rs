//! `bazar shop`: starts the servers of a shop on this machine, starts again what dies, shows their
//! logs, and stops all of them.
//!
//! To read: `topology` lists the servers and what each is told of the others; `ports` finds free
//! ports, or says who has them; `process` is one server's process, which `bazar bench` and `bazar
//! scale` start, too; `supervised` decides when it is started again; `server_log` shows its log as
//! people read it; `events` keeps what happened; `announcement` says that the shop is open;
//! `cluster` is the page that shows the servers at work; `etcd` starts an etcd beside them; `relay` is between the servers with
//! `--demo`.
//!
//! # How it ends
//!
//! On Ctrl-C, SIGTERM or SIGHUP, when nobody reads its log any more, or, with `--exit-with-stdin`,
//! when its standard input ends, every server gets SIGTERM and, if it still runs after 2 s, SIGKILL. Servers need no farewell: what they acknowledged is on
//! disk. If this process is killed itself, its servers notice and end: see `process`.

mod announcement;
mod cluster;
pub(crate) mod etcd;
pub(crate) mod events;
pub(crate) mod ports;
pub mod process;
mod relay;
pub(crate) mod server_log;
mod supervised;
pub(crate) mod topology;

use std::fs::{self, File};
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::config::Limits;
use crate::config::shop::{ShopSettings, Token};
use crate::http::client::Client;
use crate::model::address::Address;
use crate::runtime::exit::Exit;
use crate::runtime::{signals, stdin};
use etcd::Etcd;
use events::Events;
use relay::Relay;
use supervised::{End, Next, Supervised};
use topology::{Kind, Member, Topology};

/// How often the servers are looked after.
const TICK: Duration = Duration::from_millis(50);

/// How long servers have to end when they are asked to.
const END_MAX: Duration = Duration::from_secs(2);

/// While the shop opens, this often a line says for whom it waits.
const WAITING_INTERVAL: Duration = Duration::from_secs(10);

/// A server that is ready says so within this.
const READY_LIMITS: Limits = Limits {
    connect: Duration::from_millis(500),
    whole: Duration::from_secs(1),
};

/// How a shop ended that had started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody asked for it.
    Stopped,
    /// A server cannot run as it is set up, so the shop never opened. The log says why.
    Unopened,
}

/// The servers of a shop.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) servers: Vec<Supervised>,
    pub(crate) events: Events,
    /// Whether servers that die are started again.
    pub(crate) restarting: AtomicBool,
    pub(crate) token: Option<String>,
    /// With `--demo`.
    pub(crate) relay: Option<Arc<Relay>>,
    /// With `--etcd`.
    etcd: Option<Etcd>,
    /// Where servers that listen on a wildcard are reached.
    pub(crate) local: String,
}

/// What a server that is not ready says of itself.
#[derive(Deserialize)]
struct Missing {
    missing: Vec<String>,
}

/// Runs a shop until somebody stops it.
///
/// Fails with [`Exit::Misconfigured`] when a port is in use, before any server is started.
pub fn run(settings: &ShopSettings) -> Result<Outcome, Exit> {
    let local = local_host(&settings.host);
    let mut topology = topology(settings, &local)?;
    ports::check(&topology.members, &local).map_err(Exit::Misconfigured)?;
    let token = token(&settings.token)?;
    signals::catch_end();
    if settings.exit_with_stdin {
        stdin::on_end(signals::request_end)?;
    }
    if settings.fresh {
        remove_data(&settings.data)?;
    }
    let cannot = |error| format!("cannot create {}: {error}", settings.data.display());
    fs::create_dir_all(&settings.data).map_err(cannot)?;
    let etcd = (0 < settings.etcd_members).then(|| {
        let first_port = settings.ports.map(|_| settings.etcd_port);
        let folder = settings.data.join(etcd::FOLDER);
        Etcd::new(settings.etcd_members, first_port, &folder, &local)
    });
    let etcd = etcd.transpose().map_err(Exit::Misconfigured)?;
    topology.etcd = etcd.as_ref().map(|etcd| etcd.addresses.clone());
    let relay = settings
        .demo
        .then(|| Relay::open(&topology, &cluster::loopback_host(&local)));
    let relay = relay.transpose()?;
    let shop = Arc::new(Shop::new(&topology, settings, token, relay, etcd, local));
    let page = cluster::open(&shop, settings.cluster_port);
    let outcome = shop.supervise(&page);
    shop.stop();
    Ok(outcome)
}

/// Where this machine reaches a server that listens on `host`.
fn local_host(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) if ip.is_unspecified() => "127.0.0.1".into(),
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => "::1".into(),
        _ => host.to_string(),
    }
}

/// The servers that the settings ask for.
fn topology(settings: &ShopSettings, local: &str) -> Result<Topology, Exit> {
    let mut members = Vec::new();
    for kind in Kind::ALL {
        let (count, host) = match kind {
            Kind::Catalog => (settings.catalogs, &settings.host),
            Kind::Order => (settings.orders, &settings.host),
            Kind::FrontEnd => (settings.front_ends, &settings.front_end_host),
        };
        let name = |n: usize| match (kind, count) {
            (Kind::FrontEnd, 1) => "front-end".to_string(),
            _ => format!("{}{}", kind.word(), n + 1),
        };
        members.extend((0..count).map(|n| Member {
            kind,
            name: name(n),
            host: host.clone(),
            port: settings.ports.map_or(0, |ports| ports::nth(ports, kind, n)),
            address: Address::of("", 0),
        }));
    }
    if settings.ports.is_none() {
        let free = ports::free(local, members.len())?;
        members
            .iter_mut()
            .zip(free)
            .for_each(|(member, port)| member.port = port);
    }
    for member in &mut members {
        member.address = member.listens_at(local);
    }
    let is_catalog = |address: &&Address| {
        let mut catalogs = members.iter().filter(|member| member.kind == Kind::Catalog);
        settings.etcd_members == 0 && catalogs.any(|member| member.address == **address)
    };
    if let Some(other) = settings.go_on_without.iter().find(|one| !is_catalog(one)) {
        return Err(Exit::Misconfigured(format!(
            "GO_ON_WITHOUT holds {other} but must be a catalog of this shop with its own books"
        )));
    }
    Ok(Topology {
        members,
        data: settings.data.clone(),
        books: settings.books.clone(),
        etcd: None,
    })
}

/// The arguments that only the first start of a server has. One that is started again must not go on
/// without a catalog that is back.
fn first_args(lost: &[Address], member: &Member) -> Vec<String> {
    if member.kind != Kind::Catalog || lost.is_empty() || lost.contains(&member.address) {
        return Vec::new();
    }
    let lost: Vec<&str> = lost.iter().map(Address::as_str).collect();
    vec!["--go-on-without".into(), lost.join("|")]
}

fn token(token: &Token) -> Result<Option<String>, String> {
    match token {
        Token::None => Ok(None),
        Token::Given(token) => Ok(Some(token.clone())),
        Token::New => {
            let mut bytes = [0; 16];
            // Unlike fastrand's, these bytes cannot be guessed.
            let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
            read.map_err(|error| format!("no random bytes for a token: {error}"))?;
            let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            server_log::say("shop", &format!("SERVICE_TOKEN={token}"));
            Ok(Some(token))
        }
    }
}

/// Removes the data folders of all catalogs, however many there were, and that of etcd.
fn remove_data(data: &Path) -> Result<(), String> {
    let entries = fs::read_dir(data).into_iter().flatten().flatten();
    let is_catalog = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix("catalog"));
        name == Some(etcd::FOLDER)
            || number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
    };
    for path in entries.map(|entry| entry.path()) {
        if is_catalog(&path) && path.is_dir() {
            server_log::say("shop", &format!("removing {}", path.display()));
            let cannot = |error| format!("cannot remove {}: {error}", path.display());
            fs::remove_dir_all(&path).map_err(cannot)?;
        }
    }
    Ok(())
}

impl Shop {
    fn new(
        topology: &Topology,
        settings: &ShopSettings,
        token: Option<String>,
        relay: Option<Arc<Relay>>,
        etcd: Option<Etcd>,
        local: String,
    ) -> Shop {
        let mut environment = vec![
            ("LOG", settings.log.clone()),
            // Only the first start has it: see `first_args`.
            ("GO_ON_WITHOUT", String::new()),
        ];
        environment.extend(token.clone().map(|token| ("SERVICE_TOKEN", token)));
        let supervised = |member: &Member| {
            let mut args = topology.args(member);
            if let Some(relay) = &relay {
                let proxy = relay.proxy_of(&member.name).to_string();
                args.extend(["--connect-proxy".into(), proxy]);
            }
            let first = first_args(&settings.go_on_without, member);
            Supervised::new(member.clone(), args, first, environment.clone())
        };
        Shop {
            servers: topology.members.iter().map(supervised).collect(),
            events: Events::default(),
            restarting: AtomicBool::new(true),
            token,
            relay,
            etcd,
            local,
        }
    }

    /// Looks after the servers until the shop is to end.
    fn supervise(&self, page: &Result<Address, String>) -> Outcome {
        let client = Client::new(READY_LIMITS, None);
        let (mut opened, mut waited) = (false, Instant::now());
        while !signals::END_REQUESTED.load(Relaxed) {
            if !self.look_after_all() && !opened {
                return Outcome::Unopened;
            }
            if !opened {
                match self.first_unready(&client) {
                    None => {
                        opened = true;
                        announcement::announce(self, page);
                    }
                    Some(why) if WAITING_INTERVAL < waited.elapsed() => {
                        self.events.say(&why);
                        waited = Instant::now();
                    }
                    Some(_) => (),
                }
            }
            thread::sleep(TICK);
        }
        Outcome::Stopped
    }

    /// Starts what is due and buries what has ended. Returns whether every server can run as it is
    /// set up.
    fn look_after_all(&self) -> bool {
        let mut can_run = true;
        self.etcd
            .iter()
            .for_each(|etcd| etcd.look_after(&self.events));
        for server in &self.servers {
            if let Some(end) = server.ended(Instant::now(), self.restarting.load(Relaxed)) {
                can_run &= end.next != Next::Never;
                self.events.say(&obituary(&server.member.name, &end));
            }
            if let Err(error) = server.start_if_due(Instant::now()) {
                self.events.say(&error);
            }
        }
        can_run
    }

    /// For which server the shop waits, and what that one says of it.
    fn first_unready(&self, client: &Client) -> Option<String> {
        self.servers.iter().find_map(|server| {
            let url = format!("{}/readyz", server.member.listens_at(&self.local));
            let answer = client.get(&url, &[]).ok();
            if answer.as_ref().is_some_and(|answer| answer.status == 200) {
                return None;
            }
            let name = &server.member.name;
            let missing: Option<Missing> = answer.and_then(|answer| answer.json().ok());
            Some(match missing {
                Some(Missing { missing }) => format!("waiting for {name}: {}", missing.join(", ")),
                None => format!("waiting for {name}"),
            })
        })
    }

    /// Ends all servers, and shows what they still say.
    fn stop(&self) {
        self.events.say("stopping");
        for server in &self.servers {
            server.stay_down();
            server.terminate();
        }
        let deadline = Instant::now() + END_MAX;
        for server in &self.servers {
            while server.process.id().is_some() && Instant::now() < deadline {
                if server.process.ended().is_none() {
                    thread::sleep(Duration::from_millis(5));
                }
            }
            server.process.kill();
            server.process.finish_output();
        }
        self.etcd.iter().for_each(Etcd::stop);
    }
}

fn obituary(name: &str, end: &End) -> String {
    let how = &end.how;
    match end.next {
        Next::Never => {
            format!("{name} cannot run as it is set up ({how}); it is not started again")
        }
        Next::Off => format!("{name} ended ({how}); restarting is off"),
        Next::Again(Duration::ZERO) => format!("{name} ended ({how}); starting it again"),
        Next::Again(pause) => {
            let pause = pause.as_secs_f64();
            format!("{name} ended ({how}); starting it again in {pause:.1} s")
        }
    }
}
