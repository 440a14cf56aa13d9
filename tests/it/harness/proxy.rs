//! A proxy before a server: others reach the server at the proxy's address. The proxy records every
//! request in the shop's [`Trace`], and fails in the ways that networks fail. It reads HTTP only as
//! far as it must to tell one message from the next.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::harness::http;

/// What the proxy does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Passes on the request, and then the response.
    Forward,
    /// Drops the request, and keeps the connection open.
    BlackHole,
    /// Closes the connection instead of passing on the request.
    CloseBeforeRequest,
    /// Passes on the request, drops the response, and keeps the connection open.
    HoldResponse,
    /// Passes on the request, and closes the connection instead of passing on the response.
    CloseBeforeResponse,
}

/// Chooses the action for a request by its method and path, such as `PUT /buy/2`, before the
/// request goes on. A rule may block: other requests go on meanwhile.
type Rule = Arc<dyn Fn(&str) -> Action + Send + Sync>;

/// One message between servers, however often it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The name of the server that it was sent to.
    pub to: String,
    /// Method and path.
    pub line: String,
    /// Of the response; 0 while there is none.
    pub status: u16,
}

/// All requests through a shop's proxies, in the order in which they were received.
#[derive(Debug, Default)]
pub struct Trace(Mutex<Vec<Request>>);

/// One request that a proxy received.
#[derive(Debug)]
struct Request {
    message: Message,
    body: Vec<u8>,
    /// Whether the sender waited for the response until it came.
    delivered: bool,
}

pub struct Proxy {
    /// Where it listens.
    pub address: String,
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    target: String,
    trace: Arc<Trace>,
    rule: Mutex<Rule>,
    /// Requests with one of these in their body vanish.
    dropped: Mutex<Vec<String>>,
    /// Of requests that begin with the first text, those with the second one in their body break.
    broken: Mutex<Vec<(&'static str, &'static str)>>,
    link: Mutex<Link>,
    changed: Condvar,
}

#[derive(Default)]
struct Link {
    cut: bool,
    /// Whether the port is open. Follows `cut`.
    listening: bool,
    /// Both ends of every connection since the last cut.
    streams: Vec<TcpStream>,
}

impl Proxy {
    /// A proxy before the server at `target`, which need not run yet.
    pub fn new(listener: TcpListener, name: &str, target: &str, trace: Arc<Trace>) -> Proxy {
        let address = listener.local_addr().unwrap().to_string();
        let inner = Arc::new(Inner {
            name: name.to_string(),
            target: target.to_string(),
            trace,
            rule: Mutex::new(Arc::new(|_: &str| Action::Forward)),
            dropped: Mutex::default(),
            broken: Mutex::default(),
            link: Mutex::default(),
            changed: Condvar::new(),
        });
        let (accepting, at) = (inner.clone(), address.clone());
        thread::spawn(move || accepting.listen(Some(listener), &at));
        Proxy { address, inner }
    }

    /// From now on this rule chooses every request's action.
    pub fn set_rule(&self, rule: impl Fn(&str) -> Action + Send + Sync + 'static) {
        *self.inner.rule.lock().unwrap() = Arc::new(rule);
    }

    /// From now on every request gets this action.
    pub fn every(&self, action: Action) {
        self.set_rule(move |_| action);
    }

    /// The first request whose method and path begin with `line` gets this action; the others pass.
    pub fn once(&self, line: &'static str, action: Action) {
        self.first(line, move || action);
    }

    /// At the first request whose method and path begin with `line`, `act` runs and chooses the
    /// action; the others pass.
    pub fn first(&self, line: &'static str, act: impl FnOnce() -> Action + Send + 'static) {
        let act = Mutex::new(Some(act));
        self.set_rule(move |request| {
            let act = request
                .starts_with(line)
                .then(|| act.lock().unwrap().take());
            act.flatten().map_or(Action::Forward, |act| act())
        });
    }

    /// Ends all connections and refuses new ones. Returns when that is so.
    pub fn cut(&self) {
        Proxy::cut_all(&[self]);
    }

    /// As [`Proxy::cut`], of all these in one moment: nobody is told by one what another one does
    /// not let through any more.
    pub fn cut_all(proxies: &[&Proxy]) {
        let links = proxies.iter().map(|proxy| proxy.inner.link.lock().unwrap());
        let mut links: Vec<_> = links.collect();
        for link in &mut links {
            link.cut = true;
            for stream in link.streams.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        drop(links);
        for proxy in proxies {
            // Wakes the thread that accepts.
            let _ = TcpStream::connect(&proxy.address);
            let link = proxy.inner.link.lock().unwrap();
            let changed = &proxy.inner.changed;
            drop(changed.wait_while(link, |link| link.listening).unwrap());
        }
    }

    /// From now on requests of these servers vanish, and get no answer, if they say who sends them:
    /// all but `check`, `confirm`, `fetch` and `get`.
    pub fn drop_from(&self, senders: &[&str]) {
        let marks = senders
            .iter()
            .map(|sender| format!("\"from\":\"http://{sender}\""));
        *self.inner.dropped.lock().unwrap() = marks.collect();
    }

    /// From now on the connection is closed instead of passing on a request whose method and path
    /// begin with `line`, if `mark` is in its body.
    pub fn break_those(&self, line: &'static str, mark: &'static str) {
        self.inner.broken.lock().unwrap().push((line, mark));
    }

    /// Accepts connections again after a cut. Returns when that is so.
    pub fn heal(&self) {
        let mut link = self.inner.link.lock().unwrap();
        link.cut = false;
        self.inner.changed.notify_all();
        while !link.listening {
            link = self.inner.changed.wait(link).unwrap();
        }
    }
}

impl Inner {
    /// Accepts connections while the link is not cut. Lives as long as the test's process.
    fn listen(self: &Arc<Self>, mut open: Option<TcpListener>, address: &str) {
        loop {
            let listener = open
                .take()
                .unwrap_or_else(|| TcpListener::bind(address).unwrap());
            self.listening(true);
            while let Ok((client, _)) = listener.accept() {
                if self.link.lock().unwrap().cut {
                    break;
                }
                let inner = self.clone();
                thread::spawn(move || inner.carry(client));
            }
            drop(listener);
            self.listening(false);
            let link = self.link.lock().unwrap();
            drop(self.changed.wait_while(link, |link| link.cut).unwrap());
        }
    }

    fn listening(&self, listening: bool) {
        self.link.lock().unwrap().listening = listening;
        self.changed.notify_all();
    }

    /// Carries one connection's messages until one side ends it.
    fn carry(&self, client: TcpStream) {
        let Ok(server) = TcpStream::connect(&self.target) else {
            return;
        };
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
            let mut link = self.link.lock().unwrap();
            if link.cut {
                return;
            }
            link.streams.push(stream.try_clone().unwrap());
        }
        let (mut from_client, mut from_server) = (BufReader::new(&client), BufReader::new(&server));
        let end = loop {
            match self.exchange(&mut from_client, &mut from_server) {
                Ok(Next::More) => {}
                Ok(end) => break end,
                Err(_) => break Next::End,
            }
        };
        // What is held stays open in the list of streams, until the next cut.
        if end == Next::End {
            let _ = client.shutdown(Shutdown::Both);
        }
        let _ = server.shutdown(Shutdown::Both);
    }

    fn action(&self, line: &str, body: &[u8]) -> Action {
        let has = |mark: &str| String::from_utf8_lossy(body).contains(mark);
        if self.dropped.lock().unwrap().iter().any(|mark| has(mark)) {
            return Action::BlackHole;
        }
        let broken = self.broken.lock().unwrap().clone();
        if broken
            .iter()
            .any(|(start, mark)| line.starts_with(start) && has(mark))
        {
            return Action::CloseBeforeRequest;
        }
        let rule = self.rule.lock().unwrap().clone();
        rule(line)
    }

    /// Carries one request and its response.
    fn exchange(&self, client: &mut Reader, server: &mut Reader) -> io::Result<Next> {
        let request = http::read_message(client)?;
        let line = request.method_and_path();
        let number = self.trace.record(&self.name, line, request.body());
        let action = self.action(line, request.body());
        match action {
            Action::BlackHole => return Ok(Next::Hold),
            Action::CloseBeforeRequest => return Ok(Next::End),
            Action::Forward | Action::HoldResponse | Action::CloseBeforeResponse => {
                server.get_mut().write_all(&request.bytes)?
            }
        }
        let response = http::read_message(server)?;
        let status = response.first_line.split(' ').nth(1);
        let status = status.and_then(|code| code.parse().ok()).unwrap_or(0);
        let delivered = action == Action::Forward && !has_closed(client.get_ref())?;
        self.trace.record_response(number, status, delivered);
        match action {
            Action::HoldResponse => return Ok(Next::Hold),
            Action::CloseBeforeResponse => return Ok(Next::End),
            _ => client.get_mut().write_all(&response.bytes)?,
        }
        Ok(Next::More)
    }
}

/// Whether the other side has given up on its response.
fn has_closed(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    Ok(match peeked {
        Ok(read) => read == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    })
}

impl Trace {
    /// The messages so far, but for heartbeats, health checks and comparisons of ledgers, which
    /// never end.
    ///
    /// A request whose response its sender did not wait for, or never got, may be sent again. The
    /// next request of the same content to the same server is then the same message, and no second
    /// one; its status is that of the last response.
    pub fn messages(&self) -> Vec<Message> {
        let requests = self.0.lock().unwrap();
        let mut messages: Vec<(Message, &Request)> = Vec::new();
        for request in requests.iter().filter(|request| !request.is_periodic()) {
            let sent_before = messages
                .iter_mut()
                .rfind(|(_, last)| last.has_content_of(request) && !last.delivered);
            match sent_before {
                Some((message, last)) => {
                    message.status = request.message.status;
                    *last = request;
                }
                None => messages.push((request.message.clone(), request)),
            }
        }
        messages.into_iter().map(|(message, _)| message).collect()
    }

    /// Returns the request's number.
    fn record(&self, to: &str, line: &str, body: &[u8]) -> usize {
        let mut requests = self.0.lock().unwrap();
        requests.push(Request {
            message: Message {
                to: to.to_string(),
                line: line.to_string(),
                status: 0,
            },
            body: body.to_vec(),
            delivered: false,
        });
        requests.len() - 1
    }

    fn record_response(&self, number: usize, status: u16, delivered: bool) {
        let mut requests = self.0.lock().unwrap();
        requests[number].message.status = status;
        requests[number].delivered = delivered;
    }
}

impl Request {
    fn is_periodic(&self) -> bool {
        let line = &self.message.line;
        let ends = ["/rep/heartbeat", "/rep/ledger", "/readyz"];
        ends.iter().any(|end| line.ends_with(end))
    }

    fn has_content_of(&self, other: &Request) -> bool {
        let (one, two) = (&self.message, &other.message);
        one.to == two.to && one.line == two.line && self.body == other.body
    }
}

type Reader<'a> = BufReader<&'a TcpStream>;

/// What becomes of a connection after an exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    More,
    End,
    Hold,
}
