//! What this process uses of the system, read from Linux's `/proc`.
//!
//! Every function returns `None` on other systems, and when no descriptor is left to open `/proc`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Ticks of Linux's clock in `/proc`: 100 on every architecture that it has now.
const TICKS_A_SECOND: u32 = 100;

/// How many descriptors are open, the one that reads `/proc` included.
pub(crate) fn descriptors() -> Option<usize> {
    fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

/// How many descriptors may be open.
pub(crate) fn descriptors_max() -> Option<usize> {
    number_after("/proc/self/limits", "Max open files")
}

pub(crate) fn threads() -> Option<usize> {
    number_after("/proc/self/status", "Threads:")
}

/// Resident memory.
pub(crate) fn resident_bytes() -> Option<usize> {
    number_after("/proc/self/status", "VmRSS:").map(|kib| kib * 1024)
}

/// How many connections to this listener their clients have closed and this machine has not. Reads
/// the table of all connections of the machine: 2 ms for an empty one, a second for 100,000.
pub(crate) fn half_closed(listener: SocketAddr) -> Option<usize> {
    const CLOSE_WAIT: &str = "08";
    let port = format!("{:04X}", listener.port());
    // Another server may have the same port at another address.
    let ip = (!listener.ip().is_unspecified()).then(|| table_form(listener.ip()));
    let is_one = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, state) = (fields.next(), fields.next(), fields.next());
        let local = local.and_then(|local| local.split_once(':'));
        local.is_some_and(|(to, at)| at == port && ip.as_ref().is_none_or(|ip| ip == to))
            && state == Some(CLOSE_WAIT)
    };
    // A listener of IPv6 has its connections by IPv4 in the same table as the others.
    let table = match listener {
        SocketAddr::V4(_) => "/proc/self/net/tcp",
        SocketAddr::V6(_) => "/proc/self/net/tcp6",
    };
    let (mut file, mut line) = (BufReader::new(File::open(table).ok()?), String::new());
    let mut count = 0;
    while 0 < file.read_line(&mut line).ok()? {
        count += usize::from(is_one(&line));
        line.clear();
    }
    Some(count)
}

/// An address as the table of connections has it: words of 32 bits, as they are in memory.
fn table_form(ip: IpAddr) -> String {
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).map(|word| {
        let word = word.try_into().expect("a chunk has four bytes");
        format!("{:08X}", u32::from_ne_bytes(word))
    });
    words.collect()
}

/// When the process was started, since 1970.
pub(crate) fn started() -> Option<Duration> {
    let booted = number_after("/proc/stat", "btime")?;
    // The 22nd field.
    Some(Duration::from_secs(booted as u64) + ticks(stat()?.get(21 - 2)?)?)
}

/// The time that its threads have run, those that have ended included.
pub(crate) fn cpu_time() -> Option<Duration> {
    let stat = stat()?;
    // The 14th field and the 15th: in user mode, and in the kernel.
    Some(ticks(stat.get(13 - 2)?)? + ticks(stat.get(14 - 2)?)?)
}

/// The fields of `/proc/self/stat` behind the name of the program, which may hold spaces: the first
/// is the third.
fn stat() -> Option<Vec<String>> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_string).collect())
}

fn ticks(field: &str) -> Option<Duration> {
    Some(Duration::from_secs(field.trim().parse().ok()?) / TICKS_A_SECOND)
}

/// The first number in the line that begins with `name`.
fn number_after(file: &str, name: &str) -> Option<usize> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn usage_is_read_from_proc() {
        let open = descriptors().unwrap();
        assert!(open < descriptors_max().unwrap());
        assert!(0 < threads().unwrap());
        assert!(100_000 < resident_bytes().unwrap());
    }

    #[test]
    fn half_closed_connections_of_another_server_with_the_same_port_are_not_ours() {
        let listener = TcpListener::bind("127.88.7.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect_and_close = |_| {
            drop(TcpStream::connect(address).unwrap());
            let mut connection = listener.accept().unwrap().0;
            // The client's end has arrived.
            assert_eq!(connection.read(&mut [0]).unwrap(), 0);
            connection
        };
        let _closed = [(); 3].map(connect_and_close);
        let at = |ip: [u8; 4]| SocketAddr::new(ip.into(), address.port());
        assert_eq!(half_closed(address), Some(3));
        assert_eq!(half_closed(at([127, 88, 7, 2])), Some(0));
        assert_eq!(half_closed(at([0, 0, 0, 0])), Some(3));
    }

    #[test]
    fn addresses_have_the_form_that_linux_gives_them() {
        let form = |ip: &str| table_form(ip.parse().unwrap());
        assert_eq!(form("127.0.0.1"), "0100007F");
        assert_eq!(form("::1"), "00000000000000000000000001000000");
    }

    #[test]
    fn a_process_has_started_a_while_ago_and_takes_time() {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let age = (now + Duration::from_secs(1)).checked_sub(started().unwrap());
        assert!(age.unwrap() < Duration::from_secs(24 * 3600), "{age:?}");
        let before = cpu_time().unwrap();
        while cpu_time().unwrap() == before {
            std::hint::spin_loop();
        }
    }
}
