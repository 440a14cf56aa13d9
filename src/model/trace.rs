//! What names a client's request at all tiers.

use std::sync::Arc;

use serde::Serialize;

/// What a request carries from server to server, so that it is found in the logs and the traces of
/// all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Trace {
    /// `X-Request-Id`.
    #[serde(rename = "request")]
    pub(crate) id: Arc<str>,
    /// `traceparent` (W3C Trace Context): passed on as it came, unless it is sampled. Then each
    /// server passes on the span that it records: see `runtime::span`.
    #[serde(rename = "traceparent", skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<Arc<str>>,
}

/// Whether this is a `traceparent` of the version 00 that can be passed on: others may mean
/// anything.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &str| {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        part.bytes().all(is_digit)
    };
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts[..] else {
        return false;
    };
    let lengths = (trace.len(), span.len(), flags.len());
    version == "00"
        && lengths == (32, 16, 2)
        && [trace, span, flags].into_iter().all(is_hex)
        && [trace, span].iter().all(|id| id.bytes().any(|b| b != b'0'))
}

impl From<Arc<str>> for Trace {
    fn from(id: Arc<str>) -> Trace {
        Trace { id, parent: None }
    }
}

impl From<&str> for Trace {
    fn from(id: &str) -> Trace {
        Trace::from(Arc::from(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_the_one_of_w3c() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good));
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert!(!is_traceparent(wrong), "{wrong}");
        }
    }
}
