//! Everything that a server can answer instead of what was asked for, with status and message.
//!
//! A variant exists because some code branches on it or because its status differs; the rest is
//! text. Details of an internal failure go to the log and not to the client.

use std::fmt;

use serde_json::json;

use crate::model::order::OrderId;

/// Why a buy is refused whose id or key was used before.
pub(crate) const OTHER_PURCHASE: &str =
    "This order or Idempotency-Key was used before, for another book or another number of copies";

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A failure that a client is told of.
///
/// **Definite or not**: after most of these nothing has happened. After those that
/// [`Error::indefinite`] names, the work may have been done all the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Error {
    /// 400: a malformed escape or header, or a body that is not JSON.
    BadRequest(String),
    /// 401: the token is missing or wrong.
    Unauthorized,
    /// 403: asked for by a page of another origin, or under a name that may be anybody's.
    Forbidden(String),
    /// 404: an unknown path.
    NoSuchPath,
    /// 404 of a front-end or an order server.
    NoSuchBook,
    /// 404: no order with that id was sold.
    NoSuchOrder,
    /// 404 of a catalog.
    NotFound,
    /// 404: `/query/<other>/<x>`.
    NoSuchQuery,
    /// 405, with the allowed methods.
    MethodNotAllowed(&'static str),
    /// 409: this catalog's copy was out of date. It is up to date by now.
    OutOfDate,
    /// 409: the update has orders that were applied before: these.
    Applied(Vec<OrderId>),
    /// 409: the update has orders that the book would have forgotten: these. None will be that is
    /// issued after `forgotten`: see
    /// [`AppliedOrders`](crate::model::applied_orders::AppliedOrders).
    Closed {
        orders: Vec<OrderId>,
        forgotten: u64,
    },
    /// 409: another purchase with the key of these orders is under way.
    KeyInUse(Vec<OrderId>),
    /// 422: these orders, or their keys, were used for another book or number of copies.
    OtherPurchase(Vec<OrderId>),
    /// 409: there is a book with that id already.
    IdInUse,
    /// 411: the path takes no chunked body.
    LengthRequired,
    /// 412: the book is at a version that `If-Match` or `If-None-Match` excludes.
    Changed,
    /// 413: the body is larger than allowed.
    BodyTooLarge(String),
    /// 414: the path is longer than allowed.
    PathTooLong,
    /// 422: the id in the path is not a number.
    IdNotANumber,
    /// 422: valid JSON that violates the schema: which field, what it was, what it may be.
    Invalid(String),
    /// 431: too many headers, or too large ones.
    HeadTooLarge,
    /// 501: a method that no path has.
    NotImplemented,
    /// 500: a bug in this server.
    Internal,
    /// 503 with `Retry-After`: too many conflicts, or a full queue.
    Busy(String),
    /// 504: no server could be reached, so nothing has happened.
    Unreachable(String),
    /// 504: no answer in time, so it may have happened.
    TimedOut(String),
    /// 507: the disk refuses. The change may be on another catalog's disk, and be committed later.
    DiskRefuses(String),
}

impl Error {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Error::BadRequest(_) => 400,
            Error::Unauthorized => 401,
            Error::Forbidden(_) => 403,
            Error::NoSuchPath
            | Error::NoSuchBook
            | Error::NoSuchOrder
            | Error::NotFound
            | Error::NoSuchQuery => 404,
            Error::MethodNotAllowed(_) => 405,
            Error::OutOfDate
            | Error::Applied(_)
            | Error::Closed { .. }
            | Error::KeyInUse(_)
            | Error::IdInUse => 409,
            Error::LengthRequired => 411,
            Error::Changed => 412,
            Error::BodyTooLarge(_) => 413,
            Error::PathTooLong => 414,
            Error::IdNotANumber | Error::Invalid(_) | Error::OtherPurchase(_) => 422,
            Error::HeadTooLarge => 431,
            Error::NotImplemented => 501,
            Error::Internal => 500,
            Error::Busy(_) => 503,
            Error::Unreachable(_) | Error::TimedOut(_) => 504,
            Error::DiskRefuses(_) => 507,
        }
    }

    /// Reads another server's answer of 5xx, to pass it on.
    pub(crate) fn from_response(status: u16, body: &[u8]) -> Error {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        Error::from_status(status, body["message"].as_str())
    }

    /// As [`Error::from_response`], with the message already read.
    pub(crate) fn from_status(status: u16, message: Option<&str>) -> Error {
        let message = message.unwrap_or("A server behind failed").to_string();
        match status {
            503 => Error::Busy(message),
            504 => Error::TimedOut(message),
            507 => Error::DiskRefuses(message),
            _ => Error::Internal,
        }
    }

    /// That a disk refuses, with what failed but not where: the path is for the log.
    pub(crate) fn disk_refuses(why: &str) -> Error {
        let reason = why.rsplit_once(": ").map_or(why, |(_, reason)| reason);
        Error::DiskRefuses(match reason.contains('/') {
            true => "The disk refuses".to_string(),
            false => format!("The disk refuses: {reason}"),
        })
    }

    /// Whether the work may have been done all the same. Only then a retry can do it twice.
    pub(crate) fn indefinite(&self) -> bool {
        matches!(self, Error::TimedOut(_) | Error::DiskRefuses(_))
    }

    pub(crate) fn message(&self) -> &str {
        match self {
            Error::Unauthorized => "This needs the header Authorization: Bearer <SERVICE_TOKEN>",
            Error::NoSuchPath => {
                "The requested URL was not found on the server. If you entered the URL manually \
                 please check your spelling and try again."
            }
            Error::NoSuchBook => "Book with the specified ID does not exist",
            Error::NoSuchOrder => "No order with the specified ID was sold",
            Error::NotFound => "Not found",
            Error::NoSuchQuery => "Invalid query method",
            Error::MethodNotAllowed(_) => "The method is not allowed for the requested URL.",
            Error::OutOfDate => "Update could not be processed because the item is not up to date",
            Error::Applied(_) => "Some of these orders were applied already",
            Error::Closed { .. } => "order is closed",
            Error::KeyInUse(_) => {
                "Another purchase with this Idempotency-Key is under way: try again in a moment"
            }
            Error::OtherPurchase(_) => OTHER_PURCHASE,
            Error::IdInUse => "A book with this ID exists already",
            Error::Changed => "The book is at a version that If-Match or If-None-Match excludes",
            Error::LengthRequired => {
                "A buy takes no Transfer-Encoding: its body needs a Content-Length"
            }
            Error::PathTooLong => "The path is too long",
            Error::IdNotANumber => "Book ID must be a number",
            Error::HeadTooLarge => "The request has too many headers, or too large ones",
            Error::NotImplemented => "No path has this method",
            Error::Internal => {
                "The server encountered an internal error and was unable to complete your \
                 request. Either the server is overloaded or there is an error in the application."
            }
            Error::BadRequest(text)
            | Error::Forbidden(text)
            | Error::BodyTooLarge(text)
            | Error::Invalid(text)
            | Error::Busy(text)
            | Error::Unreachable(text)
            | Error::TimedOut(text)
            | Error::DiskRefuses(text) => text,
        }
    }

    /// The answer's body, JSON.
    pub(crate) fn body(&self) -> Vec<u8> {
        let ids = |ids: &[OrderId]| ids.iter().map(OrderId::to_string).collect::<Vec<_>>();
        let message = self.message();
        let body = match self {
            Error::NoSuchQuery => {
                json!({"message": message, "supportedQueryMethods": ["item", "topic"]})
            }
            Error::OtherPurchase(orders) => json!({"message": message, "differing": ids(orders)}),
            Error::KeyInUse(orders) => json!({"message": message, "in_use": ids(orders)}),
            Error::Applied(orders) => json!({"message": message, "applied": ids(orders)}),
            Error::Closed { orders, forgotten } => {
                json!({"message": message, "closed": ids(orders), "forgotten": forgotten})
            }
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
