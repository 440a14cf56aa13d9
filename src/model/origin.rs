//! Where a page comes from, as its browser says in `Origin` (RFC 6454): scheme, host and port.

use std::fmt;

/// An origin such as `https://shop.example`: lower-case, without the scheme's own port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    is_secure: bool,
    text: String,
}

impl Origin {
    /// Reads an origin. A last `/`, capitals, and the scheme's own port make no difference. Fails
    /// with what an origin must look like. `null`, the origin of a page that has none, fails too.
    pub(crate) fn parse(text: &str) -> Result<Origin, String> {
        let wrong = || format!("{text:?} is not an origin such as https://shop.example");
        let lower = text.trim().to_ascii_lowercase();
        let (scheme, rest) = lower.split_once("://").ok_or_else(wrong)?;
        let is_secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong()),
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        Origin::of(is_secure, host).ok_or_else(wrong)
    }

    /// Reads origins separated by `|`. An empty text has none.
    pub(crate) fn parse_list(text: &str) -> Result<Vec<Origin>, String> {
        let parts = text.split('|').map(str::trim);
        let given = parts.filter(|part| !part.is_empty());
        given.map(Origin::parse).collect()
    }

    /// Whether a request to this `Host` is to the server that the page came from. A proxy may have
    /// done the TLS, so that the scheme is not compared.
    pub(crate) fn is_at(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        Origin::of(self.is_secure, &host).is_some_and(|at| at == *self)
    }

    fn of(is_secure: bool, host: &str) -> Option<Origin> {
        let (scheme, own_port) = if is_secure {
            ("https", ":443")
        } else {
            ("http", ":80")
        };
        let host = host.strip_suffix(own_port).unwrap_or(host);
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        let is_host = !host.is_empty() && host.chars().all(is_fine);
        is_host.then(|| Origin {
            is_secure,
            text: format!("{scheme}://{host}"),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let got = Origin::parse(text).ok().map(|origin| origin.to_string());
        assert_eq!(got.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn spellings_of_one_origin_are_equal() {
        check("https://shop.example", Some("https://shop.example"));
        check(" HTTPS://Shop.Example:443/ ", Some("https://shop.example"));
        check("http://shop.example:80", Some("http://shop.example"));
        check("http://[::1]:5002", Some("http://[::1]:5002"));
        for text in [
            "",
            "null",
            "*",
            "shop.example",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://a b",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_page_is_at_home_at_the_host_that_it_came_from() {
        let origin = Origin::parse("https://shop.example").unwrap();
        assert!(origin.is_at("shop.example") && origin.is_at("Shop.example:443"));
        assert!(!origin.is_at("shop.example:80") && !origin.is_at("example") && !origin.is_at(""));
    }
}
