//! How every server starts: it binds its port, announces its address once it can be asked, and
//! serves.

use std::io::{self, Write};
use std::net::TcpListener;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::config::Common;
use crate::http::client::proxy;
use crate::http::otlp::Exporter;
use crate::http::server::{self, ServerConfig, Service};
use crate::model::address::Address;
use crate::runtime::exit::Exit;
use crate::runtime::{log, signals, stdin};

/// Binds the port of the settings. If that is 0, the system chooses one, and the server's own
/// address gets it, if it was derived from the port.
///
/// If the settings say so, this process exits from now on when its standard input ends, and calls
/// other servers through a proxy.
///
/// Fails with what was tried and which setting changes it.
pub(crate) fn bind(common: &mut Common) -> Result<TcpListener, String> {
    common.proxy.inspect(|proxy| proxy::use_proxy(*proxy));
    if common.exit_with_stdin {
        stdin::on_end(exit)?;
    }
    let (is_chosen, idle) = (common.port == 0, common.idle);
    let (host, port) = (common.host.as_str(), common.port);
    let why = |error| format!("cannot listen on {host}:{port}: {error}; change HOST or PORT");
    let listener = TcpListener::bind((host, port)).map_err(why)?;
    server::prepare(&listener, idle).map_err(why)?;
    let bound = listener.local_addr().map_err(why)?.port();
    if common.address == Address::of(host, port) {
        common.address = Address::of(host, bound);
    }
    common.port = bound;
    if let Some(kind) = common.name.strip_suffix("-0").filter(|_| is_chosen) {
        common.name = format!("{kind}-{bound}");
        log::set_server(&common.name);
    }
    Ok(listener)
}

/// How long the server has to answer what it has. One that does not serve yet has nothing.
const ENDING_MAX: Duration = Duration::from_secs(2);

/// As on SIGTERM.
fn exit() {
    log::always("ends: standard input has ended", &[]);
    signals::request_end();
    thread::sleep(ENDING_MAX);
    process::exit(0);
}

/// Announces this server, which is of the kind `server`, and serves as [`server::serve`] does.
pub(crate) fn serve(
    server: &'static str,
    common: Common,
    listener: TcpListener,
    service: impl Service,
) -> Result<(), Exit> {
    signals::catch_terminate();
    let exporter = Exporter::start(&common.otlp, server, &common.address)?;
    announce(&common);
    let config = ServerConfig {
        name: common.name,
        address: Some(common.address),
        allowed_origins: common.allowed_origins,
        should_end: &signals::END_REQUESTED,
        traces_all: common.traces_all,
        ..ServerConfig::new(server, common.token, common.idle)
    };
    let outcome = server::serve(listener, config, Arc::new(service));
    if let Some(exporter) = exporter {
        exporter.finish();
    }
    outcome
}

/// Prints where this server listens, as the first line on stdout: the process that started it knows
/// then that it can be asked. The log gets a line too, so that restarts can be counted there.
fn announce(common: &Common) {
    let at = Address::of(&common.host, common.port);
    log::always(
        "started",
        &[("address", &at), ("version", &env!("CARGO_PKG_VERSION"))],
    );
    let mut stdout = io::stdout().lock();
    // A closed stdout is no reason not to serve.
    let _ = writeln!(stdout, "listening on {at}").and_then(|()| stdout.flush());
}
