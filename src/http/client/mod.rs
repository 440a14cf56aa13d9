//! Calls to other servers, on top of ureq.
//!
//! A `Client` keeps connections and uses them again, without a thread for each call: 20 µs at the
//! median to a bare std server on the same core, where ureq's own sockets with the same limit take
//! 66 µs. The whole exchange, from connecting to the last byte of the answer, has one limit.
//!
//! **What is sent twice.** The server may close a kept connection at the very moment it is used
//! again. So a call whose connection broke is sent once more, on a new connection and within the
//! same limit, if doing it twice does no harm: every `GET` and `DELETE`, every call with
//! `Bazar-Order` (an order is applied at most once), and every call of a client that is
//! `Client::idempotent`. Nothing is sent again after a time-out: the limit is used up.
//!
//! Not done: redirects, cookies, compression, TLS; and proxies, not even those of the environment:
//! servers call each other directly, but in `bazar shop --demo` (`proxy`).
//!
//! To read: `call` is one call, and what its failure means; `transport` the sockets below ureq;
//! `agent_slots` which connections a call uses; `recorded`
//! what a trace keeps of a call. What ureq does unexpectedly is in
//! `../server/HTTP.md`, 15 to 19.

mod agent_slots;
mod call;
pub(crate) mod proxy;
mod recorded;
#[cfg(test)]
mod tests;
mod transport;

use std::fmt;
use std::io::{BufRead, BufReader, ErrorKind, Split};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use ureq::http::{Request, Response};
use ureq::{Agent, AsSendBody, Body, BodyReader};

use crate::config::Limits;
use crate::http::Method;
use crate::model::error::Error;
use crate::runtime::span::Span;
use agent_slots::{AGENTS, AgentSlots, SLOTS_PER_AGENT};
use call::Call;
use transport::{CachingResolver, TcpConnector};

/// An answer longer than this is [`Failure::Broken`].
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// More kept connections of one agent are closed. No server has more, because only so many calls
/// use them at a time.
const IDLE_MAX: usize = 4 * SLOTS_PER_AGENT;

/// A kept connection is not used again after this long. Below the servers' 10 s, so that it is the
/// client that closes it.
const IDLE_AGE_MAX: Duration = Duration::from_secs(5);

/// Calls other servers. Clones share the kept connections.
#[derive(Clone)]
pub(crate) struct Client {
    agents: Arc<[Agent]>,
    slots: Arc<AgentSlots>,
    limits: Limits,
    authorization: Option<Arc<str>>,
    idempotent: bool,
    /// Less time than `limits` for a whole call.
    patience: Option<Duration>,
}

/// What a server answered, whatever the status.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

/// The lines of an answer, while they arrive. They end with an error when their time is over.
pub(crate) type Lines = Split<BufReader<BodyReader<'static>>>;

/// As ureq read them: a copy of each would be as much work again.
pub(crate) type Headers = ureq::http::HeaderMap;

/// Why there is no answer. Each says what was tried on which server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// Nobody listens there: nothing happened, and the server is dead.
    Refused(String),
    /// No connection in time, or none to be had: nothing happened, but the server may live.
    Unconnected(String),
    /// No whole answer in time: it may have happened.
    TimedOut(String),
    /// The connection broke, or the answer makes no sense: it may have happened.
    Broken(String),
}

impl Client {
    /// A client with connections of its own. It shows `token` to every server it calls.
    pub(crate) fn new(limits: Limits, token: Option<&str>) -> Client {
        Client::connecting(TcpConnector::Shop, limits, token)
    }

    /// A client for a server that is none of the shop's: not through its proxy, and without a
    /// token.
    pub(crate) fn outside(limits: Limits) -> Client {
        Client::connecting(TcpConnector::Outside, limits, None)
    }

    fn connecting(connector: TcpConnector, limits: Limits, token: Option<&str>) -> Client {
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(IDLE_MAX)
            .max_idle_connections_per_host(IDLE_MAX)
            .max_idle_age(IDLE_AGE_MAX)
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_global(Some(limits.whole))
            .user_agent("")
            .accept("")
            .accept_encoding("")
            .build();
        let agent = || Agent::with_parts(config.clone(), connector, CachingResolver::default());
        Client {
            agents: (0..AGENTS).map(|_| agent()).collect(),
            slots: Arc::default(),
            limits,
            authorization: token.map(|token| format!("Bearer {token}").into()),
            idempotent: false,
            patience: None,
        }
    }

    /// How long a call may take.
    pub(crate) fn time_limit(&self) -> Duration {
        self.limits.whole
    }

    /// This client, for calls that may take no longer than this, if it is given; a millisecond at
    /// least, or none could succeed.
    pub(crate) fn within(&self, patience: Option<Duration>) -> Client {
        Client {
            patience: patience.map(|it| it.max(Duration::from_millis(1))),
            ..self.clone()
        }
    }

    /// Makes all calls count as idempotent, such as the messages between catalogs. Their sender
    /// wants to know whether the other server is alive, not whether it did something before it
    /// died: if a connection breaks and the next one is refused, that is [`Failure::Refused`].
    pub(crate) fn idempotent(self) -> Client {
        Client {
            idempotent: true,
            ..self
        }
    }

    pub(crate) fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.call(Method::Get, url, headers, None)
    }

    pub(crate) fn put(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Failure> {
        self.call(Method::Put, url, headers, Some(body))
    }

    /// Sends a request whose answer is lines that come whenever there is something to say, for at
    /// most `time`. Fails with [`Failure::Broken`] when the status is not 200.
    pub(crate) fn post_for_lines(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        time: Duration,
    ) -> Result<Lines, Failure> {
        let call = Call {
            method: Method::Post,
            url,
            headers,
            body: Some(body),
        };
        let head = call.head(self.authorization.as_deref()).body(body);
        let response = head
            .map_err(ureq::Error::from)
            .and_then(|request| self.run(&self.agents[0], request, Some(time)))
            .map_err(|error| call.failure(error))?;
        let (parts, body) = response.into_parts();
        if parts.status != 200 {
            return Err(Failure::Broken(format!("{url}: status {}", parts.status)));
        }
        Ok(BufReader::new(body.into_reader()).split(b'\n'))
    }

    /// Sends a request, JSON if it has a body, and reads the whole answer. `url` is percent-encoded
    /// already.
    pub(crate) fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, Failure> {
        let (peer, path) = split_url(url);
        let Some(mut span) = Span::client(|| format!("{} {path}", method.word())) else {
            return self.send(method, url, headers, body);
        };
        let traceparent = span.context.header();
        let passed_on = headers.iter().filter(|(name, _)| *name != "traceparent");
        let own = ("traceparent", traceparent.as_str());
        let headers: Vec<(&str, &str)> = passed_on.copied().chain([own]).collect();
        let outcome = self.send(method, url, &headers, body);
        span.set("peer", peer);
        span.set("request", recorded::request(method, path, &headers, body));
        match &outcome {
            Ok(answer) => {
                span.set("status", answer.status);
                span.set("response", recorded::response(answer));
            }
            Err(failure) => span.set("failure", failure.word()),
        }
        span.end();
        outcome
    }

    /// As [`Client::call`], without a trace.
    fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, Failure> {
        // A PUT without a body says so: otherwise a server might wait for one.
        let has_body = matches!(method, Method::Put | Method::Post | Method::Patch);
        let call = Call {
            method,
            url,
            headers,
            body: body.or(has_body.then_some(&[])),
        };
        let whole = self.limits.whole;
        let deadline = Instant::now() + self.patience.map_or(whole, |it| it.min(whole));
        let first = match self.exchange(&call, None) {
            Err(error) if broke(&error) && (self.idempotent || call.is_idempotent()) => error,
            outcome => return outcome.map_err(|error| call.failure(error)),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let second = self.exchange(&call, Some(left));
        second.map_err(|error| match call.failure(error) {
            // That the second never arrived does not undo the first.
            failure if failure.definite() && !call.is_safe() && !self.idempotent => {
                call.failure(first)
            }
            failure => failure,
        })
    }

    /// One request and its answer. `again`: it is sent for the second time, so it goes on a new
    /// connection and has only so much time.
    fn exchange(&self, call: &Call, again: Option<Duration>) -> Result<Answer, ureq::Error> {
        let head = call.head(self.authorization.as_deref());
        let slot = self.slots.acquire();
        let agent = &self.agents[slot.agent()];
        let response = match call.body {
            Some(body) => self.run(agent, head.body(body)?, again)?,
            None => self.run(agent, head.body(())?, again)?,
        };
        let (parts, mut body) = response.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            // To its end: only then is the connection kept.
            body: body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?,
        })
    }

    fn run(
        &self,
        agent: &Agent,
        request: Request<impl AsSendBody>,
        again: Option<Duration>,
    ) -> Result<Response<Body>, ureq::Error> {
        let Some(left) = again.or(self.patience) else {
            return agent.run(request);
        };
        let mut limited = agent.configure_request(request).timeout_global(Some(left));
        if again.is_some() {
            limited = limited.max_idle_age(Duration::ZERO);
        }
        agent.run(limited.build())
    }
}

/// The server of a URL, and the path there.
fn split_url(url: &str) -> (&str, &str) {
    let host = url.find("//").map_or(0, |at| at + 2);
    let path = url[host..].find('/').map_or(url.len(), |at| host + at);
    url.split_at(path)
}

/// Whether the connection broke, as it does when the server closes a kept one at the moment it is
/// used again.
fn broke(error: &ureq::Error) -> bool {
    let ureq::Error::Io(error) = error else {
        return false;
    };
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}

impl fmt::Debug for Client {
    /// Without the token, which must not get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({:?})", self.limits)
    }
}

impl Answer {
    /// The first header of that name, if it is ASCII.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, read as JSON. Fails with [`Failure::Broken`] when it is not that of a `T`.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let status = self.status;
            Failure::Broken(format!("an answer {status} that makes no sense: {error}"))
        })
    }

    /// The body of a 200, read as a list of so many entries. `None`: it is something else.
    pub(crate) fn list<T: DeserializeOwned>(&self, count: usize) -> Option<Vec<T>> {
        let list: Vec<T> = self.json().ok().filter(|_| self.status == 200)?;
        (list.len() == count).then_some(list)
    }
}

impl Failure {
    /// Whether nothing happened, so that another server may be asked.
    pub(crate) fn definite(&self) -> bool {
        matches!(self, Failure::Refused(_) | Failure::Unconnected(_))
    }
}

impl Failure {
    /// In a word, for a trace.
    fn word(&self) -> &'static str {
        match self {
            Failure::Refused(_) => "refused",
            Failure::Unconnected(_) => "not connected",
            Failure::TimedOut(_) => "timed out",
            Failure::Broken(_) => "broken",
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Refused(text) | Failure::Unconnected(text) => Error::Unreachable(text),
            Failure::TimedOut(text) | Failure::Broken(text) => Error::TimedOut(text),
        }
    }
}
