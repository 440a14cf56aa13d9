//! The way of a request through the server: who reads its body, who answers it, who sends the
//! answer.
//!
//! A receiving thread only does what waits for nobody. It hands on
//!
//! - a request whose predecessor on the connection is unanswered, to [`super::visitors`];
//! - a body that has yet to come, to an intake crew;
//! - a request that waits for other servers or the disk, to the crew of its lane;
//! - an answer that is long, or that the client does not take at once, to a crew for that:
//!   [`super::outbox`].

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::head;
use crate::http::server::auth::Door;
use crate::http::server::common_routes;
use crate::http::server::connections::{Admission, Connections};
use crate::http::server::encoded_response::ResponseWrite;
use crate::http::server::exchange::{self, Exchange, Raw, Reading};
use crate::http::server::metrics::Tally;
use crate::http::server::wakeups::{self, Wakeups};
use crate::http::server::worker_pool::{WorkerPool, WorkerPools};
use crate::http::server::{Lane, ServerConfig, Service};
use crate::http::{Method, Request, Response};
use crate::model::error::{Error, Result};

/// How long a body may take, in silences that would close the connection. Then its request is
/// forgotten.
const BODY_IDLES_MAX: u32 = 3;

/// All that the threads of one server share.
pub struct Dispatcher {
    pub serving: ServerConfig,
    pub service: Arc<dyn Service>,
    pub crews: WorkerPools,
    pub visitors: Connections,
    pub nudges: Wakeups,
    pub tally: Tally,
    door: Door,
    /// Posts whose accepting has panicked; which ones is not known.
    doubts: AtomicU64,
}

/// What a crew does.
pub enum Task {
    /// Begin with a request that waited for its predecessor.
    Enter(Box<Raw>),
    /// Read a body, and go on.
    Read(Box<Exchange>),
    Answer(Box<Exchange>),
    Send(Box<ResponseWrite>),
    /// Drop without an answer.
    Drop(Box<Raw>),
}

/// What is to be done with a request.
enum Decision {
    Answer(Response),
    HandTo(Arc<WorkerPool>),
}

impl Dispatcher {
    pub fn new(
        serving: ServerConfig,
        service: Arc<dyn Service>,
        address: SocketAddr,
    ) -> Dispatcher {
        Dispatcher {
            crews: WorkerPools::new(&serving),
            visitors: Connections::new(serving.idle),
            nudges: Wakeups::new(address),
            tally: Tally::default(),
            door: Door(serving.token.clone()),
            doubts: AtomicU64::new(0),
            serving,
            service,
        }
    }

    /// Says that so many posts, nobody knows which, accept no more.
    pub fn doubt(&self, posts: u64) {
        self.doubts.fetch_add(posts, Ordering::Relaxed);
    }

    /// Whether a post that has been quiet for long is one of those.
    pub fn take_doubt(&self) -> bool {
        let less = |doubts: u64| doubts.checked_sub(1);
        let taken = self
            .doubts
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok()
    }

    /// Takes a request from a receiving thread and never keeps that thread waiting.
    pub fn receive(self: &Arc<Dispatcher>, raw: Raw) {
        let now = Instant::now();
        let Some(raw) = self.glance(raw, now) else {
            return;
        };
        if exchange::announces_too_much(&raw, self.trusts(&raw)) {
            std::mem::forget(raw);
            return self.tally.forgotten.inc();
        }
        match self.visitors.arrive(exchange::peer(&raw), raw, now) {
            Admission::Enter { raw, new } => {
                if new {
                    self.nudges.want(wakeups::FOR_NEW);
                }
                self.enter(raw, now);
            }
            Admission::Wait => (),
            Admission::Drop(raws) => self.drop_unanswered(raws),
        }
    }

    /// Does what a crew was given.
    pub fn work(self: &Arc<Dispatcher>, task: Task) {
        match task {
            Task::Enter(raw) => self.enter(*raw, Instant::now()),
            Task::Read(visit) => self.read(visit),
            Task::Answer(visit) => self.answer(visit),
            Task::Send(delivery) => self.send_patiently(*delivery),
            Task::Drop(raw) => drop(raw.into_writer()),
        }
    }

    fn enter(self: &Arc<Dispatcher>, raw: Raw, started: Instant) {
        let visit = Box::new(Exchange::new(raw, started));
        if !visit.must_wait_for_body() {
            return self.read(visit);
        }
        let from_server = visit.is_from_server() && self.admits(&visit.request);
        let crew = if from_server {
            &self.crews.peer_intake
        } else {
            &self.crews.intake
        };
        if let Err(Task::Read(visit)) = crew.push(self, Task::Read(visit)) {
            self.forget(visit);
        }
    }

    fn read(self: &Arc<Dispatcher>, mut visit: Box<Exchange>) {
        if visit.has_body() {
            let deadline = visit.started + self.serving.idle * BODY_IDLES_MAX;
            let trusted = self.admits(&visit.request);
            if visit.read_body(trusted, deadline) == Reading::TooSlow {
                return self.forget(visit);
            }
        }
        match visit.refused.take() {
            Some(error) => self.reply(visit, error.into()),
            None => self.decide(visit),
        }
    }

    fn decide(self: &Arc<Dispatcher>, mut visit: Box<Exchange>) {
        let decision = self.guarded(|| self.judge(&mut visit));
        match decision.and_then(|decision| decision) {
            Ok(Decision::Answer(response)) => self.reply(visit, response),
            Ok(Decision::HandTo(crew)) => self.hand_to(&crew, visit),
            Err(error) => self.fail(visit, error),
        }
    }

    /// What is to be done, in the order of the checks: the token, the path, and then what its
    /// service says.
    fn judge(&self, visit: &mut Exchange) -> Result<Decision> {
        let request = &visit.request;
        if let Some(route) = common_routes::route(request) {
            visit.route = route;
            self.check_door(common_routes::is_open(route), request)?;
            return Ok(Decision::Answer(common_routes::answer(
                self, route, request,
            )));
        }
        visit.route = self.service.route(request);
        self.check_door(self.service.is_public(request), request)?;
        let crew = match self.service.lane(request) {
            Lane::Inline => return Ok(Decision::Answer(self.service.answer(request))),
            Lane::Client => &self.crews.customers,
            Lane::PeerWrite => &self.crews.writes,
            Lane::PeerRead => &self.crews.asks,
        };
        let may_be_at_once = Arc::ptr_eq(crew, &self.crews.customers) && !visit.has_body();
        let at_once = may_be_at_once.then(|| self.service.at_once(request));
        Ok(match at_once.flatten() {
            Some(response) => Decision::Answer(response),
            None => Decision::HandTo(crew.clone()),
        })
    }

    fn check_door(&self, is_open: bool, request: &Request) -> Result<()> {
        if is_open || self.admits(request) {
            return Ok(());
        }
        Err(Error::Unauthorized)
    }

    fn hand_to(self: &Arc<Dispatcher>, crew: &Arc<WorkerPool>, visit: Box<Exchange>) {
        if let Err(Task::Answer(visit)) = crew.push(self, Task::Answer(visit)) {
            self.tally.turned_away.inc();
            let outcome = if is_write(&visit.request) {
                Some("none")
            } else {
                None
            };
            self.reply(visit, with_outcome(busy(), outcome));
        }
    }

    fn answer(self: &Arc<Dispatcher>, visit: Box<Exchange>) {
        match self.guarded(|| self.service.answer(&visit.request)) {
            Ok(response) => self.reply(visit, response),
            Err(error) => self.fail(visit, error),
        }
    }

    /// Answers with our own failure: a handler that panicked may have done its work before.
    fn fail(self: &Arc<Dispatcher>, visit: Box<Exchange>, error: Error) {
        let unknown = error == Error::Internal && is_write(&visit.request);
        let response = with_outcome(error.into(), unknown.then_some("unknown"));
        self.reply(visit, response);
    }

    /// Calls into a service. A panic there is a 500, not the end of this thread (HTTP_NOTES 9); the
    /// panic hook has said where it was.
    pub fn guarded<T>(&self, call: impl FnOnce() -> T) -> Result<T> {
        catch_unwind(AssertUnwindSafe(call)).map_err(|_| {
            self.tally.panics.inc();
            Error::Internal
        })
    }

    /// For a body that would keep its reader, and whoever drops it, waiting without end.
    fn forget(&self, visit: Box<Exchange>) {
        self.tally.forgotten.inc();
        self.visitors.leave(visit.peer);
        visit.forget();
    }

    fn admits(&self, request: &Request) -> bool {
        self.door.admits(request.header("Authorization"))
    }

    fn trusts(&self, raw: &Raw) -> bool {
        self.door.admits(head::header(raw, "Authorization"))
    }
}

fn is_write(request: &Request) -> bool {
    matches!(request.method, Method::Put | Method::Post)
}

pub fn busy() -> Response {
    Error::Busy("The server has too much to do".into()).into()
}

fn with_outcome(response: Response, outcome: Option<&'static str>) -> Response {
    match outcome {
        Some(outcome) => response.with("Bazar-Outcome", outcome),
        None => response,
    }
}
