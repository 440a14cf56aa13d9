//! Errands that can be held.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// Waits for its signal, if it has one, and tells who was done together.
struct Errand {
    name: u32,
    hold: Option<Receiver<()>>,
    done: Sender<Vec<u32>>,
}

impl Work for Errand {
    fn goes_with(&self, batch: &[Errand]) -> bool {
        self.name % 2 == batch[0].name % 2
    }

    fn run(batch: Vec<Errand>) {
        for errand in &batch {
            errand.hold.iter().for_each(|hold| hold.recv().unwrap());
        }
        let names = batch.iter().map(|errand| errand.name).collect();
        batch[0].done.send(names).unwrap();
    }

    fn refuse(self) {
        self.done.send(Vec::new()).unwrap();
    }
}

fn errand(name: u32, done: &Sender<Vec<u32>>) -> Errand {
    let done = done.clone();
    Errand {
        name,
        hold: None,
        done,
    }
}

fn held(name: u32, done: &Sender<Vec<u32>>) -> (Sender<()>, Errand) {
    let (go, hold) = channel();
    let hold = Some(hold);
    (
        go,
        Errand {
            hold,
            ..errand(name, done)
        },
    )
}

fn next(heard: &Receiver<Vec<u32>>) -> Vec<u32> {
    heard.recv_timeout(Duration::from_secs(10)).unwrap()
}

#[test]
fn work_is_done_by_a_few_threads() {
    let pool = Pool::new("test".into(), 2);
    let (done, heard) = channel();
    (0..100).for_each(|name| pool.send(errand(name, &done)));
    let mut names = Vec::new();
    while names.len() < 100 {
        names.extend(next(&heard));
    }
    names.sort_unstable();
    assert_eq!(names, Vec::from_iter(0..100));
    assert!(pool.0.desk().threads <= 2);
}

#[test]
fn what_waits_is_done_together() {
    let pool = Pool::new("test".into(), 1);
    let (done, heard) = channel();
    let (go, first) = held(0, &done);
    pool.send(first);
    (1..=5).for_each(|name| pool.send(errand(name, &done)));
    go.send(()).unwrap();
    let first = next(&heard);
    // The thread may have begun before the others came.
    let evens = if first == [0] { next(&heard) } else { first };
    assert!(evens.ends_with(&[2, 4]));
    assert_eq!(next(&heard), [1, 3, 5]);
}

#[test]
fn nothing_is_held_for_long_behind_what_is_stuck() {
    let pool = Pool::gathering("test".into(), 8, 1);
    let (done, heard) = channel();
    let (go, stuck) = held(0, &done);
    pool.send(stuck);
    while pool.0.desk().running == 0 {
        thread::yield_now();
    }
    pool.send(errand(2, &done));
    pool.send(errand(1, &done));
    pool.send(errand(4, &done));
    let mut others = vec![next(&heard), next(&heard)];
    others.sort_unstable();
    assert_eq!(others, [vec![1], vec![2, 4]]);
    go.send(()).unwrap();
    assert_eq!(next(&heard), [0]);
}

#[test]
fn what_is_too_much_is_refused() {
    let pool = Pool::new("test".into(), 1);
    let (done, heard) = channel();
    let (go, stuck) = held(0, &done);
    pool.send(stuck);
    (0..WAITING_MAX + 10).for_each(|_| pool.send(errand(1, &done)));
    assert!(next(&heard).is_empty());
    go.send(()).unwrap();
}

#[test]
fn a_panic_costs_no_thread() {
    let pool = Pool::new("test".into(), 1);
    let (done, heard) = channel();
    // Its channel has nobody to listen: it panics.
    pool.send(errand(0, &channel().0));
    pool.send(errand(1, &done));
    assert_eq!(next(&heard), [1]);
}
