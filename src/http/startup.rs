//! How every server comes up: it takes its port, and says where it listens once it may be asked.

use std::io::Write;
use std::net::TcpListener;

use crate::config::Common;
use crate::http::server;
use crate::model::address::Address;
use crate::runtime::log;

/// Takes the port that the settings name. Where that is 0, which lets the system choose, and the
/// own address was derived from it, the address gets the real one.
///
/// Fails with what was tried and by which setting to change it.
pub fn bind(common: &mut Common) -> Result<TcpListener, String> {
    let Common {
        host, port, idle, ..
    } = common;
    let why = |error| format!("cannot listen on {host}:{port}: {error}; change HOST or PORT");
    let listener = TcpListener::bind((host.as_str(), *port)).map_err(why)?;
    server::prepare(&listener, *idle).map_err(why)?;
    let real = listener.local_addr().map_err(why)?.port();
    if common.address == Address::of(host, *port) {
        common.address = Address::of(host, real);
    }
    *port = real;
    Ok(listener)
}

/// Says where this server listens, as the first line on stdout: whoever started it reads that it
/// may be asked now. The log has a line too, so that restarts can be counted there.
pub fn announce(common: &Common) {
    let at = Address::of(&common.host, common.port);
    log::always(
        "started",
        &[("address", &at), ("version", &env!("CARGO_PKG_VERSION"))],
    );
    let mut stdout = std::io::stdout().lock();
    // Nobody may be listening there, which is no reason not to serve.
    let _ = writeln!(stdout, "listening on {at}").and_then(|()| stdout.flush());
}
