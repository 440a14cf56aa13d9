//! The paths of the cluster page.
//!
//! | request | does |
//! |---|---|
//! | `GET /`, `/style.css`, `/script.js`, `/links.js`, `/trace.js`, `/stories.js`, `/icon.svg` | the page |
//! | `GET /state` | all that the page shows |
//! | `GET /events?since=<number>` | what happened after that event |
//! | `GET /servers/<name>/log` | its last lines |
//! | `POST /servers/<name>/kill`, `/stop`, `/continue`, `/start` | that to one server |
//! | `POST /links/<name>/<name>/cut`, `/slow`, `/lose`, `/heal` | that to the link, with `--demo` |
//! | `POST /restarting/on`, `/restarting/off` | whether what dies is started again |
//! | `POST /load?customers=<n>&buys=<percent>` | sets the customers |
//! | `POST /restock/<id>?copies=<n>` | adds copies of a book |
//! | `POST /count` | counts anew from the stock as it is now |
//! | `POST /request/<server>/<method>/<path>` | sends one request, and shows its answer |
//!
//! Everybody on this machine may use them, but no page of another site: nothing is public, and
//! there is no token, so `http::server` answers 403 to a `Host` that is not of loopback, and to a
//! write that another site's page sends.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::config::Limits;
use crate::http::Method::{Get, Post};
use crate::http::client::{Answer, Client, Failure};
use crate::http::server::{Lane, Service};
use crate::http::{Method, Request, Response, encode, query_number};
use crate::model::error::{Error, Result};
use crate::runtime::metrics::Exposition;
use crate::runtime::signals::Signal;
use crate::supervisor::cluster::account::Outcome;
use crate::supervisor::cluster::{Cluster, load, state};
use crate::supervisor::relay::link::Condition;
use crate::supervisor::supervised::Supervised;
use crate::supervisor::topology::Kind;

/// What the page needs is compiled in.
const FILES: [(&str, &str, &str); 7] = [
    (
        "",
        "text/html; charset=utf-8",
        include_str!("../page/index.html"),
    ),
    (
        "style.css",
        "text/css; charset=utf-8",
        include_str!("../page/style.css"),
    ),
    (
        "script.js",
        "text/javascript; charset=utf-8",
        include_str!("../page/script.js"),
    ),
    (
        "links.js",
        "text/javascript; charset=utf-8",
        include_str!("../page/links.js"),
    ),
    (
        "trace.js",
        "text/javascript; charset=utf-8",
        include_str!("../page/trace.js"),
    ),
    (
        "stories.js",
        "text/javascript; charset=utf-8",
        include_str!("../page/stories.js"),
    ),
    (
        "icon.svg",
        "image/svg+xml",
        include_str!("../page/icon.svg"),
    ),
];

/// A request of the page may take as long as a front-end's buy.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(2),
    whole: Duration::from_secs(10),
};

/// More copies at once are a typing error.
const COPIES_MAX: u64 = 1_000_000;

/// The service.
pub(super) struct Page(pub(super) Arc<Cluster>);

impl Service for Page {
    fn lane(&self, request: &Request) -> Lane {
        match request.segments.first().map(String::as_str) {
            Some("request" | "restock" | "servers" | "load") => Lane::Client,
            _ => Lane::Inline,
        }
    }

    fn answer(&self, request: &Request) -> Response {
        let response = self.handle(request).unwrap_or_else(Response::from);
        let policy =
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
        response
            .with("Content-Security-Policy", policy)
            .with("X-Content-Type-Options", "nosniff")
            .with("Cache-Control", "no-store")
    }

    fn route(&self, request: &Request) -> &'static str {
        match request.path().as_slice() {
            ["state"] => "/state",
            ["events"] => "/events",
            ["servers", ..] => "/servers/<name>/<action>",
            ["links", ..] => "/links/<name>/<name>/<command>",
            ["request", ..] => "/request/<server>/<method>/<path>",
            [file] => FILES
                .iter()
                .find(|(name, ..)| name == file)
                .map_or("other", |_| "file"),
            _ => "other",
        }
    }

    fn is_public(&self, _: &str) -> bool {
        false
    }

    fn missing(&self) -> Vec<String> {
        Vec::new()
    }

    fn metrics(&self, _: &mut Exposition) {}
}

impl Page {
    fn handle(&self, request: &Request) -> Result<Response> {
        let Page(cluster) = self;
        let number = |name| query_number(request.query.as_deref(), name);
        match (request.method, request.path().as_slice()) {
            (Get, ["state"]) => Ok(Response::json(200, &state::state(cluster))),
            (Get, ["events"]) => {
                let events = cluster.shop.events.since(number("since")?.unwrap_or(0));
                Ok(Response::json(200, &events))
            }
            (Get, [file]) => self::file(file),
            (Get, ["servers", name, "log"]) => {
                let lines = cluster.server(name)?.log.last_lines();
                Ok(Response::json(200, &json!({ "lines": lines })))
            }
            (Post, ["servers", name, action]) => cluster.act(cluster.server(name)?, action),
            (Post, ["links", one, other, command]) => cluster.spoil(one, other, command),
            (Post, ["restarting", which @ ("on" | "off")]) => {
                cluster.shop.restarting.store(*which == "on", Relaxed);
                cluster.shop.events.say(&format!("restarting is {which}"));
                Ok(done())
            }
            (Post, ["load"]) => {
                let (customers, buys) = (number("customers")?, number("buys")?);
                let customers = customers.unwrap_or(0);
                let buys = buys.unwrap_or(load::BUYS_AT_FIRST as u64);
                let set = load::set(cluster, customers as usize, buys as usize);
                set.map_err(Error::Busy).map(|()| done())
            }
            (Post, ["restock", id]) => {
                let id = id.parse().map_err(|_| Error::IdNotANumber)?;
                let copies = number("copies")?.unwrap_or(10).min(COPIES_MAX);
                load::restock(cluster, id, copies, &[]).map(|()| done())
            }
            (Post, ["count"]) => {
                cluster.account.forget();
                cluster.shop.events.say("the stock is counted anew");
                Ok(done())
            }
            (Post, ["request", server, method, path @ ..]) => {
                let (server, method) = (cluster.server(server)?, self::method(method)?);
                Ok(cluster.send(server, method, path, request))
            }
            (_, ["links", _, _, _] | ["servers", _, _] | ["restarting" | "restock", _]) => {
                Err(Error::MethodNotAllowed("POST"))
            }
            (_, ["load" | "count"]) => Err(Error::MethodNotAllowed("POST")),
            (_, ["state" | "events"]) => Err(Error::MethodNotAllowed("GET, HEAD")),
            _ => Err(Error::NoSuchPath),
        }
    }
}

fn done() -> Response {
    Response::json(200, &json!({ "done": true }))
}

fn file(name: &str) -> Result<Response> {
    let file = FILES.iter().find(|(file, ..)| *file == name);
    let (_, content_type, text) = file.ok_or(Error::NoSuchPath)?;
    let response = Response::shared(200, Arc::from(text.as_bytes()));
    Ok(response.with("Content-Type", *content_type))
}

fn method(name: &str) -> Result<Method> {
    match name {
        "GET" => Ok(Method::Get),
        "PUT" => Ok(Method::Put),
        "POST" => Ok(Method::Post),
        "DELETE" => Ok(Method::Delete),
        "PATCH" => Ok(Method::Patch),
        _ => Err(Error::Invalid(
            "the method must be GET, PUT, POST, PATCH or DELETE".into(),
        )),
    }
}

impl Cluster {
    fn server(&self, name: &str) -> Result<&Supervised> {
        let server = self
            .shop
            .servers
            .iter()
            .find(|server| server.member.name == name);
        server.ok_or(Error::NoSuchPath)
    }

    fn act(&self, server: &Supervised, action: &str) -> Result<Response> {
        let name = &server.member.name;
        let id = server.process.id();
        let acted = match action {
            "kill" => server.process.signal(Signal::Kill),
            "stop" => server.process.pause(),
            "continue" => server.process.resume(),
            "start" => server.start(),
            _ => return Err(Error::NoSuchPath),
        };
        acted.map_err(Error::Invalid)?;
        let id = id.map(|id| format!(" (process {id})")).unwrap_or_default();
        self.shop
            .events
            .say(&format!("the page: {action} {name}{id}"));
        Ok(done())
    }

    /// Cuts, slows or heals the link between two servers, or lets it lose messages.
    fn spoil(&self, one: &str, other: &str, command: &str) -> Result<Response> {
        let relay = self.shop.relay.as_ref().ok_or_else(|| {
            let why = "the servers talk directly: start the shop with --demo";
            Error::Invalid(why.into())
        })?;
        let link = relay.link(one, other).ok_or(Error::NoSuchPath)?;
        link.set(Condition::parse(command).ok_or(Error::NoSuchPath)?);
        let say = format!("the page: {command} the link between {one} and {other}");
        self.shop.events.say(&say);
        Ok(done())
    }

    /// Sends one request to a server, as a customer or an operator would.
    fn send(
        &self,
        server: &Supervised,
        method: Method,
        path: &[&str],
        request: &Request,
    ) -> Response {
        let path: String = path
            .iter()
            .map(|segment| format!("/{}", encode(segment)))
            .collect();
        let query = request
            .query
            .as_ref()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let url = format!(
            "{}{path}{query}",
            server.member.listens_at(&self.shop.local)
        );
        let mut headers = Vec::new();
        for name in [
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "X-Request-Id",
        ] {
            headers.extend(request.header(name).map(|value| (name, value)));
        }
        let client = Client::new(LIMITS, self.shop.token.as_deref());
        let bought = book_bought(server, method, &path);
        bought.inspect(|book| self.account.buys(*book));
        let began = Instant::now();
        let body = (!request.body.is_empty()).then_some(request.body.as_slice());
        let answer = client.call(method, &url, &headers, body);
        let took = began.elapsed();
        self.enter(server, method, &path, body, &answer);
        Response::json(200, &shown(&answer, took))
    }

    /// Enters into the account what the answer to a request of the page means for it.
    fn enter(
        &self,
        server: &Supervised,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        answer: &std::result::Result<Answer, Failure>,
    ) {
        let outcome = match answer {
            Ok(answer) if answer.header("Idempotent-Replayed").is_some() => Outcome::Nothing,
            answer => load::outcome_of(answer),
        };
        if let Some(book) = book_bought(server, method, path) {
            self.account.bought(book, outcome);
            if server.member.kind == Kind::Order && outcome == Outcome::Done {
                // No front-end counts it.
                self.account.sales_seen(1);
            }
        }
        let changes = matches!(method, Method::Put | Method::Patch) && path.starts_with("/update/");
        let body: Value = serde_json::from_slice(body.unwrap_or_default()).unwrap_or_default();
        if changes && outcome == Outcome::Done && body.get("quantity").is_none() {
            self.account.changed_no_stock();
        }
    }
}

/// The book, if the request is a buy.
fn book_bought(server: &Supervised, method: Method, path: &str) -> Option<u64> {
    let is_buy = server.member.kind != Kind::Catalog && method == Method::Put;
    path.strip_prefix("/buy/").filter(|_| is_buy)?.parse().ok()
}

/// An answer for the page.
fn shown(answer: &std::result::Result<Answer, Failure>, took: Duration) -> Value {
    let ms = took.as_secs_f64() * 1000.0;
    match answer {
        Ok(answer) => {
            let headers = answer.headers.iter().map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), Value::from(value))
            });
            let body = String::from_utf8_lossy(&answer.body);
            let body = serde_json::from_str(&body).unwrap_or_else(|_| Value::from(body));
            let headers: serde_json::Map<_, _> = headers.collect();
            json!({ "status": answer.status, "headers": headers, "body": body, "ms": ms })
        }
        Err(failure) => {
            let error = Error::from(failure.clone());
            json!({ "status": 0, "error": error.message(), "ms": ms })
        }
    }
}
