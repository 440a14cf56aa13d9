//! HTTP as a client on the wire sees it: a call on a connection of its own, and how a message is
//! read.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Far longer than any response takes, so that only a hang is a failure.
const RESPONSE_MAX: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    /// The first header of that name; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        let same = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(same)
            .map_or("", |(_, value)| value)
    }

    /// Whether this is the response to a buy that took a copy.
    pub fn is_purchase(&self) -> bool {
        self.status == 200 && self.json()["success"] == true
    }

    /// The body as a JSON list.
    #[track_caller]
    pub fn list(&self) -> Vec<Value> {
        self.read()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        self.read()
    }

    /// The body as a typed value.
    #[track_caller]
    pub fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}

/// Sends `METHOD path` to `host:port` and reads the whole response. A `Host` among the headers
/// replaces the usual one.
///
/// Fails when no server listens, or when the connection ends before the response does.
pub fn call(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(RESPONSE_MAX))?;
    stream.set_write_timeout(Some(RESPONSE_MAX))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if headers.iter().all(|(name, _)| *name != "Host") {
        head += &format!("Host: {address}\r\n");
    }
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

/// Reads one response. Its length must be what its head says.
pub fn parse(bytes: &[u8], bodyless: bool) -> io::Result<Response> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, String::from_utf8_lossy(bytes));
    let text = std::str::from_utf8(bytes).map_err(|_| wrong())?;
    let (head, rest) = text.split_once("\r\n\r\n").ok_or_else(wrong)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let headers = lines.filter_map(|line| line.split_once(": "));
    let mut response = Response {
        status: status
            .and_then(|text| text.parse().ok())
            .ok_or_else(wrong)?,
        headers: headers
            .map(|(n, v)| (n.to_string(), v.to_string()))
            .collect(),
        body: String::new(),
    };
    if bodyless {
        return Ok(response);
    }
    if response.header("Transfer-Encoding") == "chunked" {
        response.body = unchunk(rest).ok_or_else(wrong)?;
    } else if response.header("Content-Length").parse() == Ok(rest.len())
        || [204, 304].contains(&response.status)
    {
        response.body = rest.to_string();
    } else {
        return Err(wrong());
    }
    Ok(response)
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

/// A request or a response as it came.
pub struct Message {
    pub first_line: String,
    pub bytes: Vec<u8>,
    head_length: usize,
}

impl Message {
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.head_length..]
    }

    /// Of a request, such as `PUT /buy/2`.
    pub fn method_and_path(&self) -> &str {
        let line = self.first_line.rsplit_once(' ');
        line.map_or("", |(method_and_path, _version)| method_and_path)
    }
}

/// Reads one request or response whose body is as long as its head says. Fails when the connection
/// ends.
pub fn read_message(from: &mut impl BufRead) -> io::Result<Message> {
    let (mut bytes, mut length, mut line_start) = (Vec::new(), 0, 0);
    while !bytes[line_start..].starts_with(b"\r\n") {
        line_start = bytes.len();
        if from.read_until(b'\n', &mut bytes)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&bytes[line_start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length is a number");
        }
        assert!(!line.starts_with("transfer-encoding:"), "{line}");
    }
    let first_line = bytes.split(|byte| *byte == b'\r').next();
    let first_line = String::from_utf8_lossy(first_line.unwrap_or_default()).into_owned();
    let head_length = bytes.len();
    bytes.resize(head_length + length, 0);
    from.read_exact(&mut bytes[head_length..])?;
    Ok(Message {
        first_line,
        bytes,
        head_length,
    })
}
