//! The pools of one server, one for each kind of waiting: clients' requests that wait for another
//! server must not keep a peer's write from the disk.

use std::sync::Arc;
use std::time::Instant;

use super::Dispatcher;
use crate::http::server::encoded_response::ResponseWrite;
use crate::http::server::exchange::Exchange;
use crate::http::server::head::Raw;
use crate::http::server::{Lane, ServerConfig};
use crate::runtime::worker_pool::{Work, WorkerPool};

/// The pools. Their threads are called `http-` and the name of the pool.
pub(super) struct WorkerPools {
    client: WorkerPool<Job>,
    peer_write: WorkerPool<Job>,
    peer_read: WorkerPool<Job>,
    /// Wait for bodies of requests that show no token, and drop bodies.
    pub(super) client_body: WorkerPool<Job>,
    /// Wait for bodies from other servers.
    pub(super) peer_body: WorkerPool<Job>,
    /// Begin with requests that waited for their predecessors.
    pub(super) pipelined: WorkerPool<Job>,
    pub(super) long_response: WorkerPool<Job>,
    /// Send to clients that do not read.
    pub(super) slow_reader: WorkerPool<Job>,
}

/// A task, and the server that it belongs to.
pub(super) struct Job {
    dispatcher: Arc<Dispatcher>,
    task: Task,
}

/// What a thread of a pool does.
pub(super) enum Task {
    /// Begins with a request that waited for its predecessor.
    Begin(Box<Raw>),
    /// Reads a body, and goes on.
    ReadBody(Box<Exchange>),
    Answer(Box<Exchange>),
    Send(Box<ResponseWrite>),
    /// Drops a request without an answer.
    Drop(Box<Raw>),
}

impl WorkerPools {
    pub(super) fn new(config: &ServerConfig) -> WorkerPools {
        let waiting_max = config.waiting_max;
        // A connection has one unread body at most, so that their number bounds those queues too.
        WorkerPools {
            client: WorkerPool::new("http-client", config.client_threads_max, waiting_max),
            peer_write: WorkerPool::new(
                "http-peer-write",
                config.peer_write_threads_max,
                waiting_max,
            ),
            peer_read: WorkerPool::new("http-peer-read", config.peer_read_threads_max, waiting_max),
            client_body: WorkerPool::new("http-client-body", 128, 10_000),
            peer_body: WorkerPool::new("http-peer-body", 32, 1000),
            pipelined: WorkerPool::new("http-pipelined", 4, 10_000),
            long_response: WorkerPool::new("http-long-response", 16, 64),
            slow_reader: WorkerPool::new("http-slow-reader", 64, 1000),
        }
    }

    /// The pool of a lane. [`Lane::Inline`] has none.
    pub(super) fn of_lane(&self, lane: Lane) -> Option<&WorkerPool<Job>> {
        match lane {
            Lane::Inline => None,
            Lane::Client => Some(&self.client),
            Lane::PeerWrite => Some(&self.peer_write),
            Lane::PeerRead => Some(&self.peer_read),
        }
    }

    /// All pools, by the name that they have in metrics.
    pub(super) fn all(&self) -> [(&'static str, &WorkerPool<Job>); 8] {
        [
            ("client", &self.client),
            ("peer-write", &self.peer_write),
            ("peer-read", &self.peer_read),
            ("client-body", &self.client_body),
            ("peer-body", &self.peer_body),
            ("pipelined", &self.pipelined),
            ("long-response", &self.long_response),
            ("slow-reader", &self.slow_reader),
        ]
    }
}

impl Work for Job {
    fn run(self, _: Vec<Job>) {
        let dispatcher = self.dispatcher;
        match self.task {
            Task::Begin(raw) => dispatcher.begin(*raw, Instant::now()),
            Task::ReadBody(exchange) => dispatcher.read_body(exchange),
            Task::Answer(exchange) => dispatcher.answer(exchange),
            Task::Send(write) => dispatcher.send_to_slow_reader(*write),
            Task::Drop(raw) => drop(raw.into_writer()),
        }
    }
}

impl Dispatcher {
    /// Hands a task to a pool. Fails at once, with the task, when too many wait already.
    pub(super) fn try_submit(
        self: &Arc<Self>,
        pool: &WorkerPool<Job>,
        task: Task,
    ) -> Result<(), Task> {
        let dispatcher = self.clone();
        let job = Job { dispatcher, task };
        pool.try_submit(job).map_err(|job| job.task)
    }
}
