//! `bazar orders`: lists what a running shop sold, as a table or as CSV.

use std::io::{self, BufWriter, ErrorKind, Write};

use serde::Deserialize;

use crate::config::orders::OrdersSettings;
use crate::http::Method;
use crate::http::client::Client;
use crate::tools::{csv, describe, failure_text, patient_client};

/// Orders of one request.
const PAGE_ORDERS: usize = 1000;

#[derive(Deserialize)]
struct Order {
    order: String,
    id: u64,
    title: String,
    quantity: u32,
    price: f64,
    total: f64,
    time: String,
    status: String,
}

/// Writes the orders to standard output. That whoever reads has gone is no failure.
pub fn run(settings: &OrdersSettings) -> Result<(), String> {
    let client = patient_client(settings.token.as_deref());
    match write_all(settings, &client, BufWriter::new(io::stdout().lock())) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(()) => Ok(()),
    }
}

fn write_all(settings: &OrdersSettings, client: &Client, mut out: impl Write) -> io::Result<()> {
    let head = if settings.csv {
        "time,order,id,title,quantity,price,total,status\r\n".to_string()
    } else {
        format!(
            "{:24} {:>13} {:>4} {:>9} {:9} {:24} {}\n",
            "time", "book", "qty", "total", "status", "order", "title"
        )
    };
    out.write_all(head.as_bytes())?;
    let (mut after, mut sold, mut copies, mut total) = (None, 0, 0, 0.0);
    loop {
        let orders = page(settings, client, after.as_deref()).map_err(io::Error::other)?;
        for order in &orders {
            write_order(order, settings.csv, &mut out)?;
            if order.status == "sold" {
                sold += 1;
                copies += u64::from(order.quantity);
                total += order.total;
            }
        }
        after = orders.last().map(|order| order.order.clone());
        if orders.len() < PAGE_ORDERS {
            break;
        }
    }
    if !settings.csv {
        writeln!(
            out,
            "{sold} orders, {copies} copies, {total:.2} in all, without what was cancelled"
        )?;
    }
    out.flush()
}

fn page(
    settings: &OrdersSettings,
    client: &Client,
    after: Option<&str>,
) -> Result<Vec<Order>, String> {
    let mut url = format!("{}/orders?limit={PAGE_ORDERS}", settings.catalog);
    for (name, value) in [
        ("since", settings.since.as_deref()),
        ("until", settings.until.as_deref()),
        ("book", settings.book.as_deref()),
        ("after", after),
    ] {
        if let Some(value) = value {
            url += &format!("&{name}={value}");
        }
    }
    let answer = client.call(Method::Get, &url, &[], None);
    let answer = answer.map_err(failure_text)?;
    if answer.status != 200 {
        return Err(describe(&answer));
    }
    answer.json().map_err(failure_text)
}

fn write_order(order: &Order, csv: bool, out: &mut impl Write) -> io::Result<()> {
    let Order {
        order,
        id,
        title,
        quantity,
        price,
        total,
        time,
        status,
    } = order;
    if csv {
        let title = csv::quoted_if_needed(title);
        return write!(
            out,
            "{time},{order},{id},{title},{quantity},{price},{total},{status}\r\n"
        );
    }
    writeln!(
        out,
        "{time:24} {id:>13} {quantity:>4} {total:>9.2} {status:9} {order:24} {title}"
    )
}
