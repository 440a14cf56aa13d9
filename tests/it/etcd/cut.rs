//! A cut between the members of etcd, and shops on both sides of it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::harness::clients::{buy_until_definite, concurrently};
use crate::harness::etcd::Etcd;
use crate::harness::http::Response;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions, Store, own_host};

/// The ways between members, on which one of them can be cut off from the others.
#[derive(Default)]
struct Ways(Mutex<State>);

#[derive(Default)]
struct State {
    /// The member that is cut off, by number and as it names itself to the others.
    cut_off: Option<(usize, String)>,
    /// Both ends of every connection since the last cut.
    streams: Vec<TcpStream>,
}

impl Ways {
    /// The URL at which the others reach member `n`, whose own host this is.
    fn to(self: &Arc<Self>, n: usize, host: &str) -> String {
        let listener = TcpListener::bind((own_host(), 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (ways, target) = (self.clone(), format!("{host}:2380"));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (ways, target) = (ways.clone(), target.clone());
                // Whatever fails, the members connect again.
                thread::spawn(move || drop(ways.carry(n, client, &target)));
            }
        });
        url
    }

    /// From now on nothing that this member sends reaches another one, and nothing reaches it.
    fn cut_off(&self, etcd: &Etcd, n: usize) {
        let mut state = self.0.lock().unwrap();
        state.cut_off = Some((n, etcd.member(n).id_in_hex()));
        for stream in state.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn heal(&self) {
        self.0.lock().unwrap().cut_off = None;
    }

    /// Carries one connection. Its first request says who asks.
    fn carry(&self, to: usize, mut client: TcpStream, target: &str) -> io::Result<()> {
        let head = read_head(&mut client)?;
        let mut server = TcpStream::connect(target)?;
        {
            let mut state = self.0.lock().unwrap();
            if let Some((n, id)) = &state.cut_off {
                let from = sender(&head);
                // Not every request has a sender; what matters has.
                if to == *n || from.is_none_or(|from| from == *id) {
                    return client.shutdown(Shutdown::Both);
                }
            }
            let ends = [client.try_clone()?, server.try_clone()?];
            state.streams.extend(ends);
        }
        server.write_all(&head)?;
        let (from, back) = (server.try_clone()?, client.try_clone()?);
        thread::spawn(move || pass(from, back));
        pass(client, server);
        Ok(())
    }
}

fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(head)
}

/// The member that sends a request, as it names itself.
fn sender(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let line = lines.find(|(name, _)| name.eq_ignore_ascii_case("X-Server-From"));
    line.map(|(_, id)| id.to_string())
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

/// A shop whose catalog 1 reaches only this member of etcd, and catalog 2 only the others.
fn shop_on_both_sides(etcd: &Etcd, member: usize) -> Shop {
    let shop = Shop::new(ShopOptions {
        store: Store::Own,
        // Those who are asked in vain wait for it several times.
        environment: vec![("STORE", "etcd".into()), ("TIMEOUT_MS", "1500".into())],
        ..ShopOptions::default()
    });
    let others = (0..3).filter(|n| *n != member);
    let others: Vec<String> = others.map(|n| etcd.member(n).url()).collect();
    let sides = [etcd.member(member).url(), others.join("|")];
    for (catalog, etcd) in shop.catalogs().iter().zip(sides) {
        catalog.launch_with(&["--etcd", &etcd]);
        catalog.await_ready();
    }
    for server in shop.orders().iter().chain(shop.front_ends()) {
        server.launch();
        server.await_ready();
    }
    shop
}

fn buy_once(server: &Server, key: &str) -> Response {
    server.call("PUT", "/buy/2", &[("Idempotency-Key", key)], "")
}

fn is_failure(response: &Response) -> bool {
    matches!(response.status, 503 | 504)
}

#[test]
fn a_leader_that_is_cut_off_sells_nothing_and_the_others_go_on() {
    let ways = Arc::<Ways>::default();
    let Some(etcd) = Etcd::with_peer_urls(3, |n, host| ways.to(n, host)) else {
        return;
    };
    let leader = etcd.leader();
    let shop = shop_on_both_sides(&etcd, leader);
    let (minority, majority) = (shop.order(1), shop.order(2));
    shop.stock_up(2, 50);
    for (n, side) in [minority, majority].into_iter().enumerate() {
        let before = buy_until_definite(&side.address, 2, &format!("before-{n}"));
        assert!(before.is_purchase(), "{before:?}");
    }

    ways.cut_off(&etcd, leader);
    let asked = concurrently(30, |n| match n % 3 {
        0 => buy_once(minority, &format!("minority-{n}")),
        1 => buy_until_definite(&majority.address, 2, &format!("majority-{n}")),
        _ => buy_until_definite(&shop.front_end().address, 2, &format!("between-{n}")),
    });
    for (n, response) in asked.iter().enumerate() {
        let is_right = match n % 3 {
            0 => is_failure(response),
            _ => response.is_purchase(),
        };
        assert!(is_right, "{n}: {response:?}");
    }
    let read = shop.catalog(1).get("/query/item/2");
    assert!(is_failure(&read), "{read:?}");
    assert_eq!(shop.catalog(2).quantity(2), 28);

    ways.heal();
    // Each gets one copy, whatever has become of the first try.
    let again = concurrently(30, |n| match n % 3 {
        0 => buy_until_definite(&minority.address, 2, &format!("minority-{n}")),
        1 => buy_until_definite(&majority.address, 2, &format!("majority-{n}")),
        _ => buy_until_definite(&shop.front_end().address, 2, &format!("between-{n}")),
    });
    assert!(again.iter().all(Response::is_purchase), "{again:?}");
    assert_eq!(shop.quantities(2), [18; 2]);
    assert_eq!(shop.quantity(2), 18);
}
