//! Calls to other servers. With [`wire`](super::wire) below it the only file that knows ureq.
//!
//! A [`Client`] keeps connections and uses them again, without a thread for each call: 20 µs at the
//! median to a bare std server on the same core, where ureq's own sockets with the same limit take
//! 66 µs. The whole exchange, connecting and the last byte of the answer included, has one limit.
//!
//! **What is sent twice.** A kept connection may be closed by the server at the very moment it is
//! used again. A call whose connection broke is therefore sent once more, on a new connection and
//! within the same limit, if doing it twice does no harm: every `GET`, `HEAD` and `DELETE`,
//! whatever carries `Bazar-Order` (it is applied at most once), and every call of a client that is
//! [`Client::repeating`]. Nothing is sent again after a time-out: the limit is used up.
//!
//! Not done: redirects, proxies (not even those of the environment: servers call each other
//! directly), cookies, compression, TLS.

pub mod agent_slots;
pub mod answer;
#[cfg(test)]
mod tests;
pub mod transport;

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::{self, Request, Response};
use ureq::{Agent, AsSendBody, Body, Timeout};

use super::Method;
use crate::config::Limits;
use crate::http::client::transport::{CachingResolver, TcpConnector, Unconnected};

use agent_slots::{AGENTS, AgentSlots, SEATS_PER_AGENT};
pub use answer::{Answer, Failure, Headers};

/// An answer longer than this is [`Failure::Broken`].
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// More kept connections of one agent are closed. No server has more, because only so many calls
/// use them at a time.
const IDLE_MAX: usize = 4 * SEATS_PER_AGENT;

/// A kept connection is not used again after this long. Below the servers' 10 s, so that it is we
/// who close it.
const IDLE_AGE_MAX: Duration = Duration::from_secs(5);

/// Calls other servers. Clones share the kept connections.
#[derive(Clone)]
pub struct Client {
    agents: Arc<[Agent]>,
    seats: Arc<AgentSlots>,
    /// Those that the agents know; others are told with each request, which costs a copy of all
    /// that an agent is told.
    usual: Limits,
    limits: Limits,
    authorization: Option<Arc<str>>,
    repeating: bool,
}

impl Client {
    /// A client with connections of its own. It shows `token` to everybody it calls.
    pub fn new(limits: Limits, token: Option<&str>) -> Client {
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
        Client {
            agents: (0..AGENTS)
                .map(|_| {
                    Agent::with_parts(config.clone(), TcpConnector, CachingResolver::default())
                })
                .collect(),
            seats: Arc::default(),
            usual: limits,
            limits,
            authorization: token.map(|token| format!("Bearer {token}").into()),
            repeating: false,
        }
    }

    /// The same connections with other limits.
    pub fn with_limits(&self, limits: Limits) -> Client {
        Client {
            limits,
            ..self.clone()
        }
    }

    /// The same connections for calls that may all be sent twice, such as the messages between
    /// catalogs. Whoever makes those asks whether the other is alive, not whether it did something
    /// before it died: if a connection breaks and the next is refused, that is
    /// [`Failure::Refused`].
    pub fn repeating(&self) -> Client {
        Client {
            repeating: true,
            ..self.clone()
        }
    }

    pub fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.call(Method::Get, url, headers, None)
    }

    pub fn put(&self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, Failure> {
        self.call(Method::Put, url, headers, Some(body))
    }

    pub fn delete(&self, url: &str, headers: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.call(Method::Delete, url, headers, None)
    }

    /// Sends a request, JSON if it has a body, and reads the whole answer. `url` is percent-encoded
    /// already.
    pub fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, Failure> {
        // A PUT without a body says so; or else a server might wait for one.
        let bodied = matches!(method, Method::Put | Method::Post);
        let call = Call {
            method,
            url,
            headers,
            body: body.or(bodied.then_some(&[])),
        };
        let deadline = Instant::now() + self.limits.whole;
        let first = match self.exchange(&call, self.limits.whole, IDLE_AGE_MAX) {
            Err(error) if broke(&error) && (self.repeating || call.is_repeatable()) => error,
            done => return done.map_err(|error| call.failure(error)),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let again = self.exchange(&call, left, Duration::ZERO);
        again.map_err(|error| match call.failure(error) {
            // That the second never arrived does not undo the first.
            failure if failure.definite() && !call.is_safe() && !self.repeating => {
                call.failure(first)
            }
            failure => failure,
        })
    }

    /// One request and its answer, on a kept connection that is younger than `idle_age`, or on a
    /// new one.
    fn exchange(
        &self,
        call: &Call,
        whole: Duration,
        idle_age: Duration,
    ) -> Result<Answer, ureq::Error> {
        let head = call.head(self.authorization.as_deref());
        let seat = self.seats.take();
        let agent = &self.agents[seat.agent()];
        let response = match call.body {
            Some(body) => self.run(agent, head.body(body)?, whole, idle_age)?,
            None => self.run(agent, head.body(())?, whole, idle_age)?,
        };
        let (parts, mut body) = response.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            // To its end: only then does the connection go back to the kept ones.
            body: body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?,
        })
    }

    fn run(
        &self,
        agent: &Agent,
        request: Request<impl AsSendBody>,
        whole: Duration,
        idle_age: Duration,
    ) -> Result<Response<Body>, ureq::Error> {
        if (self.limits, whole, idle_age) == (self.usual, self.usual.whole, IDLE_AGE_MAX) {
            return agent.run(request);
        }
        let limited = agent
            .configure_request(request)
            .timeout_resolve(Some(self.limits.connect))
            .timeout_connect(Some(self.limits.connect))
            .timeout_global(Some(whole))
            .max_idle_age(idle_age);
        agent.run(limited.build())
    }
}

/// What is to be sent.
struct Call<'a> {
    method: Method,
    url: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: Option<&'a [u8]>,
}

impl Call<'_> {
    fn head(&self, authorization: Option<&str>) -> http::request::Builder {
        let mut head = Request::builder().method(self.method()).uri(self.url);
        for (name, value) in self.headers {
            head = head.header(*name, *value);
        }
        if let Some(authorization) = authorization {
            head = head.header(http::header::AUTHORIZATION, authorization);
        }
        if self.body.is_some_and(|body| !body.is_empty()) {
            head = head.header(http::header::CONTENT_TYPE, "application/json");
        }
        head
    }

    fn method(&self) -> http::Method {
        match self.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
            Method::Put => http::Method::PUT,
            Method::Post => http::Method::POST,
            Method::Delete => http::Method::DELETE,
            Method::Other => unreachable!("we call with methods that we know"),
        }
    }

    /// Whether a server does nothing on it but answer.
    fn is_safe(&self) -> bool {
        matches!(self.method, Method::Get | Method::Head)
    }

    /// Whether doing it twice is the same as doing it once.
    fn is_repeatable(&self) -> bool {
        let ordered = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("Bazar-Order");
        self.is_safe() || self.method == Method::Delete || self.headers.iter().any(ordered)
    }

    /// Tells definite failures from the others. Only what certainly came before sending is
    /// definite.
    fn failure(&self, error: ureq::Error) -> Failure {
        let say = |why: &dyn fmt::Display| format!("{} {}: {why}", self.method(), self.url);
        match error {
            ureq::Error::Other(other) => match other.downcast_ref::<Unconnected>() {
                Some(failure) if failure.refused => Failure::Refused(say(failure)),
                Some(failure) => Failure::Unconnected(say(failure)),
                None => Failure::Broken(say(&other)),
            },
            // A malformed URL or header is seen before anything is sent.
            ureq::Error::BadUri(_)
            | ureq::Error::Http(_)
            | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                Failure::Unconnected(say(&error))
            }
            ureq::Error::Timeout(_) => Failure::TimedOut(say(&"no answer in time")),
            _ => Failure::Broken(say(&error)),
        }
    }
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
