//! The sockets below [`Client`](super::Client), in place of those that ureq brings along.
//!
//! With a limit on the whole call, ureq's own (HTTP.md, 15 to 19)
//!
//! - start a thread for each call to look up the address, even of `127.0.0.1` and even on a kept
//!   connection ([`CachingResolver`]);
//! - do not tell a failure to connect, after which nothing has happened, from a later one of the
//!   same kind ([`unconnected`]);
//! - begin the limit anew when a `write` was done in part ([`TcpTransport`] has one deadline for
//!   all of them);
//! - send head and body in two packets, which wakes the server twice.
//!
//! These traits are from ureq's module `unversioned`, which is why Cargo.toml pins the exact
//! version.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::proxy;
use crate::runtime::sync;

/// How long the address of a name is used before it is looked up again.
const NAME_AGE_MAX: Duration = Duration::from_secs(10);

/// What is written is collected up to this size, so that head and body of most requests are one
/// packet.
const UNSENT_BYTES_MAX: usize = 64 * 1024;

/// Each kept connection has two buffers of this size. The head of an answer must fit into one.
/// ureq's own are 128 KB: 64 MB for 256 connections.
const BUFFER_BYTES: usize = 16 * 1024;

/// The failure of a call that was never sent: as ureq's `Other`, which is ours alone.
fn unconnected(failure: io::Error) -> ureq::Error {
    ureq::Error::Other(Box::new(failure))
}

/// The addresses of names. Literal addresses are parsed without a thread. Names are looked up by a
/// thread, so that a look-up which takes too long can be abandoned, and then remembered.
#[derive(Debug, Default)]
pub(super) struct CachingResolver {
    /// By `name:port`: when it was looked up, and what was found. Held for a look into the map
    /// only, never while a name is looked up.
    known: Mutex<HashMap<String, (Instant, ResolvedSocketAddrs)>>,
}

impl Resolver for CachingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let name = uri.authority().map_or("", |authority| authority.as_str());
        if let Ok(address) = name.parse() {
            let mut addresses = self.empty();
            addresses.push(address);
            return Ok(addresses);
        }
        let known = sync::lock(&self.known).get(name).cloned();
        if let Some((_, addresses)) = known.clone().filter(|(at, _)| at.elapsed() < NAME_AGE_MAX) {
            return Ok(addresses);
        }
        match DefaultResolver::default().resolve(uri, config, timeout) {
            Ok(addresses) => {
                let entry = (Instant::now(), addresses.clone());
                sync::lock(&self.known).insert(name.to_string(), entry);
                Ok(addresses)
            }
            // While names cannot be looked up, servers are most likely where they were.
            Err(failure) => known.map(|(_, addresses)| addresses).ok_or_else(|| {
                let why = format!("cannot look up {name}: {failure}");
                unconnected(io::Error::other(why))
            }),
        }
    }
}

/// Opens connections.
#[derive(Clone, Copy, Debug)]
pub(super) enum TcpConnector {
    /// To a server of the shop: through the proxy, if this process has one.
    Shop,
    /// To any other.
    Outside,
}

impl TcpConnector {
    fn proxy(&self) -> Option<SocketAddr> {
        match self {
            TcpConnector::Shop => proxy::of_process(),
            TcpConnector::Outside => None,
        }
    }
}

impl Connector for TcpConnector {
    type Out = TcpTransport;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<TcpTransport>, ureq::Error> {
        let deadline = deadline(details.timeout);
        let stream = match self.proxy() {
            None => connect_any(&details.addrs, deadline),
            Some(proxy) => {
                let target = details.uri.authority();
                connect_through(&proxy, target.map_or("", |it| it.as_str()), deadline)
            }
        };
        Ok(Some(TcpTransport {
            stream: stream.map_err(unconnected)?,
            buffers: LazyBuffers::new(BUFFER_BYTES, BUFFER_BYTES),
            unsent: Vec::new(),
            just_read: false,
        }))
    }
}

/// Tries the addresses one after the other. Each has its share of the time that is left. Fails with
/// `ConnectionRefused` only if nobody listens at any of them.
fn connect_any(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut failed = None;
    for (tried, address) in addresses.iter().enumerate() {
        let share = left(deadline) / (addresses.len() - tried) as u32;
        match connect(address, share) {
            Ok(stream) => return Ok(stream),
            Err(failure) if failed.is_none() || !is_refusal(&failure) => failed = Some(failure),
            Err(_) => (),
        }
    }
    Err(failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

fn connect_through(proxy: &SocketAddr, target: &str, deadline: Instant) -> io::Result<TcpStream> {
    let stream = connect(proxy, left(deadline))?;
    proxy::open_tunnel(&stream, target, deadline)?;
    Ok(stream)
}

pub(super) fn is_refusal(failure: &io::Error) -> bool {
    failure.kind() == io::ErrorKind::ConnectionRefused
}

fn connect(address: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    // The system refuses a time-out of zero.
    let stream = TcpStream::connect_timeout(address, timeout.max(Duration::from_millis(1)))?;
    // Where nobody listens, the system may give the caller the very port that it calls, and connect
    // it to itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One connection. Every wait ends at the deadline that ureq gives it, however often something
/// arrives meanwhile.
#[derive(Debug)]
pub(super) struct TcpTransport {
    stream: TcpStream,
    buffers: LazyBuffers,
    /// Written by ureq, but not sent yet.
    unsent: Vec<u8>,
    /// ureq has not asked since the last read whether it is open.
    just_read: bool,
}

impl Transport for TcpTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let output = &self.buffers.output()[..amount];
        self.unsent.extend_from_slice(output);
        if UNSENT_BYTES_MAX <= self.unsent.len() {
            self.send(timeout)?;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let deadline = deadline(timeout);
        self.send(timeout)?;
        let TcpTransport {
            stream, buffers, ..
        } = self;
        let input = buffers.input_append_buf();
        let amount = until(deadline, timeout, |left| {
            stream.set_read_timeout(Some(left))?;
            stream.read(input)
        })?;
        self.buffers.input_appended(amount);
        self.just_read = true;
        Ok(0 < amount)
    }

    /// Nothing arrives on a connection that waits to be used again. If something does, it is the
    /// end, or an answer to no request.
    fn is_open(&mut self) -> bool {
        let quiet = |stream: &TcpStream| -> io::Result<bool> {
            stream.set_nonblocking(true)?;
            let nothing = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            Ok(nothing.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock))
        };
        // ureq asks when it keeps a connection and when it takes one. The latter is enough, and
        // saves three system calls.
        if std::mem::take(&mut self.just_read) {
            return self.unsent.is_empty();
        }
        quiet(&self.stream).unwrap_or(false)
    }
}

impl TcpTransport {
    /// Sends what is unsent.
    fn send(&mut self, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let deadline = deadline(timeout);
        let TcpTransport { stream, unsent, .. } = self;
        let mut sent = 0;
        while sent < unsent.len() {
            sent += until(deadline, timeout, |left| {
                stream.set_write_timeout(Some(left))?;
                stream.write(&unsent[sent..])
            })?;
        }
        unsent.clear();
        Ok(())
    }
}

/// Does one read or write within the time that is left. After a signal it begins anew: Linux does
/// not do so itself for sockets with a time limit.
fn until(
    deadline: Instant,
    timeout: NextTimeout,
    mut step: impl FnMut(Duration) -> io::Result<usize>,
) -> Result<usize, ureq::Error> {
    loop {
        let left = left(deadline);
        if left.is_zero() {
            return Err(ureq::Error::Timeout(timeout.reason));
        }
        match step(left) {
            // The system's clock is coarser, so that a wait may end a little early.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => (),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
            outcome => return Ok(outcome?),
        }
    }
}

/// The client limits every call, so that the longest is only for arithmetic's sake.
fn deadline(timeout: NextTimeout) -> Instant {
    const LONGEST: Duration = Duration::from_secs(3600);
    Instant::now() + (*timeout.after).min(LONGEST)
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
