//! The server as a client sees it, byte by byte. Each test has a server of its own, on an address
//! of its own.

mod answers;
mod connections;
mod ending;
mod heads;
mod limits;
mod origins;
mod refusals;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::http::server::{Lane, Pending, ServerConfig, Service, prepare, serve};
use crate::http::{Body, Method, Request, RequestHead, Response};
use crate::runtime::exit::Exit;
use crate::runtime::metrics::Exposition;

/// No test waits longer for anything that must come.
const DEADLINE: Duration = Duration::from_secs(20);

/// Some routes of each kind.
#[derive(Default)]
struct TestService {
    /// `/gate` waits until it is open.
    open: Mutex<bool>,
    opened: Condvar,
    missing: Mutex<Vec<String>>,
    /// How many requests for `/echo` were answered.
    echoes: AtomicUsize,
}

impl TestService {
    fn open_gate(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn pass_gate(&self) -> Response {
        let open = self.open.lock().unwrap();
        let passed = self.opened.wait_timeout_while(open, DEADLINE, |o| !*o);
        drop(passed);
        Response::bytes(200, b"\"passed\"".to_vec())
    }

    fn echo(&self, request: &Request) -> Response {
        self.echoes.fetch_add(1, Ordering::SeqCst);
        Response::bytes(200, request.body.clone())
    }
}

impl Service for TestService {
    fn lane(&self, request: &Request) -> Lane {
        match request.path().as_slice() {
            ["here"] => Lane::Inline,
            ["rep", "ask"] => Lane::PeerRead,
            ["rep", ..] => Lane::PeerWrite,
            _ => Lane::Client,
        }
    }

    fn try_answer(&self, head: &RequestHead) -> Option<(&'static str, Response)> {
        match head.path {
            "/quick" => Some(("/quick", Response::bytes(200, b"\"quick\"".to_vec()))),
            "/versioned-quick" => {
                let mut response = Response::json(200, &1);
                response.etag = Some("\"3-4\"".into());
                Some(("other", response))
            }
            "/page" => Some(("other", Response::bytes(200, vec![b'7'; 30_000]))),
            "/long" => {
                let body = vec![b'7'; 8_000_000].into();
                Some(("other", Response::shared(200, body)))
            }
            "/quick-panic" => panic!("a handler fails, as it should"),
            _ => None,
        }
    }

    fn try_join(self: Arc<Self>, pending: Pending) -> Result<(), Pending> {
        match pending.request().path().as_slice() {
            ["joined", "elsewhere"] => drop(thread::spawn(move || {
                pending.reply(Response::bytes(200, b"\"joined\"".to_vec()));
            })),
            ["joined", "with-a-rest"] => pending.finish_with(move || self.pass_gate()),
            ["joined", "with-a-panic"] => pending.finish_with(|| panic!("it fails, as it should")),
            ["joined", "and-dropped"] => drop(pending),
            ["joined", "and-panicked"] => panic!("{:?} fails, as it should", pending.request()),
            _ => return Err(pending),
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Response {
        match (request.method, request.path().as_slice()) {
            (_, ["panic"]) => panic!("a handler fails, as it should"),
            (method, ["only-put"]) if method != Method::Put => {
                crate::model::error::Error::MethodNotAllowed("PUT").into()
            }
            (_, ["gate"]) => self.pass_gate(),
            (_, ["pieces"]) => pieces(),
            (_, ["nothing"]) => Response::empty(204),
            (_, ["text", text]) => Response::json(200, text),
            (_, ["versioned"]) => Response::json(200, &1).with("ETag", "\"3-4\""),
            (_, ["headers"]) => Response::json(200, &request.headers),
            (_, ["break"]) => Response::empty(200).with("X-Text", "a\r\nX-Forged: b"),
            (Method::Put, ["echo"] | ["rep", "echo"]) => self.echo(request),
            _ => crate::model::error::Error::NoSuchPath.into(),
        }
    }

    fn route(&self, request: &Request) -> &'static str {
        match request.path().as_slice() {
            ["quick"] => "/quick",
            ["only-put"] => "/only-put",
            ["panic"] => "/panic",
            _ => "other",
        }
    }

    fn is_public(&self, first_segment: &str) -> bool {
        matches!(first_segment, "quick" | "text")
    }

    fn missing(&self) -> Vec<String> {
        self.missing.lock().unwrap().clone()
    }

    fn metrics(&self, page: &mut Exposition) {
        page.counter("test_total", "A figure of the service.", &[], 7);
    }
}

fn pieces() -> Response {
    let pieces = ["[1,", "", "2]"].map(|piece| piece.as_bytes().to_vec());
    Response {
        body: Body::Pieces(Box::new(pieces.into_iter())),
        ..Response::empty(200)
    }
}

/// A server that ends with its test: the servers of one process would take each other's wakeups for
/// new connections, without end.
struct TestServer {
    address: SocketAddr,
    service: Arc<TestService>,
    should_end: &'static AtomicBool,
    served: Option<JoinHandle<Result<(), Exit>>>,
}

/// With a silence of a second.
fn server() -> TestServer {
    server_with(usual())
}

fn usual() -> ServerConfig {
    ServerConfig::new("test", None, Duration::from_secs(1))
}

fn server_with(config: ServerConfig) -> TestServer {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    let listener = TcpListener::bind(SocketAddr::from(([127, 88, 1, last], 0))).unwrap();
    prepare(&listener, config.idle).unwrap();
    let address = listener.local_addr().unwrap();
    let service = Arc::new(TestService::default());
    let answering = service.clone();
    let should_end = Box::leak(Box::new(AtomicBool::new(false)));
    let config = ServerConfig {
        should_end,
        ..config
    };
    let served = thread::spawn(move || serve(listener, config, answering));
    TestServer {
        address,
        service,
        should_end,
        served: Some(served),
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.end();
    }
}

impl TestServer {
    /// Tells it to end, and does not wait.
    fn end(&self) {
        self.should_end.store(true, Ordering::Relaxed);
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Connection(BufReader::new(stream))
    }

    /// The answer to `text` on a connection of its own.
    fn ask(&self, text: &str) -> Answer {
        self.connect().ask(text)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\n\r\n"))
    }
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Adds a host to every request.
    fn send(&mut self, text: &str) {
        self.send_raw(&text.replace(" HTTP/1.1\r\n", " HTTP/1.1\r\nHost: localhost\r\n"));
    }

    fn send_raw(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn ask(&mut self, text: &str) -> Answer {
        self.send(text);
        self.answer(!text.starts_with("HEAD"))
    }

    /// Reads the next answer.
    fn answer(&mut self, with_body: bool) -> Answer {
        let status = self.line();
        let known = ["HTTP/1.1 ", "HTTP/1.0 "];
        let status = known.iter().find_map(|v| status.strip_prefix(v));
        let status = status.unwrap_or("0");
        let mut answer = Answer {
            status: status[..3.min(status.len())].parse().unwrap_or(0),
            ..Answer::default()
        };
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            answer.headers.push((name.to_string(), value.to_string()));
        }
        if with_body {
            answer.body = self.body(&answer);
        }
        answer
    }

    /// All that still comes until the server hangs up.
    fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        String::from_utf8(rest).unwrap()
    }

    /// Whether the server hangs up, having sent nothing more.
    fn is_closed(&mut self) -> bool {
        !matches!(self.0.read(&mut [0; 1]), Ok(1..))
    }

    fn body(&mut self, answer: &Answer) -> Vec<u8> {
        let mut body = Vec::new();
        if answer.header("Transfer-Encoding").is_some() {
            while let size @ 1.. = usize::from_str_radix(&self.line(), 16).unwrap() {
                body.extend(self.bytes(size));
                assert_eq!(self.line(), "");
            }
            assert_eq!(self.line(), "");
        } else if let Some(length) = answer.header("Content-Length") {
            body = self.bytes(length.parse().unwrap());
        } else if answer.header("Connection") == Some("close") {
            self.0.read_to_end(&mut body).unwrap();
        }
        body
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        // A connection that was reset has no further line.
        let _ = self.0.read_line(&mut line);
        line.trim_end().to_string()
    }
}

/// A status of 0 means that there was none.
#[derive(Debug, Default)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let same = |(n, _): &&(String, String)| n == name;
        let header = self.headers.iter().find(same);
        header.map(|(_, value)| value.as_str())
    }

    fn closes(&self) -> bool {
        let is_close = |(n, v): &(String, String)| n == "Connection" && v == "close";
        self.headers.iter().any(is_close)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
