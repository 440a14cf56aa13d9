//! The target of a request, and the names of hosts. tiny_http hands both over as they came
//! (HTTP.md, 10).

use crate::model::error::{Error, Result};

/// What a request is about, undecoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Target<'a> {
    /// Begins with `/`, or is `*`.
    pub(super) path: &'a str,
    /// The text after `?`, if any.
    pub(super) query: Option<&'a str>,
    /// The host and port of the absolute form (`http://host/path`), which proxies send.
    pub(super) authority: Option<&'a str>,
}

/// Takes a target apart (RFC 9112, 3.2). Fails with 400 when it is none: a fragment, a control
/// character, another scheme than `http`, or no host.
pub(super) fn target(url: &str) -> Result<Target<'_>> {
    let malformed = Err(Error::BadRequest("The path is malformed".into()));
    if any_byte(url, |b| b.is_ascii_control() || b == b'#') {
        return malformed;
    }
    let (authority, rest) = match url.as_bytes() {
        [b'/', ..] | b"*" => (None, url),
        _ => match absolute(url) {
            Some((host, rest)) => (Some(host), rest),
            None => return malformed,
        },
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let path = if path.is_empty() { "/" } else { path };
    Ok(Target {
        path,
        query,
        authority,
    })
}

/// Host and port of an absolute target, and what follows. The path may be missing, and a query
/// string may hold slashes (RFC 3986, 3.2).
fn absolute(url: &str) -> Option<(&str, &str)> {
    const SCHEME: &str = "http://";
    let scheme = url.get(..SCHEME.len())?;
    let rest = &url[SCHEME.len()..];
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at(end);
    let fits = scheme.eq_ignore_ascii_case(SCHEME) && is_host(host) && !name(host).is_empty();
    fits.then_some((host, rest))
}

/// Whether this is a host, perhaps with a port (RFC 9110, 7.2). It may be empty: a client whose
/// address has no host says so.
pub(super) fn is_host(text: &str) -> bool {
    let name = name(text);
    let port = match &text[name.len()..] {
        "" => "",
        rest => rest.strip_prefix(':').unwrap_or("none"),
    };
    let is_ours = |b: u8| {
        matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'!'
            | b'$' | b'&'..=b',' | b';' | b'=' | b'%')
    };
    let is_address = |b: u8| b.is_ascii_hexdigit() || b":.".contains(&b);
    let named = match name.strip_prefix('[') {
        Some(address) => address
            .strip_suffix(']')
            .is_some_and(|address| !address.is_empty() && address.bytes().all(is_address)),
        None => name.bytes().all(is_ours),
    };
    named && port.bytes().all(|b| b.is_ascii_digit())
}

/// As `any`, but without an end at the first: so the compiler looks at many bytes at once.
pub(super) fn any_byte(text: &str, is_one: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(false, |found, byte| found | is_one(byte))
}

/// A host without its port.
pub(super) fn name(host: &str) -> &str {
    let end = match host.strip_prefix('[') {
        Some(address) => address.find(']').map(|at| at + 2),
        None => host.find(':'),
    };
    &host[..end.unwrap_or(host.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, path: &str, query: Option<&str>, authority: Option<&str>) {
        let expected = Target {
            path,
            query,
            authority,
        };
        assert_eq!(target(url), Ok(expected), "{url}");
    }

    #[test]
    fn a_target_has_a_path_and_perhaps_a_query_and_a_host() {
        check("/a/b?c=d?e", "/a/b", Some("c=d?e"), None);
        check("/buy/http://h/2", "/buy/http://h/2", None, None);
        check("http://h:80/a", "/a", None, Some("h:80"));
        check("HTTP://h", "/", None, Some("h"));
        let to = "next=/buy/3";
        check("http://h?next=/buy/3", "/", Some(to), Some("h"));
        check(
            "http://[::1]:8/?next=/buy/3",
            "/",
            Some(to),
            Some("[::1]:8"),
        );
        check("*", "*", None, None);
    }

    #[test]
    fn a_target_that_is_none_is_refused() {
        for url in [
            "",
            "a",
            "a/b",
            "?a",
            "*a",
            "http://",
            "http:///a",
            "http://:80/a",
            "http://?a",
            "https://h/a",
            "ftp://h/a",
            "http:/h/a",
            "h://h/a",
            "http://u@h/a",
            "http://a b/",
            "/a#b",
            "/#",
            "http://h#/a",
            "/a?b#c",
            "/a\u{1}",
            "/a?b\u{7f}",
            "/a\r",
        ] {
            assert!(target(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_perhaps_with_a_port() {
        for host in [
            "",
            "shop",
            "shop.example:80",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:80",
            "a_b",
            "shop:",
        ] {
            assert!(is_host(host), "{host}");
        }
        for text in [
            "a b", "a/b", "a b/@c", "u@h", "h:80:80", "h:x", "[::1", "[]", "[::1]x", "::1",
            "a,b c", "h?", "h#", "\"h\"", "<h>", "h\\",
        ] {
            assert!(!is_host(text), "{text}");
        }
    }
}
