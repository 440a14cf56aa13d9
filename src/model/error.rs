//! What can go wrong, in the words that a client hears. A variant exists because someone branches
//! on it or because its status differs; the rest is text.

use std::fmt;

use serde_json::json;

use crate::model::order::OrderId;

pub type Result<T> = std::result::Result<T, Error>;

/// Every failure that has an answer.
///
/// **Definite or not**: [`Error::TimedOut`] alone says that the work may have been done; with every
/// other variant nothing happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// 400: a bad escape, a body that is not JSON, a malformed header.
    BadRequest(String),
    /// 401: the token is missing or wrong.
    Unauthorized,
    /// 404: an unknown path.
    NoSuchPath,
    /// 404, in the words of front-end and order server.
    NoSuchBook,
    /// 404, in the words of the catalog.
    NotFound,
    /// 404: `/query/<other>/<x>`.
    NoSuchQuery,
    /// 405, with the methods that are allowed.
    MethodNotAllowed(&'static str),
    /// 409: this catalog's copy was out of date; it has caught up by now.
    OutOfDate,
    /// 409: some of the orders of an update have their copies already; these.
    Applied(Vec<OrderId>),
    /// 409: orders that their giver no longer waits for; these.
    Closed(Vec<OrderId>),
    /// 409: a book of that id is there already.
    IdInUse,
    /// 412: the book is no longer at the version that `If-Match` names.
    Changed,
    /// 413: a body over its limit.
    BodyTooLarge(String),
    /// 414: a path over its limit.
    PathTooLong,
    /// 422: an id that must be a number.
    IdNotANumber,
    /// 422: JSON that cannot be: which field, what it was, what it may be.
    Invalid(String),
    /// 431: too many headers, or too large.
    HeadTooLarge,
    /// 500: a bug of ours.
    Internal,
    /// 503 with `Retry-After`: too much competition, or a full queue.
    Busy(String),
    /// 504: nobody could be reached, so nothing happened.
    Unreachable(String),
    /// 504: no answer in time, so that it may have happened.
    TimedOut(String),
    /// 507: the disk refuses. It may be on disk elsewhere and come true.
    DiskRefuses(String),
}

impl Error {
    pub fn status(&self) -> u16 {
        match self {
            Error::BadRequest(_) => 400,
            Error::Unauthorized => 401,
            Error::NoSuchPath | Error::NoSuchBook | Error::NotFound | Error::NoSuchQuery => 404,
            Error::MethodNotAllowed(_) => 405,
            Error::OutOfDate | Error::Applied(_) | Error::Closed(_) | Error::IdInUse => 409,
            Error::Changed => 412,
            Error::BodyTooLarge(_) => 413,
            Error::PathTooLong => 414,
            Error::IdNotANumber | Error::Invalid(_) => 422,
            Error::HeadTooLarge => 431,
            Error::Internal => 500,
            Error::Busy(_) => 503,
            Error::Unreachable(_) | Error::TimedOut(_) => 504,
            Error::DiskRefuses(_) => 507,
        }
    }

    /// Reads what another server said with a 5xx, to pass it on.
    pub fn from_response(status: u16, body: &[u8]) -> Error {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        Error::from_status(status, body["message"].as_str())
    }

    /// As [`Error::of`], when the message was read already.
    pub fn from_status(status: u16, message: Option<&str>) -> Error {
        let message = message.unwrap_or("A server behind failed").to_string();
        match status {
            503 => Error::Busy(message),
            504 => Error::TimedOut(message),
            507 => Error::DiskRefuses(message),
            _ => Error::Internal,
        }
    }

    /// Whether the work may have been done all the same.
    pub fn indefinite(&self) -> bool {
        matches!(self, Error::TimedOut(_) | Error::DiskRefuses(_))
    }

    pub fn message(&self) -> &str {
        match self {
            Error::Unauthorized => "This needs the header Authorization: Bearer <SERVICE_TOKEN>",
            Error::NoSuchPath => {
                "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."
            }
            Error::NoSuchBook => "Book with the specified ID does not exist",
            Error::NotFound => "Not found",
            Error::NoSuchQuery => "Invalid query method",
            Error::MethodNotAllowed(_) => "The method is not allowed for the requested URL.",
            Error::OutOfDate => "Update could not be processed because the item is not up to date",
            Error::Applied(_) => "Some of these orders were applied already",
            Error::Closed(_) => "order is closed",
            Error::IdInUse => "A book with this ID exists already",
            Error::Changed => "The book is no longer at the version that If-Match names",
            Error::PathTooLong => "The path is too long",
            Error::IdNotANumber => "Book ID must be a number",
            Error::HeadTooLarge => "The request has too many headers, or too large ones",
            Error::Internal => {
                "The server encountered an internal error and was unable to complete your request. Either the server is overloaded or there is an error in the application."
            }
            Error::BadRequest(text)
            | Error::BodyTooLarge(text)
            | Error::Invalid(text)
            | Error::Busy(text)
            | Error::Unreachable(text)
            | Error::TimedOut(text)
            | Error::DiskRefuses(text) => text,
        }
    }

    /// The JSON that the client gets.
    pub fn body(&self) -> Vec<u8> {
        let ids = |ids: &[OrderId]| ids.iter().map(OrderId::to_string).collect::<Vec<_>>();
        let message = self.message();
        let body = match self {
            Error::NoSuchQuery => {
                json!({"message": message, "supportedQueryMethods": ["item", "topic"]})
            }
            Error::Applied(orders) => json!({"message": message, "applied": ids(orders)}),
            Error::Closed(orders) => json!({"message": message, "closed": ids(orders)}),
            _ => json!({ "message": message }),
        };
        body.to_string().into_bytes()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status(), self.message())
    }
}
