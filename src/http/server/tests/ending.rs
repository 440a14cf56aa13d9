//! A server that is told to end.

use crate::http::server::tests::connections::eventually;
use crate::http::server::tests::server;

#[test]
fn a_server_that_ends_answers_what_it_has_and_closes_each_connection() {
    let mut server = server();
    let mut kept = server.connect();
    assert!(!kept.ask("GET /quick HTTP/1.1\r\n\r\n").closes());
    let mut waiting = server.connect();
    waiting.send("GET /gate HTTP/1.1\r\n\r\n");
    server.end();
    eventually(|| server.get("/readyz").status == 503);
    assert!(kept.ask("GET /quick HTTP/1.1\r\n\r\n").closes());
    server.service.open_gate();
    let answer = waiting.answer(true);
    assert_eq!((answer.text(), answer.closes()), ("\"passed\"", true));
    let served = server.served.take().unwrap();
    assert_eq!(served.join().unwrap(), Ok(()));
}
