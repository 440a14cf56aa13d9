//! The service token, which servers show each other.

/// What a request must show where a token is needed.
pub(super) struct Auth {
    /// `None`: no request needs a token.
    token: Option<String>,
}

impl Auth {
    pub(super) fn new(token: Option<String>) -> Auth {
        Auth { token }
    }

    /// Whether a request with this `Authorization` header may have what needs the token.
    pub(super) fn admits(&self, authorization: Option<&str>) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let shown = authorization.and_then(bearer_token).unwrap_or("");
        is_equal(token.as_bytes(), shown.as_bytes())
    }
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
        let auth = Auth::new(Some("secret".into()));
        assert!(auth.admits(Some("Bearer secret")));
        assert!(auth.admits(Some("bearer  secret")));
        for wrong in [
            "Bearer secre",
            "Bearer secrets",
            "Bearer ",
            "secret",
            "Basic secret",
            "",
        ] {
            assert!(!auth.admits(Some(wrong)), "{wrong}");
        }
        assert!(!auth.admits(None));
    }

    #[test]
    fn without_a_token_every_request_is_admitted() {
        assert!(Auth::new(None).admits(None));
        assert!(Auth::new(None).admits(Some("Bearer anything")));
    }
}
