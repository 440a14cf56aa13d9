//! The service token, which servers show each other.

/// Whether a request with this `Authorization` header may have what needs the token. Without a
/// token, any request may.
pub(super) fn admits(token: Option<&str>, authorization: Option<&str>) -> bool {
    let shown = authorization.and_then(bearer_token).unwrap_or("");
    token.is_none_or(|token| is_equal(token.as_bytes(), shown.as_bytes()))
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
        let admits = |authorization| admits(Some("secret"), authorization);
        assert!(admits(Some("Bearer secret")));
        assert!(admits(Some("bearer  secret")));
        for wrong in [
            "Bearer secre",
            "Bearer secrets",
            "Bearer ",
            "secret",
            "Basic secret",
            "",
        ] {
            assert!(!admits(Some(wrong)), "{wrong}");
        }
        assert!(!admits(None));
    }

    #[test]
    fn without_a_token_every_request_is_admitted() {
        assert!(admits(None, None));
        assert!(admits(None, Some("Bearer anything")));
    }
}
