//! Standard input as a pipe whose other end a parent holds: it ends with the parent, however that
//! ends, also when it is killed.

use std::io::{self, Read};

use crate::runtime::sync;

/// Does this once standard input has ended, on a thread of its own.
///
/// Fails when the system starts no thread.
pub(crate) fn on_end(then: impl FnOnce() + Send + 'static) -> Result<(), String> {
    sync::spawn("stdin", || {
        await_end();
        then();
    })
}

fn await_end() {
    let mut buffer = [0; 64];
    let mut stdin = io::stdin().lock();
    loop {
        match stdin.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Ok(0) | Err(_) => return,
            Ok(_) => (),
        }
    }
}
