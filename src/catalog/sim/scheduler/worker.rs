//! A thread of the simulation, as the others see it: a mailbox at which it sleeps until it may run.

use std::sync::{Condvar, Mutex};

use super::event_queue::Work;
use crate::runtime::sync;

pub(super) enum Command {
    Run(Work),
    /// Its wait is over.
    Resume,
    Quit,
}

#[derive(Default)]
pub(super) struct Worker {
    command: Mutex<Option<Command>>,
    arrived: Condvar,
}

impl Worker {
    pub(super) fn send(&self, command: Command) {
        *sync::lock(&self.command) = Some(command);
        self.arrived.notify_one();
    }

    pub(super) fn receive(&self) -> Command {
        let command = sync::lock(&self.command);
        let mut command = sync::wait_while(&self.arrived, command, |command| command.is_none());
        command.take().expect("it was just waited for")
    }
}
