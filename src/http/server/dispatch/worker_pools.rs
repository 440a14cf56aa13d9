//! The pools of one server, one for each kind of waiting: clients' requests that wait for another
//! server must not keep a peer's write from the disk.

use std::sync::Arc;

use super::Dispatcher;
use crate::http::Response;
use crate::http::server::connections::Next;
use crate::http::server::encoded_response::ResponseWrite;
use crate::http::server::exchange::Exchange;
use crate::http::server::head::Raw;
use crate::http::server::unread::Unread;
use crate::http::server::{Lane, ServerConfig};
use crate::runtime::worker_pool::{Work, WorkerPool};

/// What a pool is for. The first three are those of the lanes.
#[derive(Clone, Copy)]
pub(super) enum Pool {
    Client,
    PeerWrite,
    PeerRead,
    /// Waits for bodies of requests that show no token, and drops bodies.
    ClientBody,
    /// Waits for bodies from other servers.
    PeerBody,
    /// Begins with requests that waited for their predecessors.
    Pipelined,
    LongResponse,
    /// Sends to clients that do not read.
    SlowReader,
}

/// Each with its name in metrics. The threads of a pool are called `http-` and that name.
pub(super) struct WorkerPools([(&'static str, WorkerPool<Job>); 8]);

/// A task, and the server that it belongs to.
pub(super) struct Job {
    dispatcher: Arc<Dispatcher>,
    task: Task,
}

/// What finds the rest of an answer, and may wait for it.
pub(super) type Rest = Box<dyn FnOnce() -> Response + Send>;

/// What a thread of a pool does.
pub(super) enum Task {
    /// Begins with a request that waited for its predecessor.
    Begin(Box<Next>),
    /// Reads a body, and goes on.
    ReadBody(Box<Exchange>),
    Answer(Box<Exchange>),
    /// Finds the rest of an answer that was begun elsewhere.
    Finish(Box<Exchange>, Rest),
    Send(Box<ResponseWrite>),
    /// Drops a request without an answer.
    Drop(Box<Raw>),
    /// Reads what is left of a body whose request is answered.
    Drain(Box<Unread>),
}

impl WorkerPools {
    pub(super) fn new(config: &ServerConfig) -> WorkerPools {
        let waiting_max = config.waiting_max;
        // In the order of `Pool`: name, threads, and how many may wait. A connection has one unread
        // body at most, so that the number of connections bounds those queues, too.
        let pools = [
            ("client", config.client_threads_max, waiting_max),
            ("peer-write", config.peer_threads_max, waiting_max),
            ("peer-read", config.peer_threads_max, waiting_max),
            ("client-body", 128, 10_000),
            ("peer-body", 32, 1000),
            ("pipelined", 4, 10_000),
            ("long-response", 16, 64),
            ("slow-reader", 64, 1000),
        ];
        WorkerPools(pools.map(|(name, threads_max, waiting_max)| {
            let thread_name = format!("http-{name}");
            let pool = WorkerPool::new(&thread_name, threads_max, waiting_max, None);
            (name, pool)
        }))
    }

    /// Each pool's name, and how many requests wait there for a thread.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.0.iter().map(|(name, pool)| (*name, pool.waiting()))
    }
}

impl Pool {
    /// `None`: the receiving thread itself answers.
    pub(super) fn of_lane(lane: Lane) -> Option<Pool> {
        match lane {
            Lane::Inline => None,
            Lane::Client => Some(Pool::Client),
            Lane::PeerWrite => Some(Pool::PeerWrite),
            Lane::PeerRead => Some(Pool::PeerRead),
        }
    }
}

impl Dispatcher {
    /// Hands a task to a pool. Fails at once, with the task, when too many wait already.
    pub(super) fn try_submit(self: &Arc<Self>, pool: Pool, task: Task) -> Result<(), Task> {
        let dispatcher = self.clone();
        let job = Job { dispatcher, task };
        let (_, pool) = &self.pools.0[pool as usize];
        pool.try_submit(job).map_err(|job| job.task)
    }
}

impl Work for Job {
    fn run(self, _: Vec<Job>) {
        let dispatcher = self.dispatcher;
        match self.task {
            Task::Begin(next) => dispatcher.begin_next(*next),
            Task::ReadBody(exchange) => dispatcher.read_body(exchange),
            Task::Answer(exchange) => dispatcher.answer(exchange),
            Task::Finish(exchange, rest) => dispatcher.finish_with(exchange, rest),
            Task::Send(write) => dispatcher.send_to_slow_reader(*write),
            Task::Drop(raw) => drop(raw.into_writer()),
            Task::Drain(unread) => dispatcher.drain(*unread),
        }
    }
}
