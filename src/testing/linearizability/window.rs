//! The smallest part of a history that shows that it is not linearizable.

use std::time::Duration;

use crate::testing::linearizability::{Found, Kind, Operation, REMOVED, search};

/// The smallest window before `end` that no quantity before it explains; otherwise the whole
/// history.
pub(super) fn explain(quantity: u32, history: &[Operation], end: Duration) -> String {
    let mut ended: Vec<Operation> = history.to_vec();
    ended.retain(|operation| operation.end.is_some_and(|e| e <= end));
    ended.sort_by_key(|operation| operation.end);
    let largest = history.iter().filter_map(|o| match o.kind {
        Kind::Saw(REMOVED) | Kind::Removed => None,
        Kind::Replaced { from: REMOVED, to } => Some(to),
        Kind::Saw(n) | Kind::Set(n) => Some(n),
        Kind::Replaced { from, to } => Some(from.max(to)),
        Kind::Added(_) | Kind::Bought(_) | Kind::SoldOut(_) => None,
    });
    let added = history.iter().map(|o| match o.kind {
        Kind::Added(copies) => copies,
        _ => 0,
    });
    let largest = largest.max().unwrap_or(0).max(quantity) + added.sum::<u32>();
    for cut in (0..ended.len()).rev() {
        let window = window(history, &ended[cut..], end);
        let any = (0..=largest).chain([REMOVED]).collect();
        if matches!(search(any, &window), Found::Stuck(_)) {
            return format!("whatever the quantity was before{}", lines(&window));
        }
    }
    let all = window(history, &ended, end);
    format!("of {quantity} copies at the start{}", lines(&all))
}

/// The operations `kept`, and of the others those that may have changed the book meanwhile, as
/// operations of unknown outcome.
fn window(history: &[Operation], kept: &[Operation], end: Duration) -> Vec<Operation> {
    let start = kept.iter().map(|o| o.start).min().unwrap_or_default();
    let mut window = kept.to_vec();
    for operation in history {
        let changes = matches!(
            operation.kind,
            Kind::Bought(_)
                | Kind::Added(_)
                | Kind::Set(_)
                | Kind::Removed
                | Kind::Replaced { from: REMOVED, .. }
        );
        let meanwhile = operation.start <= end && operation.end.is_none_or(|end| start <= end);
        if changes && meanwhile && !kept.contains(operation) {
            window.push(Operation {
                end: None,
                ..*operation
            });
        }
    }
    window.sort_by_key(|operation| operation.start);
    window
}

fn lines(window: &[Operation]) -> String {
    let lines = window.iter().map(|operation| format!("\n  {operation}"));
    lines.collect()
}
