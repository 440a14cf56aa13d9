//! A server that answers whatever a test wants, in the place of a real one.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::http;

/// What a fake server answers.
pub enum Reply {
    Json(u16, Value),
    /// This body, with status 200.
    Text(&'static str),
    /// A body that never ends.
    Endless,
}

/// Chooses the reply to a request by its method and path, such as `PUT /buy/2`.
pub type Replies = dyn Fn(&str) -> Reply + Send + Sync;

/// A fake server. It ends, and closes its connections, when it is dropped.
pub struct FakeServer {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeServer {
    pub fn start(address: &str, replies: Arc<Replies>) -> FakeServer {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ending = over.clone();
        let thread = thread::spawn(move || {
            let open: Mutex<Vec<TcpStream>> = Mutex::default();
            while !ending.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let replies = replies.clone();
                thread::spawn(move || serve(stream, &*replies));
            }
            for stream in open.lock().unwrap().iter() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        FakeServer {
            over,
            thread: Some(thread),
        }
    }

    /// A catalog that answers heartbeats as it should, so that it counts as live.
    pub fn live_catalog(address: &str, replies: Arc<Replies>) -> FakeServer {
        let standing = standing(address);
        let with_heartbeats = move |request: &str| match request {
            "PUT /rep/heartbeat" => {
                let reply = json!({"start": 5, "down_count": 0});
                let token = json!({"start": 5, "gap": 0, "at": 0});
                let answer = json!({"reply": reply, "standing": standing, "token": token});
                Reply::Json(200, answer)
            }
            // As a version of Bazar without a ledger.
            "PUT /rep/ledger" => Reply::Json(404, json!({"message": "Not found"})),
            _ => match replies(request) {
                // Pages say how the sender stands, too.
                Reply::Json(200, mut body) if request == "PUT /rep/page" => {
                    body["standing"] = standing.clone();
                    Reply::Json(200, body)
                }
                reply => reply,
            },
        };
        FakeServer::start(address, Arc::new(with_heartbeats))
    }
}

/// What the fake catalog at this address says of itself with its heartbeats and pages.
pub fn standing(address: &str) -> Value {
    json!({"from": format!("http://{address}"), "start": 5, "starts": 1, "sequence": 1,
        "left_out": [], "serving": true, "whole": true, "disk_refuses": false})
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().expect("it ends once").join();
    }
}

/// Answers one request after the other, until the connection ends.
fn serve(mut stream: TcpStream, replies: &Replies) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let request = http::read_message(&mut reader)?;
        let (status, body) = match replies(request.method_and_path()) {
            Reply::Json(status, body) => (status, body.to_string()),
            Reply::Text(body) => (200, body.to_string()),
            Reply::Endless => return send_without_end(&stream),
        };
        let head = format!("HTTP/1.1 {status} X\r\nETag: \"0-0\"");
        let length = body.len();
        write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}")?;
    }
}

fn send_without_end(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let chunk = format!("10000\r\n{}\r\n", "[".repeat(0x10000));
    loop {
        stream.write_all(chunk.as_bytes())?;
    }
}
