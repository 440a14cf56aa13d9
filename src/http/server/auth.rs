//! Who may use the paths that are not public: with a token, whoever shows it; without, whoever is
//! on this machine.
//!
//! Without a token a server listens on loopback only. But a page of any site can have its browser
//! ask there, under a name of the site's own that it has made to mean 127.0.0.1 (DNS rebinding),
//! and then even read the answer. Such a name is in `Host`. So these paths answer only to names
//! that no site can have: those of loopback, and the server's own `ADDRESS`.

use crate::http::server::ServerConfig;
use crate::http::server::head::{self, Raw};
use crate::http::server::target;
use crate::model::address;
use crate::model::error::{Error, Result};

/// Fails with 401 or 403 unless the request may have what is not public.
pub(super) fn check(config: &ServerConfig, raw: &Raw) -> Result<()> {
    if let Some(token) = &config.token {
        let is_shown = shows(token, head::header(raw, "Authorization"));
        return if is_shown {
            Ok(())
        } else {
            Err(Error::Unauthorized)
        };
    }
    let own = config.address.as_ref().map(|own| own.authority());
    // HTTP/1.0 needs no host, and no browser speaks it.
    if head::host(raw).is_none_or(|host| is_known(host, own)) {
        return Ok(());
    }
    let text =
        "Without a SERVICE_TOKEN this answers only to a loopback name, or that of ADDRESS, as Host";
    Err(Error::Forbidden(text.into()))
}

/// Whether a host is one of loopback, or the server's own; the port does not matter.
fn is_known(host: &str, own: Option<&str>) -> bool {
    let name = target::name(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    address::is_loopback(bare)
        || own.is_some_and(|own| target::name(own).eq_ignore_ascii_case(name))
}

/// Whether this `Authorization` header shows the token.
fn shows(token: &str, authorization: Option<&str>) -> bool {
    let shown = authorization.and_then(bearer_token).unwrap_or("");
    is_equal(token.as_bytes(), shown.as_bytes())
}

fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// Takes as long for a wrong first byte as for a wrong last one, so that a token cannot be found
/// byte by byte.
fn is_equal(ours: &[u8], shown: &[u8]) -> bool {
    let mut difference = ours.len() ^ shown.len();
    for (at, byte) in ours.iter().enumerate() {
        let other = shown.get(at).copied().unwrap_or(!byte);
        difference |= usize::from(byte ^ std::hint::black_box(other));
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_admitted() {
        assert!(shows("secret", Some("Bearer secret")));
        assert!(shows("secret", Some("bearer  secret")));
        for wrong in [
            "Bearer secre",
            "Bearer secrets",
            "Bearer ",
            "secret",
            "Basic secret",
            "",
        ] {
            assert!(!shows("secret", Some(wrong)), "{wrong}");
        }
        assert!(!shows("secret", None));
    }

    #[test]
    fn a_known_host_is_a_loopback_name_or_the_servers_own() {
        let own = Some("catalog1.shop:5000");
        for host in [
            "localhost",
            "LocalHost:5000",
            "localhost.",
            "127.0.0.1:5000",
            "127.8.9.1",
            "[::1]:5000",
            "Catalog1.shop",
            "catalog1.shop:80",
        ] {
            assert!(is_known(host, own), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "catalog1.shop.evil.example",
            "evil-catalog1.shop",
            "0.0.0.0",
            "192.168.0.7",
            "[::2]",
        ] {
            assert!(!is_known(host, own), "{host}");
        }
        assert!(!is_known("catalog1.shop", None));
    }
}
