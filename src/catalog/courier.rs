//! Couriers: messages to one server, each sent by one of a few threads that live as long as the server. No thread is made
//! for each message, and a server that does not answer holds up nobody but those who write to it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// A message on its way. Told `false`, it was not sent: too many wait already.
type Errand = Box<dyn FnOnce(bool) + Send>;

/// More messages waiting than this are not sent.
const WAITING_MAX: usize = 4096;

/// The couriers to one server.
pub struct Couriers {
    office: Arc<Office>,
    name: String,
    threads_max: usize,
}

struct Office {
    desk: Mutex<Desk>,
    bell: Condvar,
}

/// Guarded by its lock, which is held for moments only.
#[derive(Default)]
struct Desk {
    waiting: VecDeque<Errand>,
    idle: usize,
    threads: usize,
}

impl Couriers {
    /// At most `threads_max` couriers; each is hired when there is nobody idle.
    pub fn new(name: String, threads_max: usize) -> Couriers {
        let office = Office {
            desk: Mutex::default(),
            bell: Condvar::new(),
        };
        Couriers {
            office: Arc::new(office),
            name,
            threads_max,
        }
    }

    pub fn send(&self, errand: Errand) {
        let mut desk = self
            .office
            .desk
            .lock()
            .expect("no errand panics under this lock");
        if WAITING_MAX <= desk.waiting.len() {
            drop(desk);
            return errand(false);
        }
        desk.waiting.push_back(errand);
        let hire = desk.idle < desk.waiting.len() && desk.threads < self.threads_max;
        desk.threads += usize::from(hire);
        drop(desk);
        match hire {
            true => self.hire(),
            false => self.office.bell.notify_one(),
        }
    }

    /// Without a thread to be had, the errand waits for those that are there.
    fn hire(&self) {
        let office = self.office.clone();
        let hired = thread::Builder::new()
            .name(self.name.clone())
            .spawn(move || office.work());
        if hired.is_err() {
            let mut desk = self
                .office
                .desk
                .lock()
                .expect("no errand panics under this lock");
            desk.threads -= 1;
        }
    }
}

impl Office {
    fn work(&self) {
        loop {
            let errand = self.next();
            errand(true);
        }
    }

    fn next(&self) -> Errand {
        let mut desk = self.desk.lock().expect("no errand panics under this lock");
        loop {
            if let Some(errand) = desk.waiting.pop_front() {
                return errand;
            }
            desk.idle += 1;
            desk = self
                .bell
                .wait(desk)
                .expect("no errand panics under this lock");
            desk.idle -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn errands_are_done_by_a_few_threads() {
        let couriers = Couriers::new("test".into(), 2);
        let (sender, receiver) = channel();
        for i in 0..100 {
            let sender = sender.clone();
            couriers.send(Box::new(move |sent| sender.send((i, sent)).unwrap()));
        }
        let mut done: Vec<(i32, bool)> = (0..100)
            .map(|_| receiver.recv_timeout(Duration::from_secs(10)).unwrap())
            .collect();
        done.sort_unstable();
        assert_eq!(done, (0..100).map(|i| (i, true)).collect::<Vec<_>>());
        assert!(couriers.office.desk.lock().unwrap().threads <= 2);
    }

    #[test]
    fn what_is_too_much_is_not_sent() {
        let couriers = Couriers::new("test".into(), 1);
        let (hold, held) = channel::<()>();
        couriers.send(Box::new(move |_| assert!(held.recv().is_err())));
        let (sender, receiver) = channel();
        for _ in 0..WAITING_MAX + 10 {
            let sender = sender.clone();
            couriers.send(Box::new(move |sent| sender.send(sent).unwrap()));
        }
        assert!(!receiver.recv_timeout(Duration::from_secs(10)).unwrap());
        drop(hold);
    }
}
