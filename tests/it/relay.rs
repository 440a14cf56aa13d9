//! A relay before a server: others reach it at the relay's address. It writes every request on the
//! shop's [`Tape`], and can fail in the ways that networks do. It reads HTTP only as far as it must
//! to tell one message from the next.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, and so does the answer.
    Pass,
    /// It vanishes, and the connection stays open: a black hole.
    Swallow,
    /// The connection ends before the request arrives.
    Break,
    /// The request arrives; its answer vanishes, and the connection stays open.
    Withhold,
    /// The request arrives; the connection ends instead of its answer.
    DropAnswer,
}

/// Decides on a request by its method and path, such as `PUT /buy/2`. Called before the request
/// goes on; it may take its time, during which other requests are decided on.
type Rule = Arc<dyn Fn(&str) -> Fate + Send + Sync>;

/// What relays saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The name of the server that it was sent to.
    pub to: String,
    /// Method and path.
    pub line: String,
    /// Of the answer; 0 while there is none.
    pub status: u16,
}

/// All messages through a shop's relays, in the order in which they were sent.
#[derive(Debug, Default)]
pub struct Tape(Mutex<Vec<Message>>);

pub struct Relay {
    /// Where it listens.
    pub place: String,
    wire: Arc<Wire>,
}

struct Wire {
    name: String,
    target: String,
    tape: Arc<Tape>,
    rule: Mutex<Rule>,
    cable: Mutex<Cable>,
    changed: Condvar,
}

#[derive(Default)]
struct Cable {
    cut: bool,
    /// Whether the port is open. Follows `cut`.
    listening: bool,
    /// Both ends of every connection since the last cut.
    streams: Vec<TcpStream>,
}

impl Relay {
    /// A relay on `host` before the server at `target`, which need not run yet.
    pub fn new(host: &str, name: &str, target: &str, tape: Arc<Tape>) -> Relay {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let place = listener.local_addr().unwrap().to_string();
        let wire = Arc::new(Wire {
            name: name.to_string(),
            target: target.to_string(),
            tape,
            rule: Mutex::new(Arc::new(|_: &str| Fate::Pass)),
            cable: Mutex::default(),
            changed: Condvar::new(),
        });
        let (accepting, at) = (wire.clone(), place.clone());
        thread::spawn(move || accepting.listen(Some(listener), &at));
        Relay { place, wire }
    }

    /// From now on every request's fate is decided so.
    pub fn rule(&self, rule: impl Fn(&str) -> Fate + Send + Sync + 'static) {
        *self.wire.rule.lock().unwrap() = Arc::new(rule);
    }

    /// From now on every request has this fate.
    pub fn every(&self, fate: Fate) {
        self.rule(move |_| fate);
    }

    /// The first request whose method and path begin so has this fate.
    pub fn once(&self, line: &'static str, fate: Fate) {
        self.first(line, move || fate);
    }

    /// At the first request whose method and path begin so, this is done and decides; the others
    /// pass.
    pub fn first(&self, line: &'static str, act: impl FnOnce() -> Fate + Send + 'static) {
        let act = Mutex::new(Some(act));
        self.rule(move |request| {
            let act = request
                .starts_with(line)
                .then(|| act.lock().unwrap().take());
            act.flatten().map_or(Fate::Pass, |act| act())
        });
    }

    /// A clean cut: connections end, and new ones are refused. Returns when that is so.
    pub fn cut(&self) {
        let mut cable = self.wire.cable.lock().unwrap();
        cable.cut = true;
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(&self.place);
        while cable.listening {
            cable = self.wire.changed.wait(cable).unwrap();
        }
        for stream in cable.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The cut is healed. Returns when that is so.
    pub fn heal(&self) {
        let mut cable = self.wire.cable.lock().unwrap();
        cable.cut = false;
        self.wire.changed.notify_all();
        while !cable.listening {
            cable = self.wire.changed.wait(cable).unwrap();
        }
    }
}

impl Wire {
    /// Accepts connections while the cable is whole. Lives as long as the test's process.
    fn listen(self: &Arc<Self>, mut open: Option<TcpListener>, place: &str) {
        loop {
            let listener = open
                .take()
                .unwrap_or_else(|| TcpListener::bind(place).unwrap());
            self.listening(true);
            while let Ok((client, _)) = listener.accept() {
                if self.cable.lock().unwrap().cut {
                    break;
                }
                let wire = self.clone();
                thread::spawn(move || wire.carry(client));
            }
            drop(listener);
            self.listening(false);
            let cable = self.cable.lock().unwrap();
            drop(self.changed.wait_while(cable, |cable| cable.cut).unwrap());
        }
    }

    fn listening(&self, listening: bool) {
        self.cable.lock().unwrap().listening = listening;
        self.changed.notify_all();
    }

    /// Carries one connection's messages until one side ends it.
    fn carry(&self, client: TcpStream) {
        let Ok(server) = TcpStream::connect(&self.target) else {
            return;
        };
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
            let mut cable = self.cable.lock().unwrap();
            if cable.cut {
                return;
            }
            cable.streams.push(stream.try_clone().unwrap());
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

    /// Carries one request and its answer.
    fn exchange(&self, client: &mut Reader, server: &mut Reader) -> io::Result<Next> {
        let (first, request) = read(client)?;
        let line = first.rsplit_once(' ').map_or("", |(line, _)| line);
        let number = self.tape.sent(&self.name, line);
        let rule = self.rule.lock().unwrap().clone();
        let fate = rule(line);
        match fate {
            Fate::Swallow => return Ok(Next::Hold),
            Fate::Break => return Ok(Next::End),
            Fate::Pass | Fate::Withhold | Fate::DropAnswer => {
                server.get_mut().write_all(&request)?
            }
        }
        let (first, answer) = read(server)?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        self.tape.answered(number, status.unwrap_or(0));
        match fate {
            Fate::Withhold => return Ok(Next::Hold),
            Fate::DropAnswer => return Ok(Next::End),
            _ => client.get_mut().write_all(&answer)?,
        }
        Ok(Next::More)
    }
}

impl Tape {
    /// What was sent so far, contact and watching left out: they go on for ever.
    pub fn messages(&self) -> Vec<Message> {
        let all = self.0.lock().unwrap();
        let shown = all.iter().filter(|message| {
            !message.line.ends_with("/rep/heartbeat") && !message.line.ends_with("/readyz")
        });
        shown.cloned().collect()
    }

    fn sent(&self, to: &str, line: &str) -> usize {
        let mut all = self.0.lock().unwrap();
        all.push(Message {
            to: to.to_string(),
            line: line.to_string(),
            status: 0,
        });
        all.len() - 1
    }

    fn answered(&self, number: usize, status: u16) {
        self.0.lock().unwrap()[number].status = status;
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

/// One message as it came, and its first line. Fails when the connection ends. Servers send each
/// other nothing chunked.
fn read(from: &mut Reader) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut length = 0;
    let mut line_start = 0;
    while !bytes[line_start..].starts_with(b"\r\n") {
        line_start = bytes.len();
        if from.read_until(b'\n', &mut bytes)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&bytes[line_start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        assert!(!line.starts_with("transfer-encoding:"), "{line}");
    }
    let first = bytes
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let first = String::from_utf8_lossy(first).into_owned();
    let head = bytes.len();
    bytes.resize(head + length, 0);
    from.read_exact(&mut bytes[head..])?;
    Ok((first, bytes))
}
