//! A request and its answer as text: what a trace keeps of a message, for people to read. Without
//! what every message has, and without `Authorization`, which is a secret.

use crate::http::Method;
use crate::http::client::Answer;

/// Of a longer body only the beginning is kept: so the spans of a process stay below 10 MB.
const BODY_BYTES_MAX: usize = 1000;

/// `headers` are those of this request alone.
pub(super) fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> String {
    let line = format!("{} {path} HTTP/1.1", method.word());
    let headers = headers.iter().copied();
    message(line, headers, body.unwrap_or_default())
}

pub(super) fn response(answer: &Answer) -> String {
    let line = format!("HTTP/1.1 {}", answer.status);
    let of_all = [
        "connection",
        "content-length",
        "content-type",
        "date",
        "keep-alive",
    ];
    let is_own = |name: &str| !of_all.contains(&name);
    let headers = answer.headers.iter().filter_map(|(name, value)| {
        let name = name.as_str();
        Some((name, value.to_str().ok()?)).filter(|_| is_own(name))
    });
    message(line, headers, &answer.body)
}

fn message<'a>(
    line: String,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: &[u8],
) -> String {
    let mut text = line;
    for (name, value) in headers {
        text += &format!("\n{name}: {value}");
    }
    if !body.is_empty() {
        let kept = &body[..body.len().min(BODY_BYTES_MAX)];
        text += &format!("\n\n{}", String::from_utf8_lossy(kept));
    }
    if BODY_BYTES_MAX < body.len() {
        text += &format!("… ({} bytes)", body.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_shown_as_it_was_sent_and_a_long_body_is_cut() {
        let headers = [("If-Match", "\"0-0\""), ("traceparent", "t")];
        let sent = request(
            Method::Put,
            "/update/2",
            &headers,
            Some(b"{\"quantity\":4}"),
        );
        let expected =
            "PUT /update/2 HTTP/1.1\nIf-Match: \"0-0\"\ntraceparent: t\n\n{\"quantity\":4}";
        assert_eq!(sent, expected);
        assert_eq!(request(Method::Get, "/", &[], None), "GET / HTTP/1.1");
        let long = request(Method::Put, "/", &[], Some(&[b'x'; 5000]));
        assert!(
            long.ends_with("x… (5000 bytes)") && long.len() < 1100,
            "{long}"
        );
    }
}
