//! The token that servers show each other.

/// `None`: every door is open.
pub struct Door(pub Option<String>);

impl Door {
    /// Whether a request with this `Authorization` header may enter where the token is asked for.
    pub fn admits(&self, authorization: Option<&str>) -> bool {
        let Some(token) = &self.0 else { return true };
        let shown = authorization.and_then(bearer).unwrap_or("");
        is_same(token.as_bytes(), shown.as_bytes())
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// Takes as long for a wrong first byte as for a wrong last one, so that a token cannot be found
/// byte by byte.
fn is_same(ours: &[u8], shown: &[u8]) -> bool {
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
    fn only_the_token_itself_opens_the_door() {
        let door = Door(Some("secret".into()));
        assert!(door.admits(Some("Bearer secret")));
        assert!(door.admits(Some("bearer  secret")));
        for wrong in [
            "Bearer secre",
            "Bearer secrets",
            "Bearer ",
            "secret",
            "Basic secret",
            "",
        ] {
            assert!(!door.admits(Some(wrong)), "{wrong}");
        }
        assert!(!door.admits(None));
    }

    #[test]
    fn without_a_token_every_door_is_open() {
        assert!(Door(None).admits(None));
        assert!(Door(None).admits(Some("Bearer anything")));
    }
}
