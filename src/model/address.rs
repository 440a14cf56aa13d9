//! Where a server is: `http://host:port`, in one spelling.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::number;

/// The base address of a server, such as `http://127.0.0.1:5000`: lower-case, with its port,
/// without a last `/`. Two addresses of one server are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Address(Arc<str>);

impl Address {
    /// Reads one address. Spaces around it, a last `/`, capitals in scheme and host, and the
    /// default port 80 make no difference. Fails with what an address must look like.
    pub(crate) fn parse(text: &str) -> Result<Address, String> {
        let wrong = || format!("{text:?} is not an address such as http://127.0.0.1:5000");
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
        let (host, port) = split_port(&authority).ok_or_else(wrong)?;
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let is_host = match bracketed {
            Some(ip) => ip.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(is_name_char),
        };
        if !scheme.eq_ignore_ascii_case("http") || !is_host {
            return Err(wrong());
        }
        Ok(Address::of(bracketed.unwrap_or(host), port))
    }

    /// Reads addresses separated by `|`. An empty text has none.
    pub(crate) fn parse_list(text: &str) -> Result<Vec<Address>, String> {
        let parts = text.split('|').map(str::trim);
        parts
            .filter(|part| !part.is_empty())
            .map(Address::parse)
            .collect()
    }

    /// The address of a server that listens on this host and port.
    pub(crate) fn of(host: &str, port: u16) -> Address {
        let address = match host.parse::<Ipv6Addr>() {
            // Its standard spelling, RFC 5952.
            Ok(ip) => format!("http://[{ip}]:{port}"),
            Err(_) => format!("http://{}:{port}", host.to_ascii_lowercase()),
        };
        Address(address.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        self.0.strip_prefix("http://").expect("it was made so")
    }
}

/// Whether a host, without brackets, is this machine for certain. Names are not resolved:
/// `localhost` is loopback by definition, any other name may be anywhere.
pub(crate) fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._".contains(c)
}

/// Splits `host:port`. The port is 80 if there is none. An IPv6 host keeps its brackets.
fn split_port(authority: &str) -> Option<(&str, u16)> {
    let bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = authority[bracket..].rfind(':') else {
        return Some((authority, 80));
    };
    let (host, port) = authority.split_at(bracket + colon);
    let port = u16::try_from(number::parse_digits(&port[1..])?).ok()?;
    (port != 0).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let got = Address::parse(text).ok();
        assert_eq!(got.as_ref().map(Address::as_str), expected, "{text:?}");
    }

    #[test]
    fn spellings_of_one_server_are_equal() {
        check("http://127.0.0.1:5000", Some("http://127.0.0.1:5000"));
        check(
            " HTTP://Catalog2.Bazar.com/ ",
            Some("http://catalog2.bazar.com:80"),
        );
        check("http://[::1]:5000/", Some("http://[::1]:5000"));
        check("http://[::1]", Some("http://[::1]:80"));
        check("http://[0:0:0:0:0:0:0:1]:5000", Some("http://[::1]:5000"));
        check("http://[FE80::00AB]:1", Some("http://[fe80::ab]:1"));
    }

    #[test]
    fn host_and_port_are_an_address() {
        assert_eq!(Address::of("LocalHost", 80).as_str(), "http://localhost:80");
        assert_eq!(Address::of("::1", 5000).as_str(), "http://[::1]:5000");
    }

    #[test]
    fn a_text_that_is_no_address_is_refused() {
        for text in [
            "",
            "127.0.0.1:5000",
            "https://a",
            "http://",
            "http://a:b",
            "http://a:0",
            "http://a:70000",
            "http://a/b",
            "http://[::1",
            "http://::1:5000",
            "http://[a]:1",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_list_is_separated_by_bars() {
        let list = Address::parse_list("http://a| http://b:81/ |").unwrap();
        assert_eq!(
            list.iter().map(Address::as_str).collect::<Vec<_>>(),
            ["http://a:80", "http://b:81"]
        );
        assert_eq!(Address::parse_list("  ").unwrap(), []);
    }
}
