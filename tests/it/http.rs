//! A small HTTP client of its own, so that the tests see bytes as a unknown_peer would: one
//! connection for each request.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Far longer than any answer takes, so that only a hang is a failure.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The first header of that name; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        let same = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(same)
            .map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        self.read()
    }

    /// The body as a typed value.
    #[track_caller]
    pub fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}

/// Sends `METHOD path` to `host:port` and reads the whole answer.
///
/// Fails when nobody listens, or when the connection ends before the answer does.
pub fn call(
    place: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(place)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes, method == "HEAD")
}

/// Reads one answer. Its length must be what its head says.
pub fn parse(bytes: &[u8], bodyless: bool) -> io::Result<Answer> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, String::from_utf8_lossy(bytes));
    let text = std::str::from_utf8(bytes).map_err(|_| wrong())?;
    let (head, rest) = text.split_once("\r\n\r\n").ok_or_else(wrong)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let headers = lines.filter_map(|line| line.split_once(": "));
    let mut answer = Answer {
        status: status
            .and_then(|text| text.parse().ok())
            .ok_or_else(wrong)?,
        headers: headers
            .map(|(n, v)| (n.to_string(), v.to_string()))
            .collect(),
        body: String::new(),
    };
    if bodyless {
        return Ok(answer);
    }
    if answer.header("Transfer-Encoding") == "chunked" {
        answer.body = unchunk(rest).ok_or_else(wrong)?;
    } else if answer.header("Content-Length").parse() == Ok(rest.len()) || answer.status == 204 {
        answer.body = rest.to_string();
    } else {
        return Err(wrong());
    }
    Ok(answer)
}

fn unchunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body += after.get(..size)?;
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}
