//! A server that is told to end.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::http::server::tests::connections::eventually;
use crate::http::server::tests::{TestServer, TestService, usual};
use crate::http::server::{ServerConfig, prepare, serve};

#[test]
fn a_server_that_ends_answers_what_it_has_and_closes_each_connection() {
    static SHOULD_END: AtomicBool = AtomicBool::new(false);
    let config = ServerConfig {
        should_end: || SHOULD_END.load(Ordering::SeqCst),
        ..usual()
    };
    let listener = TcpListener::bind("127.88.2.1:0").unwrap();
    prepare(&listener, config.idle).unwrap();
    let server = TestServer {
        address: listener.local_addr().unwrap(),
        service: Arc::new(TestService::default()),
    };
    let service = server.service.clone();
    let served = thread::spawn(move || serve(listener, config, service));

    let mut kept = server.connect();
    assert!(!kept.ask("GET /quick HTTP/1.1\r\n\r\n").closes());
    let mut waiting = server.connect();
    waiting.send("GET /gate HTTP/1.1\r\n\r\n");
    SHOULD_END.store(true, Ordering::SeqCst);
    eventually(|| server.get("/readyz").status == 503);
    assert!(kept.ask("GET /quick HTTP/1.1\r\n\r\n").closes());
    server.service.open_gate();
    let answer = waiting.answer(true);
    assert_eq!((answer.text(), answer.closes()), ("\"passed\"", true));
    assert_eq!(served.join().unwrap(), Ok(()));
}
