//! The ports of a shop: free ones are found, and one that is taken is named, with who has it.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::config::shop::{PORT_STEP, Ports};
use crate::supervisor::topology::{Kind, Member};

/// A listener on this machine accepts at once.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// This many ports of `host` on which nothing listens, all different.
///
/// Fails when the system has no more.
pub(crate) fn free(host: &str, count: usize) -> Result<Vec<u16>, String> {
    let cannot = |error: io::Error| format!("cannot find a free port on {host}: {error}");
    let bind = |_| -> io::Result<(u16, TcpListener)> {
        let listener = TcpListener::bind((host, 0))?;
        Ok((listener.local_addr()?.port(), listener))
    };
    // All are held until the last one is found: so they differ.
    let bound: io::Result<Vec<(u16, TcpListener)>> = (0..count).map(bind).collect();
    Ok(bound
        .map_err(cannot)?
        .into_iter()
        .map(|(port, _)| port)
        .collect())
}

/// The port of server n of a kind, from 0.
pub(crate) fn nth(ports: Ports, kind: Kind, n: usize) -> u16 {
    let first = match kind {
        Kind::Catalog => ports.catalog,
        Kind::Order => ports.order,
        Kind::FrontEnd => ports.front_end,
    };
    first + PORT_STEP * n as u16
}

/// Fails when two servers have one port, or when a port is in use: with whose it is, and what to
/// do. `local` is where a wildcard is reached.
pub(crate) fn check(members: &[Member], local: &str) -> Result<(), String> {
    for (n, member) in members.iter().enumerate() {
        let (port, setting) = (member.port, member.kind.port_setting());
        let same = |other: &&Member| other.port == port;
        if let Some(other) = members[..n].iter().find(same) {
            let (one, two) = (&other.name, &member.name);
            return Err(format!(
                "{one} and {two} both have port {port}: set {setting} to another"
            ));
        }
    }
    let taken = |member: &&Member| is_in_use(&member.host, local, member.port);
    let Some(member) = members.iter().find(taken) else {
        return Ok(());
    };
    let Member {
        name, host, port, ..
    } = member;
    if let Some(shop) = running_shop(members) {
        return Err(shop);
    }
    let setting = member.kind.port_setting();
    let other = port % 50_000 + 10_000;
    Err(format!(
        "port {port} on {host} is in use, so {name} cannot have it: \
         set {setting} to another, such as {setting}={other}"
    ))
}

fn is_in_use(host: &str, local: &str, port: u16) -> bool {
    let host = if matches!(host, "0.0.0.0" | "::") {
        local
    } else {
        host
    };
    let addresses = (host, port).to_socket_addrs();
    let connects = |address| TcpStream::connect_timeout(&address, CONNECT_MAX).is_ok();
    addresses.is_ok_and(|mut addresses| addresses.any(connects))
}

/// A process as Linux shows it under `/proc`.
struct Listed {
    id: u32,
    parent: u32,
    args: Vec<String>,
}

/// Says that servers of Bazar have these ports, which processes they are, and how to stop them.
/// `None`: there is none, or the system does not tell.
fn running_shop(members: &[Member]) -> Option<String> {
    let processes: Vec<Listed> = listed();
    let has = |process: &Listed, option: &str, value: &str| {
        process
            .args
            .windows(2)
            .any(|pair| pair[0] == option && pair[1] == value)
    };
    let is_ours = |process: &&Listed| {
        members.iter().any(|member| {
            let is_kind = process
                .args
                .get(1)
                .is_some_and(|word| word == member.kind.word());
            let port = member.port.to_string();
            is_kind && has(process, "--host", &member.host) && has(process, "--port", &port)
        })
    };
    let servers: Vec<&Listed> = processes.iter().filter(is_ours).collect();
    let parent = servers.first()?.parent;
    let ids = |of: &[&Listed]| {
        let ids: Vec<String> = of.iter().map(|process| process.id.to_string()).collect();
        ids.join(" ")
    };
    let ids = ids(&servers);
    let is_shop = |process: &&Listed| {
        process.id == parent && process.args.get(1).is_some_and(|word| word == "shop")
    };
    let shop = processes.iter().find(is_shop);
    Some(match shop {
        Some(_) => format!(
            "a shop is running here already: process {parent}, with its servers {ids}. \
             Ctrl-C there stops it, or: kill {parent}"
        ),
        None => format!(
            "a shop is running here already: its servers are processes {ids}. To stop \
             them: kill {ids}"
        ),
    })
}

fn listed() -> Vec<Listed> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let process = |id: u32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let args = line.split(|byte| *byte == 0);
        let args = args
            .map(|arg| String::from_utf8_lossy(arg).into_owned())
            .collect();
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let parent = stat
            .rsplit(')')
            .next()?
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()?;
        Some(Listed { id, parent, args })
    };
    ids.filter_map(process).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address::Address;

    fn member(kind: Kind, name: &str, port: u16) -> Member {
        Member {
            kind,
            name: name.into(),
            host: "127.0.0.1".into(),
            port,
            address: Address::of("127.0.0.1", port),
        }
    }

    #[test]
    fn free_ports_differ_and_nothing_listens_on_them() {
        let ports = free("127.0.0.1", 3).unwrap();
        assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2]);
        let members: Vec<Member> = ports
            .iter()
            .map(|port| member(Kind::Order, &format!("order{port}"), *port))
            .collect();
        assert_eq!(check(&members, "127.0.0.1"), Ok(()));
    }

    #[test]
    fn two_servers_on_one_port_are_named() {
        let members = [
            member(Kind::Catalog, "catalog2", 6),
            member(Kind::Order, "order1", 6),
        ];
        let message = check(&members, "127.0.0.1").unwrap_err();
        for word in ["catalog2", "order1", "port 6", "ORDER_PORT"] {
            assert!(message.contains(word), "{message}");
        }
    }
}
