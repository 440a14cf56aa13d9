//! Traces: which servers a request touched, when, and what each did, as spans of the OpenTelemetry
//! model.
//!
//! A request whose `traceparent` (W3C Trace Context) is sampled is recorded in each server that it
//! touches: a span of the server, and one for each request that it sends to another server. What a
//! thread does belongs to the span that it has entered. Work that another thread does, or several
//! requests together, takes the [`SpanContext`] along.
//!
//! Of a request that is not sampled nothing is recorded: each place here costs a look at a
//! variable of the thread.
//!
//! The last [`SPANS_MAX`] spans of this process are kept.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use serde::{Serialize, Serializer};

use crate::runtime::sync;

/// Older spans are dropped.
pub(crate) const SPANS_MAX: usize = 4096;

/// A trace is named by 16 bytes, a span by 8. Neither is 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(pub(crate) u128);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanId(u64);

/// A sampled span, as it is told to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SpanContext {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
}

/// The side of a request that a span shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Server,
    Client,
}

/// What a server did for a request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Span {
    #[serde(flatten)]
    pub(crate) context: SpanContext,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<SpanId>,
    /// Such as `PUT /buy/2`.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// In ns since 1970.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Such as `status`, `peer`, `book`, `version`, `cache`; of a client also `request` and
    /// `response`.
    #[serde(serialize_with = "as_map")]
    pub(crate) attributes: Vec<(&'static str, String)>,
    /// The other requests that it served, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<SpanContext>,
    #[serde(skip)]
    began: Instant,
}

impl TraceId {
    /// Reads 32 lower-case hex digits that are not all 0.
    pub(crate) fn parse(text: &str) -> Option<TraceId> {
        hex(text, 32).filter(|number| *number != 0).map(TraceId)
    }

    pub(crate) fn random() -> TraceId {
        TraceId(fastrand::u128(1..))
    }
}

impl SpanContext {
    /// Reads a `traceparent`. `None`: it is malformed, or not sampled.
    pub(crate) fn parse(traceparent: &str) -> Option<SpanContext> {
        let mut parts = traceparent.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version_number = hex(version, 2)?;
        // Of a later version, more may follow.
        let is_whole = version_number != 0 || parts.next().is_none();
        let is_sampled = hex(flags, 2)? & 1 == 1;
        let span = hex(span, 16).filter(|number| *number != 0)?;
        let trace = TraceId::parse(trace)?;
        let span = SpanId(span as u64);
        (version_number != 0xff && is_whole && is_sampled).then_some(SpanContext { trace, span })
    }

    /// A span of this trace that nobody else has.
    fn child(trace: TraceId) -> SpanContext {
        let span = SpanId(fastrand::u64(1..));
        SpanContext { trace, span }
    }

    /// The first span of a new trace.
    pub(crate) fn root() -> SpanContext {
        SpanContext::child(TraceId::random())
    }

    /// The header `traceparent`.
    pub(crate) fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }
}

/// Reads so many lower-case hex digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_number = text.len() == digits && text.bytes().all(is_digit);
    u128::from_str_radix(text, 16).ok().filter(|_| is_number)
}

impl Span {
    /// Begins at `began` in the trace of `parent`, or in the trace `trace`.
    fn new(
        name: String,
        kind: Kind,
        trace: TraceId,
        parent: Option<SpanId>,
        began: Instant,
    ) -> Span {
        let start = unix_ns(began);
        Span {
            context: SpanContext::child(trace),
            parent,
            name,
            kind,
            start,
            end: start,
            attributes: Vec::new(),
            links: Vec::new(),
            began,
        }
    }

    /// A request that this server received at `began`. `parent`: from its `traceparent`.
    pub(crate) fn server(name: String, parent: SpanContext, began: Instant) -> Span {
        Span::new(name, Kind::Server, parent.trace, Some(parent.span), began)
    }

    /// A request of which no sender has a span.
    pub(crate) fn first(name: String, trace: TraceId, began: Instant) -> Span {
        Span::new(name, Kind::Server, trace, None, began)
    }

    /// A request that this server sends now, if its thread has entered a span.
    pub(crate) fn client(name: impl FnOnce() -> String) -> Option<Span> {
        let (parent, links) = ENTERED.with_borrow(|entered| {
            let last = entered.last()?;
            Some((last.context, last.links.clone()))
        })?;
        let now = Instant::now();
        let mut span = Span::new(name(), Kind::Client, parent.trace, Some(parent.span), now);
        span.links = links;
        Some(span)
    }

    pub(crate) fn set(&mut self, name: &'static str, value: impl ToString) {
        self.attributes.push((name, value.to_string()));
    }

    /// Ends the span now, and keeps it.
    pub(crate) fn end(mut self) {
        self.end = self.start + self.began.elapsed().as_nanos() as u64;
        sync::lock(&RING).push(self);
    }
}

/// The time of day at `at`, in ns since 1970.
pub(crate) fn unix_ns(at: Instant) -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or(Duration::ZERO).saturating_sub(at.elapsed());
    since.as_nanos() as u64
}

// ---- What a thread works for

thread_local! {
    static ENTERED: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

/// A span that a thread has entered.
struct Entry {
    context: SpanContext,
    /// What else the thread works for.
    links: Vec<SpanContext>,
    /// What was said of the span meanwhile.
    attributes: Vec<(&'static str, String)>,
}

/// While it lives, what its thread does belongs to a span.
pub(crate) struct Entered {
    /// The entry is left when this is dropped; threads must not swap theirs.
    _of_this_thread: std::marker::PhantomData<*const ()>,
}

/// Enters the first of these spans; the others are linked. `None`: there is none.
pub(crate) fn enter(contexts: impl IntoIterator<Item = Option<SpanContext>>) -> Option<Entered> {
    let mut contexts = contexts.into_iter().flatten();
    let context = contexts.next()?;
    let mut links: Vec<SpanContext> = Vec::new();
    for other in contexts.filter(|other| *other != context) {
        if !links.contains(&other) {
            links.push(other);
        }
    }
    let attributes = Vec::new();
    ENTERED.with_borrow_mut(|entered| {
        entered.push(Entry {
            context,
            links,
            attributes,
        });
    });
    Some(Entered {
        _of_this_thread: std::marker::PhantomData,
    })
}

impl Entered {
    /// Leaves the span. Returns what was said of it meanwhile.
    pub(crate) fn attributes(self) -> Vec<(&'static str, String)> {
        ENTERED.with_borrow_mut(|entered| {
            let last = entered.last_mut().expect("it was entered");
            std::mem::take(&mut last.attributes)
        })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        ENTERED.with_borrow_mut(|entered| entered.pop());
    }
}

/// The span that this thread has entered.
pub(crate) fn current() -> Option<SpanContext> {
    ENTERED.with_borrow(|entered| entered.last().map(|last| last.context))
}

/// Says something of the span that this thread has entered, if it has. A later value of the same
/// name takes the place of an earlier one.
pub(crate) fn set<T: ToString>(name: &'static str, value: impl FnOnce() -> T) {
    ENTERED.with_borrow_mut(|entered| {
        if let Some(last) = entered.last_mut() {
            last.attributes.retain(|(known, _)| *known != name);
            last.attributes.push((name, value().to_string()));
        }
    });
}

// ---- The spans that are kept

/// Held for moments only.
static RING: Mutex<Ring> = Mutex::new(Ring::new());

struct Ring {
    /// How many spans there were.
    count: u64,
    /// The last of them.
    spans: VecDeque<Span>,
}

/// The spans of this trace that are kept, and those that are linked to it, in the order in which
/// they ended.
pub(crate) fn of_trace(trace: TraceId) -> Vec<Span> {
    sync::lock(&RING).of_trace(trace)
}

/// Spans that were not taken yet.
pub(crate) struct NewSpans {
    pub(crate) spans: Vec<Span>,
    /// How many of those that were not taken are kept no more.
    pub(crate) lost: u64,
    /// How many of all spans were taken or lost until now.
    pub(crate) next: u64,
}

/// The first spans after the first `count` of all, `max` at most.
pub(crate) fn after(count: u64, max: usize) -> NewSpans {
    sync::lock(&RING).after(count, max)
}

/// The spans that are kept but for the first `count` of all, and how many there were until now.
pub(crate) fn since(count: u64) -> (Vec<Span>, u64) {
    sync::lock(&RING).since(count)
}

impl Ring {
    const fn new() -> Ring {
        Ring {
            count: 0,
            spans: VecDeque::new(),
        }
    }

    fn push(&mut self, span: Span) {
        self.count += 1;
        if self.spans.len() == SPANS_MAX {
            self.spans.pop_front();
        }
        self.spans.push_back(span);
    }

    fn of_trace(&self, trace: TraceId) -> Vec<Span> {
        let is_of = |span: &&Span| {
            let mut contexts = span.links.iter().chain([&span.context]);
            contexts.any(|context| context.trace == trace)
        };
        self.spans.iter().filter(is_of).cloned().collect()
    }

    fn since(&self, count: u64) -> (Vec<Span>, u64) {
        (self.after(count, SPANS_MAX).spans, self.count)
    }

    fn after(&self, count: u64, max: usize) -> NewSpans {
        let dropped = self.count - self.spans.len() as u64;
        let count = count.min(self.count);
        let first = count.max(dropped);
        let new = self.spans.iter().skip((first - dropped) as usize);
        let spans: Vec<Span> = new.take(max).cloned().collect();
        NewSpans {
            lost: first - count,
            next: first + spans.len() as u64,
            spans,
        }
    }
}

fn as_map<S: Serializer>(
    attributes: &[(&'static str, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(attributes.iter().map(|(name, value)| (name, value)))
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// Of the specification, "traceparent Header": versions, lengths, zeros, upper case.
    #[test]
    fn a_traceparent_is_read_as_the_specification_says() {
        assert_eq!(SpanContext::parse(SAMPLED).unwrap().header(), SAMPLED);
        let taken = [
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-holds",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
        ];
        for text in taken {
            assert!(SpanContext::parse(text).is_some(), "{text}");
        }
        let refused = [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
        ];
        for text in refused {
            assert_eq!(SpanContext::parse(text), None, "{text}");
        }
    }

    #[test]
    fn without_a_span_nothing_is_recorded() {
        assert!(current().is_none());
        assert!(Span::client(|| unreachable!()).is_none());
        set("book", || -> String { unreachable!() });
        assert!(enter([None, None]).is_none());
    }

    #[test]
    fn what_is_sent_while_a_span_is_entered_is_its_child_and_the_others_of_a_batch_are_linked() {
        let [first, other] = [(); 2].map(|()| SpanContext::child(TraceId::random()));
        let entered = enter([None, Some(first), Some(other), Some(first), Some(other)]).unwrap();
        set("book", || 7);
        set("book", || 8);
        let span = Span::client(|| "GET /query/item/7".into()).unwrap();
        assert_eq!(
            (span.context.trace, span.parent),
            (first.trace, Some(first.span))
        );
        assert_eq!(span.links, [other]);
        let mut ring = Ring::new();
        ring.push(span);
        for trace in [first.trace, other.trace] {
            assert_eq!(ring.of_trace(trace).len(), 1, "{trace}");
        }
        assert_eq!(entered.attributes(), [("book", "8".to_string())]);
        assert!(current().is_none());
    }

    #[test]
    fn only_the_last_spans_are_kept() {
        let mut ring = Ring::new();
        let traces: Vec<TraceId> = (0..SPANS_MAX + 2).map(|_| TraceId::random()).collect();
        for trace in &traces {
            ring.push(Span::first("GET /".into(), *trace, Instant::now()));
        }
        assert!(ring.of_trace(traces[1]).is_empty());
        assert_eq!(ring.of_trace(traces[2]).len(), 1);
        let (spans, next) = ring.since(0);
        assert_eq!((spans.len(), next), (SPANS_MAX, traces.len() as u64));
        for (count, expected) in [(next - 3, 3), (next, 0), (next + 9, 0)] {
            assert_eq!(ring.since(count).0.len(), expected, "{count}");
        }
        let new = ring.after(1, 3);
        assert_eq!((new.lost, new.spans.len(), new.next), (1, 3, 5));
        assert!(new.spans[0].context.trace == traces[2]);
        let new = ring.after(next - 1, 3);
        assert_eq!((new.lost, new.spans.len(), new.next), (0, 1, next));
    }
}
