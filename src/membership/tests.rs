//! Which peers are live, and how long the leases last.

use super::*;

fn at(ms: u64) -> Time {
    let time = Duration::from_millis(ms);
    Time {
        monotonic: time,
        wall: time,
    }
}

fn pair() -> Membership {
    let peers = [Address::parse("http://a:1").unwrap()];
    let holders = [Address::parse("http://f:1").unwrap()];
    Membership::new(1, Timing::default(), &peers, &holders, at(0))
}

fn answer(down_count: u64) -> HeartbeatOutcome {
    HeartbeatOutcome::Answered(HeartbeatReply {
        outlives_refusal: false,
        start: 9,
        down_count,
    })
}

fn heartbeat(membership: &mut Membership, ms: u64, outcome: HeartbeatOutcome) -> Changes {
    let _ = membership.tick(at(ms));
    membership.due_heartbeats(at(ms), true);
    membership.on_outcome(0, at(ms), at(ms), outcome)
}

#[test]
fn nothing_is_trusted_before_the_first_round() {
    let mut membership = pair();
    assert!(!membership.lease_holds(at(0)));
    heartbeat(&mut membership, 10, answer(0));
    assert!(membership.lease_holds(at(10)));
}

#[test]
fn a_lease_ends_500_ms_after_its_heartbeat_was_sent() {
    let mut membership = pair();
    heartbeat(&mut membership, 10, answer(0));
    for ms in [210, 410, 505] {
        assert!(!membership.tick(at(ms)));
    }
    assert!(membership.lease_holds(at(509)));
    assert!(!membership.lease_holds(at(510)));
}

#[test]
fn the_refusal_of_a_catalog_whose_changes_outlive_it_gives_no_lease() {
    for outlives_refusal in [false, true] {
        let mut membership = pair();
        let reply = HeartbeatReply {
            start: 9,
            down_count: 0,
            outlives_refusal,
        };
        heartbeat(&mut membership, 10, HeartbeatOutcome::Answered(reply));
        for ms in [210, 410, 610] {
            heartbeat(&mut membership, ms, HeartbeatOutcome::Refused);
        }
        assert_eq!(membership.lease_holds(at(610)), !outlives_refusal);
    }
}

#[test]
fn a_suspended_machine_trusts_nothing() {
    let mut membership = pair();
    heartbeat(&mut membership, 10, answer(0));
    let later = Time {
        monotonic: at(11).monotonic,
        wall: at(5000).wall,
    };
    assert!(!membership.lease_holds(later));
    assert!(membership.tick(later));
}

#[test]
fn silence_counts_after_300_ms_and_a_refusal_immediately() {
    let mut membership = pair();
    heartbeat(&mut membership, 10, answer(0));
    assert!(!heartbeat(&mut membership, 100, HeartbeatOutcome::Silent).lost);
    assert!(!heartbeat(&mut membership, 300, HeartbeatOutcome::Silent).lost);
    assert!(heartbeat(&mut membership, 400, HeartbeatOutcome::Silent).lost);
    assert!(heartbeat(&mut membership, 450, answer(0)).regained);
    assert!(heartbeat(&mut membership, 500, HeartbeatOutcome::Refused).lost);
    assert_eq!(membership.peers[0].down_count, 2);
}

#[test]
fn a_process_that_was_asleep_counts_no_silence() {
    let mut membership = pair();
    heartbeat(&mut membership, 10, answer(0));
    membership.due_heartbeats(at(50), true);
    assert!(membership.tick(at(2000)));
    assert!(
        !membership
            .on_outcome(0, at(50), at(2001), HeartbeatOutcome::Silent)
            .lost
    );
    assert!(membership.stalled(at(2001)));
    heartbeat(&mut membership, 2002, answer(0));
    assert!(!membership.stalled(at(2002)));
}

#[test]
fn a_server_that_was_marked_down_is_told_so() {
    let mut membership = pair();
    assert!(heartbeat(&mut membership, 10, answer(0)).missed_invalidations);
    assert!(!heartbeat(&mut membership, 100, answer(0)).missed_invalidations);
    assert!(heartbeat(&mut membership, 200, answer(1)).missed_invalidations);
}

#[test]
fn a_front_ends_lease_needs_no_answer_of_a_dead_peer_but_one_of_a_silent_peer() {
    let mut membership = pair();
    heartbeat(&mut membership, 10, HeartbeatOutcome::Refused);
    assert!(membership.lease_holds(at(100)));
    for ms in [200, 400, 600] {
        heartbeat(&mut membership, ms, HeartbeatOutcome::Silent);
    }
    assert!(!membership.lease_holds(at(600)));
}

#[test]
fn an_unknown_peer_has_no_lease_and_gets_no_reply() {
    let mut membership = pair();
    assert!(heartbeat(&mut membership, 10, HeartbeatOutcome::UnknownPeer).unknown_peer);
    assert!(!membership.lease_holds(at(11)));
    assert!(
        membership
            .receive_heartbeat(&Address::parse("http://x:1").unwrap(), true, at(11))
            .is_none()
    );
}

#[test]
fn a_granted_lease_is_waited_for() {
    let mut membership = pair();
    membership
        .receive_heartbeat(&Address::parse("http://f:1").unwrap(), true, at(100))
        .unwrap();
    assert_eq!(
        membership.lease_left(&membership.holders[0], at(200)),
        Duration::from_millis(400)
    );
    assert!(membership.holders[0].mark_down() && !membership.holders[0].mark_down());
}

#[test]
fn a_holder_that_refuses_has_no_lease_until_its_next_heartbeat() {
    let mut membership = pair();
    let holder = Address::parse("http://f:1").unwrap();
    membership
        .receive_heartbeat(&holder, true, at(100))
        .unwrap();
    membership.on_holder_refused(0, at(99));
    assert_ne!(
        membership.lease_left(&membership.holders[0], at(200)),
        Duration::ZERO
    );
    membership.on_holder_refused(0, at(101));
    assert_eq!(
        membership.lease_left(&membership.holders[0], at(200)),
        Duration::ZERO
    );
    membership
        .receive_heartbeat(&holder, true, at(200))
        .unwrap();
    assert_ne!(
        membership.lease_left(&membership.holders[0], at(200)),
        Duration::ZERO
    );
}
