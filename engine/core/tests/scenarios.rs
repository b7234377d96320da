//! What callers see, in virtual time: retry, failover, spillover, ramp, rollout, latch, kill.
#![expect(clippy::unwrap_used, reason = "a test: the helpers fail it")]

mod choosing;
mod draws;
mod simulate;
mod world;

use crossfade_core::decide::Tried;
use crossfade_core::domain::decision::{ArmKind, Next, Refusal, Role};
use crossfade_core::domain::outcome::{ErrorKind, UpstreamError};
use crossfade_core::domain::snapshot::Snapshot;
use proptest::prelude::*;
use serde_json::json;
use world::{Answer, World, parse, rollout, simple};

const TWO: &[(&str, &[&str])] = &[("own", &["a"]), ("backup", &["b"])];

#[test]
fn a_fast_failure_is_retried_once_and_then_fails_over() {
    let mut world = World::new(&simple(TWO));
    world.answer("a", Answer::fails(ErrorKind::ServerError));
    let served = world.send().unwrap();

    assert!(served.ok);
    assert_eq!(served.endpoints(), ["a", "a", "b"]);
    assert_eq!(served.roles(), [Role::First, Role::Retry, Role::Failover]);
    assert_eq!(served.last_reason, "failover: a failed with server_error");
}

#[test]
fn a_timeout_and_a_slow_failure_are_not_retried() {
    for answer in [
        Answer::fails(ErrorKind::Timeout),
        Answer { took_ms: 4000.0, ..Answer::fails(ErrorKind::ServerError) },
    ] {
        let mut world = World::new(&simple(TWO));
        world.answer("a", answer);

        assert_eq!(world.send().unwrap().endpoints(), ["a", "b"]);
    }
}

#[test]
fn attempts_end_at_their_limit_and_at_the_deadline() {
    let three: &[(&str, &[&str])] = &[("p", &["a"]), ("q", &["b"]), ("r", &["c"]), ("s", &["d"])];
    let mut world = World::new(&simple(three));
    for name in ["a", "b", "c", "d"] {
        world.answer(name, Answer::fails(ErrorKind::Timeout));
    }
    let served = world.send().unwrap();
    assert_eq!(served.endpoints(), ["a", "b", "c"]);
    assert_eq!(served.last_reason, "timeout, and all 3 attempts are spent");

    world.answer("a", Answer { took_ms: 5000.0, ..Answer::fails(ErrorKind::Timeout) });
    let mut hurried = world.facts("unit");
    hurried.deadline_ms = Some(5000);
    let served = world.serve(&hurried).unwrap();
    assert_eq!(served.endpoints(), ["a"]);
    assert_eq!(served.last_reason, "timeout, and the request's deadline is over");
}

#[test]
fn the_last_attempt_goes_to_a_target_that_has_not_failed() {
    let mut world = World::new(&simple(&[("own", &["a", "a2"]), ("backup", &["b"])]));
    world.answer("a", Answer::fails(ErrorKind::ServerError));
    world.answer("a2", Answer::fails(ErrorKind::ServerError));
    let served = world.send().unwrap();

    assert!(served.ok, "both endpoints of the first target are down, the backup is not");
    assert_eq!(served.endpoints(), ["a", "a", "b"]);

    let mut two_attempts = simple(TWO);
    two_attempts["features"]["recap"]["attempts"]["max_attempts"] = json!(2);
    let mut world = World::new(&two_attempts);
    world.answer("a", Answer::fails(ErrorKind::ServerError));
    assert_eq!(world.send().unwrap().endpoints(), ["a", "b"], "no retry takes the backup's attempt");
}

#[test]
fn retries_stop_when_the_budget_is_spent() {
    let mut snapshot = simple(TWO);
    snapshot["endpoints"]["a"]["breaker"]["consecutive_hard"] = json!(1_000_000);
    snapshot["endpoints"]["a"]["breaker"]["min_hard"] = json!(1_000_000);
    let mut world = World::new(&snapshot);
    world.answer("a", Answer::fails(ErrorKind::ServerError));
    let mut retries = 0;
    for _ in 0..200 {
        let served = world.send().unwrap();
        assert!(served.ok);
        retries += served.roles().iter().filter(|role| **role == Role::Retry).count();
    }

    // 200 first attempts at 10 %, and a reserve of 1/s over 10 s.
    assert!((25..=30).contains(&retries), "{retries}");
}

#[test]
fn a_dead_primary_is_left_after_five_requests_and_returns_by_the_ramp() {
    let mut world = World::new(&simple(TWO));
    world.answer("a", Answer::fails(ErrorKind::Connection));
    assert_eq!(world.run(20.0, 10.0), 0, "no caller sees the outage");
    assert_eq!(world.state("a"), "open");
    let served = world.send().unwrap();
    assert_eq!(served.endpoints(), ["b"]);
    assert_eq!(served.decision.candidates[0].target, 1);
    assert!(served.decision.candidates[0].reason.contains("a: breaker open: "), "{:?}", served.decision);
    assert_eq!(served.decision.skipped[0].endpoint, "a");

    world.answer("a", Answer::ok());
    let mut shares = Vec::new();
    for _ in 0..3000 {
        assert!(world.send().unwrap().ok);
        let share = world.engine.health()[0].share;
        if shares.last() != Some(&share) {
            shares.push(share);
        }
        world.pass(0.05);
        world.engine.tick(world.now);
    }
    assert_eq!(shares, [0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0]);
}

#[test]
fn the_ramp_admits_about_its_share_of_requests() {
    let mut world = World::new(&simple(TWO));
    world.answer("a", Answer::fails(ErrorKind::Connection));
    world.run(2.0, 10.0);
    world.answer("a", Answer::ok());
    while world.engine.health()[0].share < 0.25 {
        world.send().unwrap();
        world.pass(0.05);
        world.engine.tick(world.now);
    }
    let mut admitted = 0;
    for _ in 0..1000 {
        let facts = world.facts("u");
        let served = world.serve(&facts).unwrap();
        admitted += usize::from(served.endpoints()[0] == "a");
    }

    assert!((200..300).contains(&admitted), "{admitted} of 1000 at 25 %");
}

#[test]
fn everything_open_refuses_with_the_earliest_moment() {
    let mut world = World::new(&simple(TWO));
    world.answer("a", Answer::fails(ErrorKind::Timeout));
    world.answer("b", Answer::fails(ErrorKind::Timeout));
    // b is only ever a backup until a is open: its own first attempts open it then.
    let mut refusal = None;
    for _ in 0..40 {
        if let Err(refused) = world.send() {
            refusal = Some(refused);
            break;
        }
    }

    match refusal {
        Some(Refusal::AllOpen { retry_after_ms, .. }) => {
            assert!((3000..=6000).contains(&retry_after_ms), "{retry_after_ms}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_recovering_endpoint_serves_rather_than_refusing() {
    let mut world = World::new(&simple(&[("own", &["a"])]));
    world.answer("a", Answer::fails(ErrorKind::Connection));
    while world.state("a") != "open" {
        world.send().unwrap();
    }
    world.answer("a", Answer::ok());
    world.pass(7.0);
    let facts = world.facts("u");
    let probe = world.engine.choose(&facts, world.now, 0.5).unwrap();
    let second = world.engine.choose(&facts, world.now, 0.5).unwrap();

    assert!(probe.candidates[0].probe);
    assert!(!second.candidates[0].probe, "its one probe is in flight");
    assert!(second.candidates[0].reason.contains("last resort"), "{}", second.candidates[0].reason);
}

#[test]
fn a_backup_that_is_half_open_still_catches_a_failing_primary() {
    let mut world = World::new(&simple(TWO));
    world.answer("a", Answer::fails(ErrorKind::Timeout));
    world.answer("b", Answer::fails(ErrorKind::Timeout));
    while world.state("b") != "open" {
        if world.send().is_err() {
            break;
        }
    }
    world.answer("a", Answer::ok());
    world.answer("b", Answer::ok());
    assert_eq!(world.state("b"), "open");
    world.pass(8.0);
    // a recovers with the traffic; b, never first, stays half-open.
    let mut waited = 0;
    while world.state("a") != "closed" {
        world.send().unwrap();
        world.pass(0.05);
        world.engine.tick(world.now);
        waited += 1;
        assert!(waited < 4000);
    }
    let b_before = world.state("b");
    world.answer("a", Answer::fails(ErrorKind::Timeout));
    let served = world.send().unwrap();

    assert!(served.ok, "b was {b_before}: {served:?}");
    assert_eq!(served.endpoints(), ["a", "b"]);
}

#[test]
fn a_full_endpoint_spills_to_its_sibling_first() {
    let mut world = World::new(&simple(&[("own", &["a", "b"]), ("backup", &["c"])]));
    world.answer("a", Answer::full(None));
    let first = world.send().unwrap();
    let second = world.send().unwrap();

    assert_eq!((first.endpoints(), first.roles()), (vec!["a", "b"], vec![Role::First, Role::Spillover]));
    assert_eq!(second.endpoints(), ["b"], "a was asked to rest");
    assert_eq!(second.decision.skipped[0].reason, "asked to come back in 1.0 s");
    assert_eq!(world.state("a"), "closed", "full is not broken");
}

#[test]
fn a_short_pushback_is_waited_out_a_long_one_is_not() {
    let mut world = World::new(&simple(TWO));
    world.answer("a", Answer::full(Some(400)));
    let served = world.send().unwrap();
    assert_eq!(served.endpoints(), ["a", "a", "b"]);
    assert_eq!(served.roles(), [Role::First, Role::Retry, Role::Failover]);
    assert!((400..=480).contains(&served.attempts[1].wait_ms), "{served:?}");

    let mut world = World::new(&simple(TWO));
    world.answer("a", Answer::full(Some(20_000)));
    assert_eq!(world.send().unwrap().endpoints(), ["a", "b"]);
    assert_eq!(world.send().unwrap().endpoints(), ["b"], "20 s are not waited out");
    world.pass(18.0);
    let served = world.send().unwrap();
    assert_eq!(served.attempts[0].endpoint, "a", "2 s are: better than another model");
    assert!((1900..=2500).contains(&served.attempts[0].wait_ms), "{served:?}");
}

#[test]
fn the_waits_of_a_request_are_bounded_together() {
    let mut world = World::new(&simple(TWO));
    world.answer("a", Answer::full(Some(20_000)));
    world.send().unwrap();
    world.pass(18.0);
    world.answer("a", Answer::full(Some(1500)));
    let served = world.send().unwrap();

    assert_eq!(served.endpoints(), ["a", "b"], "it rested before it asked, and is not asked to rest again");
    assert!((1900..=2500).contains(&served.attempts[0].wait_ms), "{served:?}");
    assert_eq!(served.attempts[1].wait_ms, 0);
}

#[test]
fn what_is_too_long_for_one_model_is_not_sent_to_another_that_takes_as_little() {
    for (b, asked) in [(json!(1000), ["a", "c"]), (json!(null), ["a", "b"]), (json!(1001), ["a", "b"])] {
        let mut snapshot = simple(&[("own", &["a"]), ("second", &["b"]), ("third", &["c"])]);
        for (endpoint, context) in [("a", json!(1000)), ("b", b), ("c", json!(2000))] {
            snapshot["endpoints"][endpoint]["takes"]["context"] = context;
        }
        let mut world = World::new(&snapshot);
        world.answer("a", Answer::fails(ErrorKind::ContextLength));

        assert_eq!(world.send().unwrap().endpoints(), asked);
    }
}

/// A provider that refuses everybody for an hour: a brief wait is better than another model, an hour of
/// them is not.
#[test]
fn an_endpoint_that_refuses_nearly_everything_is_not_waited_for() {
    let mut world = World::new(&simple(TWO));
    world.answer("a", Answer::full(None));
    let early = world.send().unwrap();
    assert_eq!(early.endpoints(), ["a", "a", "b"]);
    assert!(early.attempts[1].wait_ms >= 1000);
    world.run(30.0, 5.0);

    for _ in 0..20 {
        let served = world.send().unwrap();
        assert!(served.ok);
        assert!(served.attempts.iter().all(|made| made.wait_ms == 0), "{:?}", served.attempts);
        world.pass(0.2);
    }
    world.answer("a", Answer::ok());
    world.run(120.0, 5.0);
    assert_eq!(world.send().unwrap().endpoints(), ["a"], "and it is found well again");
}

#[test]
fn a_callers_mistake_is_told_at_once_and_too_long_goes_to_another_model_once() {
    let pools: &[(&str, &[&str])] = &[("p", &["a", "a2"]), ("q", &["b"]), ("r", &["c"])];
    for kind in [ErrorKind::InvalidRequest, ErrorKind::ContentFiltered] {
        let mut world = World::new(&simple(pools));
        world.answer("a", Answer::fails(kind));
        assert_eq!(world.send().unwrap().endpoints(), ["a"]);
    }
    let mut world = World::new(&simple(pools));
    world.answer("a", Answer::fails(ErrorKind::ContextLength));
    world.answer("b", Answer::fails(ErrorKind::ContextLength));

    assert_eq!(world.send().unwrap().endpoints(), ["a", "b"]);
    assert_eq!(world.state("a"), "closed");
}

#[test]
fn a_request_goes_only_where_the_model_takes_it() {
    let mut snapshot = simple(TWO);
    snapshot["endpoints"]["a"]["takes"]["images"] = json!(false);
    snapshot["endpoints"]["b"]["takes"]["context"] = json!(1000);
    let mut world = World::new(&snapshot);
    let mut ask = |images, tokens| {
        let mut facts = world.facts("u1");
        facts.needs.images = images;
        facts.input_tokens = tokens;
        world.serve(&facts)
    };
    assert_eq!(ask(false, 100).unwrap().endpoints(), ["a"]);
    let served = ask(true, 100).unwrap();
    assert_eq!(served.endpoints(), ["b"]);
    assert_eq!(served.decision.skipped[0].reason, "reads no images");

    // Estimates are within 15 %: what may fit is tried.
    assert_eq!(ask(true, 1176).unwrap().endpoints(), ["b"]);
    let lacks = "reads no images; takes 1000 tokens, and the prompt has about 1177".to_owned();
    assert_eq!(ask(true, 1177).unwrap_err(), Refusal::Incapable { feature: "recap".to_owned(), lacks });
}

#[test]
fn a_request_that_can_be_served_by_one_that_is_open_waits_for_it() {
    let mut snapshot = simple(TWO);
    snapshot["endpoints"]["a"]["takes"]["images"] = json!(false);
    let mut world = World::new(&snapshot);
    world.answer("b", Answer::fails(ErrorKind::Timeout));
    let mut facts = world.facts("u1");
    facts.needs.images = true;
    for number in 0..20 {
        facts.request_id = format!("r{number}");
        let _ = world.serve(&facts);
    }

    assert!(matches!(world.serve(&facts), Err(Refusal::AllOpen { .. })));
}

#[test]
fn what_has_no_form_at_one_endpoint_is_asked_of_the_next() {
    let mut world = World::new(&simple(&[("p", &["a", "b"]), ("q", &["c"])]));
    world.answer("a", Answer::fails(ErrorKind::Unsupported));
    world.answer("b", Answer::fails(ErrorKind::Unsupported));

    assert_eq!(world.send().unwrap().endpoints(), ["a", "b", "c"]);
    assert_eq!(world.state("a"), "closed");
}

#[test]
fn a_refused_credential_fails_over_and_is_quarantined() {
    let mut world = World::new(&simple(TWO));
    world.answer("a", Answer::fails(ErrorKind::Auth));
    assert_eq!(world.send().unwrap().endpoints(), ["a", "b"]);
    assert_eq!(world.send().unwrap().endpoints(), ["a", "b"]);

    assert_eq!(world.state("a"), "quarantined");
    assert_eq!(world.send().unwrap().endpoints(), ["b"]);
}

#[test]
fn an_endpoint_that_is_not_eligible_gets_nothing_of_any_kind() {
    let mut snapshot = rollout(&[("own", &["a", "x"]), ("new", &["n"])], 1.0);
    snapshot["features"]["recap"]["eligible"] = json!(["a"]);
    snapshot["features"]["recap"]["shadow"] = json!({
        "name": "s", "target": {"pool": "new", "set": {}}, "share": 1.0, "in_flight": 4, "capture": true,
    });
    let mut world = World::new(&snapshot);
    world.answer("a", Answer::fails(ErrorKind::Timeout));
    for _ in 0..4 {
        let served = world.send().unwrap();
        assert_eq!(served.endpoints(), ["a"]);
        assert!(served.decision.shadow.is_none());
        let named: Vec<_> = served.decision.skipped.iter().map(|one| one.endpoint.as_str()).collect();
        assert_eq!(named, ["x", "n"]);
    }
    let mut pinned = world.facts("u");
    pinned.pin = Some("n".to_owned());

    assert!(matches!(world.serve(&pinned), Err(Refusal::NoEligibleEndpoint { .. })));
    assert_eq!(world.effect().candidate_share, 0.0, "the effect is what happens, not what was asked");
}

fn timed_out(candidate: usize) -> Tried {
    let error = UpstreamError {
        kind: ErrorKind::Timeout,
        detail: String::new(),
        http_status: None,
        pushback_ms: None,
    };
    Tried { candidate, role: Role::First, error, took_ms: 100.0 }
}

#[test]
fn only_one_that_can_still_be_asked_is_a_backup_to_leave_time_for() {
    let mut snapshot = simple(TWO);
    snapshot["features"]["recap"]["attempts"]["max_attempts"] = json!(2);
    let mut world = World::new(&snapshot);
    let facts = world.facts("u");
    let decision = world.engine.choose(&facts, 0.0, 0.5).unwrap();
    let backup =
        |world: &mut World, tried: &[Tried]| match world.engine.next(&facts, &decision, tried, 0, 0.2) {
            Next::Attempt { candidate, backup, .. } => (candidate, backup),
            Next::GiveUp { reason } => panic!("{reason}"),
        };
    assert_eq!(backup(&mut world, &[]), (0, true));

    assert_eq!(backup(&mut world, &[timed_out(0)]), (1, false), "the last attempt has all that is left");

    snapshot["version"] = json!(2);
    snapshot["features"]["recap"]["eligible"] = json!(["a"]);
    world.engine.apply(parse(&snapshot), 0.1);
    assert_eq!(backup(&mut world, &[]), (0, false), "the other one is out by now");
}

#[test]
fn an_endpoint_that_loses_its_eligibility_gets_no_later_attempt_of_a_running_request() {
    let mut snapshot = simple(TWO);
    let mut world = World::new(&snapshot);
    let facts = world.facts("u");
    let decision = world.engine.choose(&facts, 0.0, 0.5).unwrap();
    snapshot["version"] = json!(2);
    snapshot["features"]["recap"]["eligible"] = json!(["a"]);
    world.engine.apply(parse(&snapshot), 0.1);
    let next = world.engine.next(&facts, &decision, &[timed_out(0)], 100, 0.2);

    assert_eq!(next, Next::GiveUp { reason: "timeout, and no other endpoint is left".into() });
}

#[test]
fn a_pin_is_served_once_whatever_its_health_and_leaves_no_trace() {
    let mut world = World::new(&simple(TWO));
    world.answer("b", Answer::fails(ErrorKind::Timeout));
    for _ in 0..50 {
        let mut pinned = world.facts("u");
        pinned.pin = Some("b".to_owned());
        let served = world.serve(&pinned).unwrap();
        assert_eq!((served.endpoints(), served.ok), (vec!["b"], false));
        assert_eq!(served.decision.arm.kind, ArmKind::Pin);
    }

    assert_eq!(world.state("b"), "closed");
}

#[test]
fn copies_that_fail_say_nothing_of_an_endpoints_health() {
    let mut world = World::new(&simple(TWO));
    for number in 0..50 {
        let mut facts = world.facts("u");
        facts.request_id = format!("copied-{number}");
        let decision = world.engine.choose(&facts, world.now, 0.5).unwrap();
        world.fail_copy(&facts, &decision);
    }

    assert_eq!(world.state("a"), "closed");
}

#[test]
fn the_rollout_serves_its_share_with_an_equal_baseline_beside_it() {
    let mut world = World::new(&rollout(&[("own", &["a"]), ("new", &["n"])], 0.25));
    let mut counts = [0u32; 3];
    for _ in 0..4000 {
        let served = world.send().unwrap();
        let (side, endpoint) = match served.decision.arm.kind {
            ArmKind::Candidate => (0, "n"),
            ArmKind::Baseline => (1, "a"),
            _ => (2, "a"),
        };
        assert_eq!(served.endpoints(), [endpoint]);
        counts[side] += 1;
    }

    assert!(counts[..2].iter().all(|count| (900..1100).contains(count)), "{counts:?}");
}

#[test]
fn a_dead_candidate_loses_its_share_here_and_no_caller_sees_it() {
    let mut snapshot = rollout(&[("own", &["a"]), ("new", &["n"])], 0.25);
    let mut world = World::new(&snapshot);
    world.answer("n", Answer::fails(ErrorKind::ServerError));
    assert_eq!(world.run(30.0, 10.0), 0);
    let effect = world.effect();
    assert_eq!(effect.candidate_share, 0.0);
    assert!(effect.local_rollback.is_some(), "{effect:?}");

    world.answer("n", Answer::ok());
    world.run(120.0, 10.0);
    assert_eq!(world.effect().candidate_share, 0.0, "a healthy candidate does not come back by itself");
    world.engine.apply(parse(&snapshot), world.now);
    assert_eq!(world.effect().candidate_share, 0.0, "nor by the same snapshot");
    snapshot["features"]["recap"]["rollout"]["epoch"] = json!(2);
    world.engine.apply(parse(&snapshot), world.now);
    assert_eq!(world.effect().candidate_share, 0.25, "only by a new epoch");
    assert_eq!(world.effect().local_rollback, None);
}

#[test]
fn an_incident_of_both_sides_takes_no_share_from_the_candidate() {
    for share in [0.05, 0.5] {
        let mut world = World::new(&rollout(&[("own", &["a"]), ("new", &["n"])], share));
        world.run(60.0, 10.0);
        for name in ["a", "n"] {
            world.answer(name, Answer::fails(ErrorKind::ServerError));
        }
        world.run(60.0, 10.0);
        assert_eq!(world.effect().local_rollback, None, "at {share}");

        world.answer("a", Answer::ok());
        world.run(900.0, 10.0);
        assert!(world.effect().local_rollback.is_some(), "it stays dead when the incumbent is well again");
    }
}

#[test]
fn it_does_not_matter_whose_breaker_an_outage_of_both_sides_opens_first() {
    for wait in 0..60 {
        let mut world = World::new(&rollout(&[("own", &["a"]), ("new", &["n"])], 0.5));
        world.run(20.0 + 0.3 * f64::from(wait), 10.0);
        for name in ["a", "n"] {
            world.answer(name, Answer::fails(ErrorKind::ServerError));
        }
        world.run(20.0, 10.0);
        assert_eq!(world.effect().local_rollback, None, "after {wait}");
    }
}

#[test]
fn five_failures_of_twenty_are_enough_even_where_the_breaker_sees_none() {
    let mut snapshot = rollout(&[("own", &["a"]), ("new", &["n"])], 1.0);
    snapshot["endpoints"]["n"]["breaker"]["consecutive_hard"] = json!(1_000_000);
    snapshot["endpoints"]["n"]["breaker"]["min_hard"] = json!(1_000_000);
    let mut world = World::new(&snapshot);
    let mut candidate_served = 0;
    for i in 0..20 {
        let answer = if i % 4 == 0 { Answer::fails(ErrorKind::Timeout) } else { Answer::ok() };
        world.answer("n", answer);
        candidate_served += usize::from(world.send().unwrap().endpoints()[0] == "n");
    }

    assert_eq!(candidate_served, 17, "the fifth failure is the seventeenth request");
    assert_eq!(
        world.effect().local_rollback.as_deref(),
        Some("5 of the candidate's first 17 attempts failed")
    );
}

#[test]
fn a_failing_incumbent_does_not_count_against_the_candidate() {
    let mut world = World::new(&rollout(&[("own", &["a"]), ("new", &["n"])], 0.5));
    world.answer("a", Answer::fails(ErrorKind::Timeout));
    world.run(20.0, 5.0);

    assert_eq!(world.effect().candidate_share, 0.5);
    assert_eq!(world.effect().local_rollback, None);
}

#[test]
fn a_candidate_request_that_the_incumbent_failed_says_nothing_about_the_candidate() {
    let mut snapshot = rollout(&[("own", &["a"]), ("new", &["n"])], 1.0);
    for name in ["a", "n"] {
        snapshot["endpoints"][name]["breaker"]["consecutive_hard"] = json!(1_000_000);
        snapshot["endpoints"][name]["breaker"]["min_hard"] = json!(1_000_000);
    }
    let mut world = World::new(&snapshot);
    world.answer("n", Answer::full(Some(60_000)));
    world.answer("a", Answer::fails(ErrorKind::Timeout));
    for _ in 0..30 {
        let served = world.send().unwrap();
        assert_eq!(served.decision.arm.kind, ArmKind::Candidate);
    }

    assert_eq!(world.effect().candidate_share, 1.0);
}

#[test]
fn a_candidate_that_another_features_traffic_found_dead_loses_its_share_too() {
    let mut snapshot = rollout(&[("own", &["a"]), ("new", &["n"])], 0.000_001);
    snapshot["features"]["other"] = snapshot["features"]["recap"].clone();
    snapshot["features"]["other"]["rollout"] = json!(null);
    snapshot["features"]["other"]["hierarchy"] = json!([{"pool": "new", "set": {}}]);
    let mut world = World::new(&snapshot);
    world.answer("n", Answer::fails(ErrorKind::Timeout));
    for _ in 0..4 {
        let mut facts = world.facts("u");
        facts.feature = "other".to_owned();
        world.serve(&facts).unwrap();
    }
    world.pass(1.0);
    assert_eq!(world.effect().local_rollback, None, "nobody knows yet whether the incumbent is well");
    for _ in 0..20 {
        world.send().unwrap();
    }
    world.pass(1.0);
    let effects = world.engine.effects();
    let recap = effects.iter().find(|effect| effect.feature == "recap").unwrap();

    assert_eq!(recap.candidate_share, 0.0);
    assert!(recap.local_rollback.is_some());
}

#[test]
fn a_full_pin_does_not_keep_callers_away() {
    let mut world = World::new(&simple(TWO));
    world.answer("a", Answer::full(Some(60_000)));
    let mut pinned = world.facts("u");
    pinned.pin = Some("a".to_owned());
    world.serve(&pinned).unwrap();
    world.answer("a", Answer::ok());

    assert_eq!(world.send().unwrap().endpoints(), ["a"]);
}

#[test]
fn what_the_candidate_serves_is_not_copied_to_its_own_shadow() {
    let mut snapshot = rollout(&[("own", &["a"]), ("new", &["n"])], 0.5);
    snapshot["features"]["recap"]["shadow"] = json!({
        "name": "s", "target": {"pool": "new", "set": {}}, "share": 1.0, "in_flight": 4, "capture": true,
    });
    let mut world = World::new(&snapshot);
    for _ in 0..50 {
        let decision = world.send().unwrap().decision;
        assert_eq!(decision.shadow.is_some(), decision.arm.kind != ArmKind::Candidate);
        assert_eq!(decision.capture, decision.shadow.is_some());
    }
}

#[test]
fn a_full_candidate_is_not_dead() {
    let mut world = World::new(&rollout(&[("own", &["a"]), ("new", &["n"])], 0.5));
    world.answer("n", Answer::full(Some(10)));

    assert_eq!(world.run(10.0, 20.0), 0);
    assert_eq!(world.effect().candidate_share, 0.5);
}

#[test]
fn the_kill_switch_is_instant_and_outlives_a_snapshot() {
    let snapshot = rollout(&[("own", &["a"]), ("new", &["n"])], 1.0);
    let mut world = World::new(&snapshot);
    assert_eq!(world.send().unwrap().endpoints(), ["n"]);
    world.engine.kill("recap", true);
    assert_eq!(world.send().unwrap().endpoints(), ["a"]);
    world.engine.apply(parse(&snapshot), 1.0);
    assert_eq!(world.effect().candidate_share, 0.0);
    assert!(world.effect().killed);
    world.engine.kill("recap", false);

    assert_eq!(world.send().unwrap().endpoints(), ["n"]);
}

#[test]
fn health_outlives_a_snapshot_unless_the_place_changed() {
    let mut snapshot = simple(TWO);
    let mut world = World::new(&snapshot);
    world.answer("a", Answer::fails(ErrorKind::Timeout));
    world.run(3.0, 10.0);
    snapshot["version"] = json!(2);
    world.engine.apply(parse(&snapshot), world.now);
    assert_eq!(world.state("a"), "open");
    snapshot["endpoints"]["a"]["model"] = json!("another-model");
    world.engine.apply(parse(&snapshot), world.now);

    assert_eq!(world.state("a"), "closed");
}

#[test]
fn experiments_split_by_arm_and_end_at_their_date() {
    let mut snapshot = simple(&[("own", &["a"]), ("other", &["b"])]);
    snapshot["features"]["recap"]["hierarchy"].as_array_mut().unwrap().pop();
    snapshot["features"]["recap"]["experiment"] = json!({
        "name": "tone", "salt": "t", "until_unix_s": 1_795_000_001,
        "arms": [{"name": "plain", "share": 0.5, "target": null},
                 {"name": "warm", "share": 0.5, "target": {"pool": "other", "set": {"temperature": 1}}}],
    });
    let mut world = World::new(&snapshot);
    let mut warm = 0;
    for _ in 0..1000 {
        let served = world.send().unwrap();
        let is_warm = served.decision.arm.name.as_deref() == Some("tone/warm");
        assert_eq!(served.endpoints(), [if is_warm { "b" } else { "a" }]);
        assert_eq!(served.decision.candidates[0].set.contains_key("temperature"), is_warm);
        warm += u32::from(is_warm);
    }
    let mut late = world.facts("u");
    late.unix_s = 1_795_000_001;

    assert!((430..570).contains(&warm), "{warm}");
    assert_eq!(world.serve(&late).unwrap().decision.arm.kind, ArmKind::Main);
}

#[test]
fn weights_are_kept_also_among_those_that_remain() {
    let mut snapshot = simple(&[("own", &["a", "b", "c"])]);
    snapshot["pools"]["own"]["choose"] = json!("weighted");
    for (name, weight) in [("a", 1.0), ("b", 1.0), ("c", 2.0)] {
        snapshot["endpoints"][name]["weight"] = json!(weight);
    }
    let mut world = World::new(&snapshot);
    let share_of_c = |world: &mut World| {
        let hits = (0..2000).filter(|_| world.send().unwrap().endpoints()[0] == "c").count();
        hits as f64 / 2000.0
    };
    assert!((share_of_c(&mut world) - 0.5).abs() < 0.05);
    snapshot["features"]["recap"]["eligible"] = json!(["b", "c"]);
    world.engine.apply(parse(&snapshot), 1.0);

    assert!((share_of_c(&mut world) - 2.0 / 3.0).abs() < 0.05);
}

#[test]
fn an_unknown_feature_is_told_the_nearest_name() {
    let mut world = World::new(&simple(TWO));
    let mut facts = world.facts("u");
    facts.feature = "recaps".to_owned();

    let refused = world.serve(&facts).unwrap_err();
    assert_eq!(
        refused,
        Refusal::UnknownFeature { feature: "recaps".to_owned(), nearest: Some("recap".to_owned()) }
    );
}

#[test]
fn a_replayed_request_gets_the_same_decision() {
    let snapshot: Snapshot = parse(&world::document("snapshot-migration.json"));
    let decide = || {
        let mut engine = crossfade_core::decide::Engine::new(snapshot.clone(), 0.0);
        let facts = World::new(&simple(TWO)).facts("unit-7");
        engine.choose(&facts, 3.0, 0.7).unwrap()
    };

    assert_eq!(decide(), decide());
    let json = serde_json::to_string(&decide()).unwrap();
    assert_eq!(serde_json::from_str::<crossfade_core::domain::decision::Decision>(&json).unwrap(), decide());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Raising the share moves units to the candidate and never one back.
    #[test]
    fn a_growing_share_keeps_its_units(low in 0.0f64..1.0, more in 0.0f64..1.0, units in 1usize..60) {
        let high = low + (1.0 - low) * more;
        let mut before = World::new(&rollout(&[("own", &["a"]), ("new", &["n"])], low));
        let mut after = World::new(&rollout(&[("own", &["a"]), ("new", &["n"])], high));
        for unit in 0..units {
            let facts = before.facts(&format!("unit-{unit}"));
            let was = before.serve(&facts).unwrap().decision.arm.kind;
            let is = after.serve(&facts).unwrap().decision.arm.kind;
            prop_assert!(was != ArmKind::Candidate || is == ArmKind::Candidate);
        }
    }

    /// Whatever the upstreams do: at most three attempts, none at a barred endpoint, every endpoint
    /// of the feature either a candidate or named with a reason, and a request that had a healthy
    /// endpoint to go to is served.
    #[test]
    fn whatever_happens_the_promises_hold(script in prop::collection::vec((0usize..3, 0usize..8, 0.0f64..3.0), 1..120)) {
        let mut snapshot = simple(&[("own", &["a", "b"]), ("backup", &["c"]), ("barred", &["x"])]);
        snapshot["features"]["recap"]["eligible"] = json!(["a", "b", "c"]);
        let mut world = World::new(&snapshot);
        for (endpoint, answer, wait) in script {
            let kinds = [
                Answer::ok(), Answer::ok(), Answer::fails(ErrorKind::ServerError), Answer::fails(ErrorKind::Timeout),
                Answer::full(None), Answer::full(Some(5000)), Answer::fails(ErrorKind::Auth), Answer::fails(ErrorKind::StreamInterrupted),
            ];
            world.answer(["a", "b", "c"][endpoint], kinds[answer].clone());
            world.pass(wait);
            let Ok(served) = world.send() else { continue };
            prop_assert!(served.attempts.len() <= 3);
            let mut named: Vec<_> = served.decision.candidates.iter().map(|one| one.endpoint.clone())
                .chain(served.decision.skipped.iter().map(|one| one.endpoint.clone())).collect();
            named.sort();
            prop_assert_eq!(named, ["a", "b", "c", "x"]);
            prop_assert!(!served.endpoints().contains(&"x"));
        }
    }
}
