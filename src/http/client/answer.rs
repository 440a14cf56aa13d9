//! What comes of a call.

use serde::de::DeserializeOwned;

use crate::model::error::Error;

/// As ureq read them: a copy of each would be as much work again.
pub type Headers = ureq::http::HeaderMap;

/// What came back, whatever its status.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

/// Why there is no answer; each says what was tried on whom.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// Nobody listens there: nothing happened, and the server is dead.
    Refused(String),
    /// No connection in time, or none to be had: nothing happened, but the server may live.
    Unconnected(String),
    /// No whole answer in time: it may have happened.
    TimedOut(String),
    /// The connection broke, or the answer was none: it may have happened.
    Broken(String),
}

impl Answer {
    /// The first header of that name, if it is ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as a value. [`Failure::Broken`]: it is not such a one.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::Broken(format!(
                "an answer {} that makes no sense: {error}",
                self.status
            ))
        })
    }

    /// The body of a 200 as a list with so many entries. `None`: it is not such a one.
    pub fn list<T: DeserializeOwned>(&self, count: usize) -> Option<Vec<T>> {
        let list: Vec<T> = self.json().ok().filter(|_| self.status == 200)?;
        (list.len() == count).then_some(list)
    }
}

impl Failure {
    /// Whether nothing happened, so that somebody else may be asked.
    pub fn definite(&self) -> bool {
        matches!(self, Failure::Refused(_) | Failure::Unconnected(_))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Refused(text) | Failure::Unconnected(text) => Error::Unreachable(text),
            Failure::TimedOut(text) | Failure::Broken(text) => Error::TimedOut(text),
        }
    }
}
