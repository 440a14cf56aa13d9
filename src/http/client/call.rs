//! One call: its head, whether it may be sent twice, and what its failure means.

use std::fmt;
use std::io;

use ureq::Timeout;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{self, Request};

use super::Failure;
use super::transport::is_refusal;
use crate::http::Method;

/// What is to be sent.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: Option<&'a [u8]>,
}

impl Call<'_> {
    pub(super) fn head(&self, authorization: Option<&str>) -> http::request::Builder {
        let mut head = Request::builder().method(self.method()).uri(self.url);
        for (name, value) in self.headers {
            head = head.header(*name, *value);
        }
        if let Some(authorization) = authorization {
            head = head.header(AUTHORIZATION, authorization);
        }
        if self.body.is_some_and(|body| !body.is_empty()) {
            head = head.header(CONTENT_TYPE, "application/json");
        }
        head
    }

    fn method(&self) -> http::Method {
        match self.method {
            Method::Get => http::Method::GET,
            Method::Put => http::Method::PUT,
            Method::Post => http::Method::POST,
            Method::Delete => http::Method::DELETE,
            Method::Patch => http::Method::PATCH,
            Method::Other => unreachable!("we call with methods that we know"),
        }
    }

    /// Whether a server does nothing on it but answer (RFC 9110, 9.2.1).
    pub(super) fn is_safe(&self) -> bool {
        self.method == Method::Get
    }

    /// Whether doing it twice is the same as doing it once. A `PUT` is so only with an order id.
    pub(super) fn is_idempotent(&self) -> bool {
        let ordered = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("Bazar-Order");
        self.is_safe() || self.method == Method::Delete || self.headers.iter().any(ordered)
    }

    /// Tells definite failures from the others. Only what certainly came before sending is
    /// definite.
    pub(super) fn failure(&self, error: ureq::Error) -> Failure {
        let say = |why: &dyn fmt::Display| format!("{} {}: {why}", self.method(), self.url);
        match error {
            ureq::Error::Other(other) => match other.downcast_ref::<io::Error>() {
                Some(failure) if is_refusal(failure) => Failure::Refused(say(failure)),
                Some(failure) => Failure::Unconnected(say(failure)),
                None => Failure::Broken(say(&other)),
            },
            // A malformed URL or header is noticed before anything is sent.
            ureq::Error::BadUri(_)
            | ureq::Error::Http(_)
            | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                Failure::Unconnected(say(&error))
            }
            ureq::Error::Timeout(_) => Failure::TimedOut(say(&"no answer in time")),
            _ => Failure::Broken(say(&error)),
        }
    }
}
