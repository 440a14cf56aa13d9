//! A small HTTP client, so that the tests see the bytes that any client would see: one
//! connection for each request.

use std::io::{self, Read, Write};
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

    pub fn json(&self) -> Value {
        self.read()
    }

    /// The body as a typed value.
    #[track_caller]
    pub fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}

/// Sends `METHOD path` to `host:port` and reads the whole response.
///
/// Fails when nobody listens, or when the connection ends before the response does.
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
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
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
    } else if response.header("Content-Length").parse() == Ok(rest.len()) || response.status == 204
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
