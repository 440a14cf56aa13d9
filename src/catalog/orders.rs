//! Orders as the owner sees them, and the ledger as an audit reads it: `GET` and
//! `DELETE /orders/<order>`, `GET /orders`, `GET /ledger`, `GET /versions`.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use crate::catalog::Catalog;
use crate::catalog::replication::ledger::Found;
use crate::catalog::shelf::copy_state::CopyState;
use crate::catalog::store::OrderLedger;
use crate::http::{Request, Response, query_number, query_text};
use crate::model::book::entry::{Entry, EntryKey, Sale};
use crate::model::book::{Book, BookId, Version};
use crate::model::error::{Error, Result};
use crate::model::order::OrderId;
use crate::runtime::{calendar, log};

/// Orders, entries or versions in one answer, and how many if the request does not say.
const PAGE_MAX: u64 = 1000;
const PAGE_DEFAULT: u64 = 100;

/// An order of a list: `GET /orders/<order>` has the same.
#[derive(Serialize)]
struct OrderBody<'a> {
    order: OrderId,
    id: BookId,
    title: &'a str,
    quantity: u32,
    price: f64,
    total: f64,
    time: String,
    status: &'static str,
}

/// The version that a catalog has of a book.
#[derive(Serialize)]
struct VersionBody {
    id: BookId,
    version: Version,
    quantity: u32,
    state: CopyState,
}

fn body<'a>(entry: &'a Entry, sale: &Sale, cancelled: bool) -> OrderBody<'a> {
    let cents = (entry.price * f64::from(sale.copies) * 1000.0).round();
    OrderBody {
        order: sale.order,
        id: entry.book,
        title: &entry.title,
        quantity: sale.copies,
        price: entry.price,
        total: cents / 1000.0,
        time: log::rfc3339(UNIX_EPOCH + Duration::from_millis(entry.at)),
        status: if cancelled { "cancelled" } else { "sold" },
    }
}

fn found(order: OrderId, found: Option<Found>) -> Result<Response> {
    let (entry, back) = found.ok_or(Error::NoSuchOrder)?;
    let sale = entry.sale(order).expect("the entry has this order");
    Ok(Response::json(200, &body(&entry, sale, back.is_some())))
}

fn parse(order: &str) -> Result<OrderId> {
    OrderId::parse(order).ok_or(Error::NoSuchOrder)
}

pub(super) fn order(catalog: &Catalog, order: &str) -> Result<Response> {
    let order = parse(order)?;
    found(order, catalog.store.ledger().order(order)?)
}

/// Takes an order back.
pub(super) fn cancel(catalog: &Catalog, order: &str) -> Result<Response> {
    let order = parse(order)?;
    found(order, Some(catalog.store.ledger().cancel(order)?))
}

/// Which orders a list has.
struct Wanted {
    since: u64,
    until: u64,
    book: Option<BookId>,
    limit: u64,
    /// Only orders behind this one.
    after: Option<(OrderId, Arc<Entry>)>,
}

/// The orders of a time, by time.
pub(super) fn list(catalog: &Catalog, request: &Request) -> Result<Response> {
    let ledger = catalog.store.ledger();
    let query = request.query.as_deref();
    let wanted = Wanted {
        since: time(query, "since")?.unwrap_or(0),
        until: time(query, "until")?.unwrap_or(u64::MAX),
        book: query_number(query, "book")?.map(BookId),
        limit: limit(query)?,
        after: match query_text(query, "after") {
            Some(text) => Some(order_here(ledger, &text)?),
            None => None,
        },
    };
    let sales = sales(ledger, &wanted)?;
    let orders: Vec<OrderId> = sales.iter().map(|(_, sale)| sale.order).collect();
    let cancelled = ledger.are_cancelled(&orders)?;
    let bodies = sales.iter().zip(cancelled);
    let bodies = bodies.map(|((entry, sale), cancelled)| body(entry, sale, cancelled));
    let response = Response::json(200, &bodies.collect::<Vec<_>>());
    Ok(
        match sales.last().filter(|_| sales.len() as u64 == wanted.limit) {
            Some((_, last)) => response.with("Link", next(query, &last.order.to_string())),
            None => response,
        },
    )
}

fn order_here(ledger: &dyn OrderLedger, text: &str) -> Result<(OrderId, Arc<Entry>)> {
    let malformed = || Error::BadRequest("after must be an order's id, such as 7.5".into());
    let order = OrderId::parse(text).ok_or_else(malformed)?;
    let entry = ledger.order_here(order)?.ok_or(Error::NoSuchOrder)?;
    Ok((order, entry))
}

fn sales(ledger: &dyn OrderLedger, wanted: &Wanted) -> Result<Vec<(Arc<Entry>, Sale)>> {
    let mut sales = Vec::new();
    let is_wanted = |entry: &Arc<Entry>| wanted.book.is_none_or(|book| book == entry.book);
    // The entry of the order before may have more orders behind that.
    if let Some((order, entry)) = wanted.after.as_ref().filter(|(_, entry)| is_wanted(entry)) {
        let others = entry.orders.iter().skip_while(|sale| sale.order != *order);
        sales.extend(others.skip(1).map(|sale| (entry.clone(), sale.clone())));
    }
    let mut after = wanted.after.as_ref().map(|(_, entry)| entry.key());
    while (sales.len() as u64) < wanted.limit {
        let entries = ledger.entries(wanted.since, after, PAGE_MAX as usize)?;
        let Some(last) = entries.last() else { break };
        after = Some(last.key());
        let is_over = wanted.until <= last.at;
        let own = entries
            .iter()
            .filter(|entry| entry.at < wanted.until && is_wanted(entry));
        for entry in own {
            sales.extend(
                entry
                    .orders
                    .iter()
                    .map(|sale| (entry.clone(), sale.clone())),
            );
        }
        if is_over {
            break;
        }
    }
    sales.truncate(wanted.limit as usize);
    Ok(sales)
}

/// The entries of the ledger, as they are on disk.
pub(super) fn ledger(catalog: &Catalog, request: &Request) -> Result<Response> {
    let query = request.query.as_deref();
    let after = match query_text(query, "after") {
        Some(text) => {
            let key = EntryKey::parse(&text);
            Some(key.ok_or_else(|| Error::BadRequest("after must be as in Link".into()))?)
        }
        None => None,
    };
    let limit = limit(query)?;
    let entries = catalog.store.ledger().entries(0, after, limit as usize)?;
    let response = Response::json(200, &entries);
    Ok(
        match entries.last().filter(|_| entries.len() as u64 == limit) {
            Some(last) => response.with("Link", next(query, &last.key().to_string())),
            None => response,
        },
    )
}

/// The versions of all books here.
pub(super) fn versions(catalog: &Catalog, request: &Request) -> Result<Response> {
    let query = request.query.as_deref();
    let after = query_number(query, "after")?.map(BookId);
    let limit = limit(query)?;
    // Of all pages: each is as new as what was acknowledged before the first one.
    if after.is_none() {
        catalog.store.refresh()?;
    }
    let books = catalog.store.books_after(after, limit as usize);
    let ids: Vec<BookId> = books.iter().map(|book| book.id).collect();
    let states = catalog.store.copies(&ids);
    let version = |(book, (version, state)): (&Arc<Book>, &(Option<Version>, CopyState))| {
        let same = *version == Some(book.version);
        VersionBody {
            id: book.id,
            version: book.version,
            quantity: book.quantity,
            state: if same { *state } else { CopyState::Unknown },
        }
    };
    let bodies: Vec<VersionBody> = books.iter().zip(&states).map(version).collect();
    let response = Response::json(200, &bodies);
    Ok(match ids.last().filter(|_| ids.len() as u64 == limit) {
        Some(last) => response.with("Link", next(query, &last.to_string())),
        None => response,
    })
}

fn limit(query: Option<&str>) -> Result<u64> {
    let limit = query_number(query, "limit")?.unwrap_or(PAGE_DEFAULT);
    Ok(limit.clamp(1, PAGE_MAX))
}

/// The time that a parameter has, in ms since 1970.
fn time(query: Option<&str>, name: &str) -> Result<Option<u64>> {
    let Some(text) = query_text(query, name) else {
        return Ok(None);
    };
    let time = calendar::parse_time(&text).map(Some);
    let expected = "must be a date such as 2026-11-26 or a time such as 2026-11-26T09:30:00Z";
    time.ok_or_else(|| Error::BadRequest(format!("{name} {expected}")))
}

/// The same list behind this entry, as `Link` (RFC 8288).
fn next(query: Option<&str>, after: &str) -> String {
    let pairs = query.unwrap_or_default().split('&');
    let kept = pairs.filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
    let own = format!("after={after}");
    let query: Vec<&str> = kept.chain([own.as_str()]).collect();
    format!("<?{}>; rel=\"next\"", query.join("&"))
}
