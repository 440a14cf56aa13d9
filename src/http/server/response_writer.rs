//! Answers leave: each is counted and logged, sent by whoever has the time, and followed by the
//! next request of its connection.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::http::Response;
use crate::http::server::dispatch::{Dispatcher, Task, busy};
use crate::http::server::encoded_response::{EncodedResponse, ResponseWrite, Sent};
use crate::http::server::exchange::{self, Exchange, Raw};
use crate::runtime::log;

/// How long an answer may take to be read. Then the connection falls mute.
const DELIVERY_MAX: Duration = Duration::from_secs(60);

/// The pause before more of an answer is offered to a client that does not read.
const OFFER_PAUSE: Duration = Duration::from_millis(20);

/// A request that took longer is logged, whatever came of it.
const SLOW: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Counts, logs and sends an answer.
    pub fn reply(self: &Arc<Dispatcher>, visit: Box<Exchange>, response: Response) {
        self.note(&visit, response.status);
        let peer = visit.peer;
        if visit.adrift {
            self.drop_unanswered(self.visitors.mute(peer));
        }
        let parcel = EncodedResponse::pack(response, &visit.request.id, visit.form);
        let (is_short, id, form) = (parcel.is_short(), visit.request.id.clone(), visit.form);
        let delivery = parcel.address(peer, visit.into_writer());
        if is_short {
            return self.send(delivery);
        }
        let task = Task::Send(Box::new(delivery));
        if let Err(Task::Send(delivery)) = self.crews.long.push(self, task) {
            self.tally.turned_away.inc();
            self.send(delivery.instead(EncodedResponse::pack(busy(), &id, form)));
        }
    }

    /// Sends the answer to a request that was let pass. Its connection is occupied only if that
    /// cannot be done at once.
    pub fn send_at_once(self: &Arc<Dispatcher>, mut delivery: ResponseWrite) {
        let sent = delivery.send();
        if sent != Sent::Whole {
            self.visitors.occupy(delivery.peer);
            self.go_on(delivery, sent);
        }
    }

    /// Sends without waiting for a client that does not read.
    fn send(self: &Arc<Dispatcher>, mut delivery: ResponseWrite) {
        let sent = delivery.send();
        self.go_on(delivery, sent);
    }

    fn go_on(self: &Arc<Dispatcher>, delivery: ResponseWrite, sent: Sent) {
        match sent {
            Sent::Whole => self.finish(delivery),
            Sent::Broken => self.give_up(delivery),
            Sent::Stuck => {
                let task = Task::Send(Box::new(delivery));
                if let Err(Task::Send(delivery)) = self.crews.stuck.push(self, task) {
                    self.give_up(*delivery);
                }
            }
        }
    }

    /// Sends as fast as the client reads, unless it stops for too long.
    pub fn send_patiently(self: &Arc<Dispatcher>, mut delivery: ResponseWrite) {
        let deadline = Instant::now() + DELIVERY_MAX;
        let (mut taken, mut since) = (delivery.taken, Instant::now());
        loop {
            match delivery.send() {
                Sent::Whole => return self.finish(delivery),
                Sent::Broken => return self.give_up(delivery),
                Sent::Stuck => (),
            }
            if taken < delivery.taken {
                (taken, since) = (delivery.taken, Instant::now());
            }
            if self.serving.idle < since.elapsed() || deadline < Instant::now() {
                self.tally.unread.inc();
                return self.give_up(delivery);
            }
            thread::sleep(OFFER_PAUSE);
        }
    }

    /// Half an answer cannot be taken back, and nothing may follow it.
    fn give_up(self: &Arc<Dispatcher>, delivery: ResponseWrite) {
        self.drop_unanswered(self.visitors.mute(delivery.peer));
        self.finish(delivery);
    }

    fn finish(self: &Arc<Dispatcher>, delivery: ResponseWrite) {
        let peer = delivery.peer;
        // The next answer on this connection waits until this one has let go of it.
        drop(delivery);
        let Some(raw) = self.visitors.leave(peer) else {
            return;
        };
        let task = Task::Enter(Box::new(raw));
        if let Err(Task::Enter(raw)) = self.crews.pipelined.push(self, task) {
            self.drop_unanswered(vec![*raw]);
            self.drop_unanswered(self.visitors.mute(peer));
            self.visitors.leave(peer);
        }
    }

    /// Lets go of requests that nothing is said to.
    pub fn drop_unanswered(self: &Arc<Dispatcher>, raws: Vec<Raw>) {
        for raw in raws {
            self.tally.dropped.inc();
            if !exchange::is_unread(&raw) {
                drop(raw.into_writer());
                continue;
            }
            let task = Task::Drop(Box::new(raw));
            if let Err(Task::Drop(raw)) = self.crews.intake.push(self, task) {
                std::mem::forget(raw);
                self.tally.forgotten.inc();
            }
        }
    }

    fn note(&self, visit: &Exchange, status: u16) {
        let took = visit.started.elapsed();
        self.tally.note(visit.route, status, took);
        // "Not ready" is an answer, not a failure, and is asked for ten times a second.
        let fails = 500 <= status && visit.route != "/readyz";
        let matters = fails || SLOW < took;
        let level = if matters { log::warn } else { log::debug };
        if matters || log::enabled(log::Level::Debug) {
            let fields: [log::Field; 5] = [
                ("method", &visit.method()),
                ("route", &visit.route),
                ("status", &status),
                ("ms", &format!("{:.3}", took.as_secs_f64() * 1000.0)),
                ("id", &visit.request.id),
            ];
            level("request", &fields);
        }
    }
}
