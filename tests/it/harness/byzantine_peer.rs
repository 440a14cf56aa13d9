//! A catalog that lies: it sends a heartbeat as it should, and to anything else whatever a test
//! wants.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

/// What catalogs put to each other, below `/rep/`; where it is about one book, about book 1.
pub const MESSAGES: [&str; 8] = [
    "heartbeat",
    "get/1",
    "check/1",
    "update/1",
    "confirm/1",
    "page",
    "fetch",
    "claim",
];

/// Status and body, for a path.
pub type Reply = dyn Fn(&str) -> (u16, Value) + Send + Sync;

/// What a liar says to anything but heartbeat.
#[derive(Clone)]
pub enum Behaviour {
    Replies(Arc<Reply>),
    NotJson,
    EndlessBody,
}

/// A catalog that is up, by its heartbeat, and lies otherwise.
pub struct ByzantinePeer {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ByzantinePeer {
    pub fn begin(address: &str, lie: Behaviour) -> ByzantinePeer {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let heard = over.clone();
        let thread = thread::spawn(move || {
            let open: Mutex<Vec<TcpStream>> = Mutex::default();
            while !heard.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let lie = lie.clone();
                thread::spawn(move || converse(stream, &lie));
            }
            for stream in open.lock().unwrap().iter() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        ByzantinePeer {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for ByzantinePeer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().expect("it ends once").join();
    }
}

/// Answers one request after the other, until the connection ends.
fn converse(stream: TcpStream, lie: &Behaviour) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let path = read_request(&mut reader)?;
        let (status, body) = match lie {
            _ if path == "/rep/heartbeat" => {
                (200, json!({"start": 5, "down_count": 0}).to_string())
            }
            Behaviour::Replies(says) => {
                let (status, body) = says(&path);
                (status, body.to_string())
            }
            Behaviour::NotJson => (200, "{\"entries\": [[1,".to_string()),
            Behaviour::EndlessBody => return talk_on(&stream),
        };
        let length = body.len();
        write!(
            &stream,
            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
    }
}

/// The path of the next request, whose body is read and ignored.
fn read_request(reader: &mut impl BufRead) -> io::Result<String> {
    let (mut line, mut path, mut length) = (String::new(), String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap_or_default().to_string();
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            reader.read_exact(&mut vec![0; length])?;
            return Ok(path);
        }
    }
}

fn talk_on(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let chunk = format!("10000\r\n{}\r\n", "[".repeat(0x10000));
    loop {
        stream.write_all(chunk.as_bytes())?;
    }
}
