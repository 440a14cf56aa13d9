//! Who is live, and how long what is kept may be trusted.

use super::*;

fn at(ms: u64) -> Time {
    let time = Duration::from_millis(ms);
    Time {
        monotonic: time,
        wall: time,
    }
}

fn pair(lease_of: LeaseOf) -> Membership {
    let peers = [Address::parse("http://a:1").unwrap()];
    let holders = [Address::parse("http://f:1").unwrap()];
    Membership::new(1, lease_of, Timing::default(), &peers, &holders, at(0))
}

fn answer(down_count: u64) -> HeartbeatOutcome {
    HeartbeatOutcome::Answered(HeartbeatReply {
        start: 9,
        down_count,
    })
}

fn heartbeat(contact: &mut Membership, ms: u64, outcome: HeartbeatOutcome) -> Changes {
    let _ = contact.tick(at(ms));
    contact.due_heartbeats(at(ms), true);
    contact.on_outcome(0, at(ms), at(ms), outcome)
}

#[test]
fn nothing_is_trusted_before_the_first_round() {
    let mut contact = pair(LeaseOf::LivePeers);
    assert!(!contact.lease_holds(at(0)));
    heartbeat(&mut contact, 10, answer(0));
    assert!(contact.lease_holds(at(10)));
}

#[test]
fn a_lease_ends_500_ms_after_its_hello_was_sent() {
    let mut contact = pair(LeaseOf::LivePeers);
    heartbeat(&mut contact, 10, answer(0));
    for ms in [210, 410, 505] {
        assert!(!contact.tick(at(ms)));
    }
    assert!(contact.lease_holds(at(509)));
    assert!(!contact.lease_holds(at(510)));
}

#[test]
fn a_suspended_machine_trusts_nothing() {
    let mut contact = pair(LeaseOf::LivePeers);
    heartbeat(&mut contact, 10, answer(0));
    let later = Time {
        monotonic: at(11).monotonic,
        wall: at(5000).wall,
    };
    assert!(!contact.lease_holds(later));
    assert!(contact.tick(later));
}

#[test]
fn silence_counts_after_300_ms_and_a_refusal_at_once() {
    let mut contact = pair(LeaseOf::LivePeers);
    heartbeat(&mut contact, 10, answer(0));
    assert!(!heartbeat(&mut contact, 100, HeartbeatOutcome::Silent).lost);
    assert!(!heartbeat(&mut contact, 300, HeartbeatOutcome::Silent).lost);
    assert!(heartbeat(&mut contact, 400, HeartbeatOutcome::Silent).lost);
    assert!(heartbeat(&mut contact, 450, answer(0)).regained);
    assert!(heartbeat(&mut contact, 500, HeartbeatOutcome::Refused).lost);
    assert_eq!(contact.peers[0].down_count, 2);
}

#[test]
fn who_slept_counts_nobodys_silence() {
    let mut contact = pair(LeaseOf::LivePeers);
    heartbeat(&mut contact, 10, answer(0));
    contact.due_heartbeats(at(50), true);
    assert!(contact.tick(at(2000)));
    assert!(
        !contact
            .on_outcome(0, at(50), at(2001), HeartbeatOutcome::Silent)
            .lost
    );
    assert!(contact.stalled(at(2001)));
    heartbeat(&mut contact, 2002, answer(0));
    assert!(!contact.stalled(at(2002)));
}

#[test]
fn who_was_counted_as_down_learns_it() {
    let mut contact = pair(LeaseOf::LivePeers);
    assert!(heartbeat(&mut contact, 10, answer(0)).missed_invalidations);
    assert!(!heartbeat(&mut contact, 100, answer(0)).missed_invalidations);
    assert!(heartbeat(&mut contact, 200, answer(1)).missed_invalidations);
}

#[test]
fn a_front_end_trusts_the_dead_but_not_the_silent() {
    let mut contact = pair(LeaseOf::AllPeers);
    heartbeat(&mut contact, 10, HeartbeatOutcome::Refused);
    assert!(contact.lease_holds(at(100)));
    for ms in [200, 400, 600] {
        heartbeat(&mut contact, ms, HeartbeatOutcome::Silent);
    }
    assert!(!contact.lease_holds(at(600)));
}

#[test]
fn a_stranger_trusts_nothing_and_is_not_greeted() {
    let mut contact = pair(LeaseOf::AllPeers);
    assert!(heartbeat(&mut contact, 10, HeartbeatOutcome::UnknownPeer).unknown_peer);
    assert!(!contact.lease_holds(at(11)));
    assert!(
        contact
            .receive_heartbeat(&Address::parse("http://x:1").unwrap(), at(11))
            .is_none()
    );
}

#[test]
fn a_lent_lease_is_waited_out() {
    let mut contact = pair(LeaseOf::LivePeers);
    contact
        .receive_heartbeat(&Address::parse("http://f:1").unwrap(), at(100))
        .unwrap();
    assert_eq!(
        contact.lease_left(&contact.holders[0], at(200)),
        Duration::from_millis(400)
    );
    assert!(contact.mark_holder_down(0) && !contact.mark_holder_down(0));
}

#[test]
fn a_holder_that_refuses_has_no_lease_unless_it_says_hello_again() {
    let mut contact = pair(LeaseOf::LivePeers);
    let holder = Address::parse("http://f:1").unwrap();
    contact.receive_heartbeat(&holder, at(100)).unwrap();
    contact.on_holder_refused(0, at(99));
    assert_ne!(
        contact.lease_left(&contact.holders[0], at(200)),
        Duration::ZERO
    );
    contact.on_holder_refused(0, at(101));
    assert_eq!(
        contact.lease_left(&contact.holders[0], at(200)),
        Duration::ZERO
    );
    contact.receive_heartbeat(&holder, at(200)).unwrap();
    assert_ne!(
        contact.lease_left(&contact.holders[0], at(200)),
        Duration::ZERO
    );
}
