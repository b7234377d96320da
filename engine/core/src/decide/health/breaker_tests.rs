use proptest::prelude::*;

use super::*;

fn seen(request_id: &str, class: OutcomeClass) -> Seen<'_> {
    Seen { request_id, class, level: 1.0, probe: false, pushback_ms: None, slow: false, used_share: None }
}

fn fail(breaker: &mut Breaker, count: usize, now: f64) {
    for i in 0..count {
        breaker.observe(&seen(&format!("r{i}"), OutcomeClass::Hard), now);
    }
}

/// The first moment after `now` at which a probe is admitted.
fn first_probe(breaker: &mut Breaker, now: f64) -> f64 {
    (1..4000)
        .map(|step| now + f64::from(step) * 0.1)
        .find(|&at| matches!(breaker.admit(0.0, at), Admission::Yes { probe: true, .. }))
        .unwrap_or(f64::INFINITY)
}

#[test]
fn a_run_of_failures_opens_only_over_distinct_requests() {
    let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
    let mut lenient = BreakerPolicy::usual();
    lenient.min_hard = 100;
    let mut one_request = Breaker::new(lenient, "e", 0.0);

    fail(&mut breaker, 5, 1.0);
    for _ in 0..20 {
        one_request.observe(&seen("same", OutcomeClass::Hard), 1.0);
    }

    assert!(breaker.is_open());
    assert!(!one_request.is_open());
}

#[test]
fn full_and_a_callers_mistake_are_not_broken() {
    let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
    for i in 0..200 {
        let id = i.to_string();
        breaker.observe(&seen(&id, OutcomeClass::Overload), 1.0);
        breaker.observe(&seen(&id, OutcomeClass::Caller), 1.0);
        breaker.observe(&seen(&id, OutcomeClass::Cancelled), 1.0);
    }

    assert!(breaker.is_closed());
    assert_eq!(breaker.pushed_back_until(1.0), Some(2.0));
}

#[test]
fn one_probe_at_a_time_and_a_lost_probe_frees_its_slot() {
    let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
    fail(&mut breaker, 5, 0.0);
    let probed = first_probe(&mut breaker, 0.0);

    assert!((4.0..=6.1).contains(&probed), "{probed}");
    assert!(matches!(breaker.admit(0.0, probed + 1.0), Admission::No { .. }));
    assert!(matches!(breaker.admit(0.0, probed + 61.0), Admission::Yes { probe: true, .. }));
}

#[test]
fn recovery_takes_probes_and_every_level_of_the_ramp() {
    let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
    fail(&mut breaker, 5, 0.0);
    let mut now = first_probe(&mut breaker, 0.0);
    breaker.observe(&Seen { probe: true, level: 0.0, ..seen("p", OutcomeClass::Ok) }, now);
    for _ in 0..2 {
        assert!(matches!(breaker.admit(0.99, now), Admission::Yes { probe: true, .. }));
        breaker.observe(&Seen { probe: true, level: 0.0, ..seen("p", OutcomeClass::Ok) }, now);
    }
    let began = now;
    let mut shares = Vec::new();
    while !breaker.is_closed() && now < began + 1000.0 {
        let Admission::Yes { share, .. } = breaker.admit(0.0, now) else { panic!("not admitted") };
        if shares.last() != Some(&share) {
            shares.push(share);
        }
        breaker.observe(&Seen { level: share, ..seen("r", OutcomeClass::Ok) }, now);
        now += 0.2;
    }

    assert_eq!(shares, vec![0.02, 0.05, 0.10, 0.25, 0.50, 1.0]);
    assert!(now - began >= 50.0, "five dwells of 10 s, took {}", now - began);
}

#[test]
fn a_failed_probe_opens_again_for_longer() {
    let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
    fail(&mut breaker, 5, 0.0);
    let first = first_probe(&mut breaker, 0.0);
    breaker.observe(&Seen { probe: true, level: 0.0, ..seen("p", OutcomeClass::Hard) }, first);
    let second = first_probe(&mut breaker, first);

    assert!(second - first > 7.9, "{}", second - first);
}

#[test]
fn our_own_mistake_quarantines_and_a_success_forgives() {
    let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
    breaker.observe(&seen("a", OutcomeClass::Config), 1.0);
    breaker.observe(&seen("b", OutcomeClass::Ok), 2.0);
    breaker.observe(&seen("c", OutcomeClass::Config), 3.0);
    assert!(breaker.is_closed());
    breaker.observe(&seen("d", OutcomeClass::Config), 4.0);

    assert_eq!(breaker.report().0, "quarantined");
}

#[test]
fn an_operators_numbers_are_followed() {
    let strict = BreakerPolicy {
        quarantine_after: 1,
        quarantine_s: 7.0,
        pushback_ms: 4000,
        pushback_cap_s: 20.0,
        ramp_hard_run: 1,
        group_share: 0.5,
        ..BreakerPolicy::usual()
    };
    let mut breaker = Breaker::new(strict.clone(), "e", 0.0);
    breaker.observe(&seen("a", OutcomeClass::Config), 1.0);
    assert!(breaker.is_open(), "one refusal is enough");
    breaker.tick(8.0);
    assert!(
        matches!(breaker.admit(0.0, 8.0), Admission::Yes { probe: true, .. }),
        "it rests for seven seconds"
    );

    let mut pushed = Breaker::new(strict.clone(), "e", 0.0);
    pushed.push_back(None, 10.0);
    assert_eq!(pushed.pushed_back_until(10.0), Some(14.0));
    pushed.push_back(Some(3_600_000), 10.0);
    assert_eq!(pushed.pushed_back_until(10.0), Some(30.0));

    let mut level = Breaker::new(strict, "e", 0.0);
    level.suspect("provider p is suspected", 20.0);
    assert!((level.report().1 - 0.5).abs() < 1e-9, "it goes down to the group's share");
    level.observe(&Seen { level: 0.5, ..seen("b", OutcomeClass::Hard) }, 21.0);
    assert!(level.is_open(), "one failure at a level is enough");
}

fn ramped(breaker: &mut Breaker) -> f64 {
    fail(breaker, 5, 0.0);
    let now = first_probe(breaker, 0.0);
    for _ in 0..3 {
        breaker.observe(&Seen { probe: true, level: 0.0, ..seen("p", OutcomeClass::Ok) }, now);
    }
    now
}

#[test]
fn a_probe_that_proves_nothing_frees_its_slot_and_loses_no_progress() {
    let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
    fail(&mut breaker, 5, 0.0);
    let now = first_probe(&mut breaker, 0.0);
    let probe = |class| Seen { probe: true, level: 0.0, ..seen("p", class) };
    breaker.observe(&probe(OutcomeClass::Ok), now);
    for class in [OutcomeClass::Caller, OutcomeClass::Cancelled, OutcomeClass::Overload] {
        breaker.observe(&probe(class), now);
        assert!(matches!(breaker.admit(0.0, now), Admission::Yes { probe: true, .. }), "{class:?}");
    }
    breaker.observe(&probe(OutcomeClass::Ok), now);
    breaker.observe(&probe(OutcomeClass::Ok), now);

    assert_eq!(breaker.report().1, 0.02);
}

#[test]
fn a_few_failures_do_not_hold_a_level_for_ever() {
    let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
    let began = ramped(&mut breaker);
    let mut now = began;
    // Two failures among the first four outcomes: too few to open, too many to go up.
    for class in [OutcomeClass::Hard, OutcomeClass::Ok, OutcomeClass::Hard] {
        breaker.observe(&Seen { level: 0.02, ..seen("r", class) }, now);
    }
    while breaker.report().1 < 0.05 && now < began + 300.0 {
        now += 5.0;
        breaker.observe(&Seen { level: 0.02, ..seen("r", OutcomeClass::Ok) }, now);
    }

    assert!((120.0..160.0).contains(&(now - began)), "{}", now - began);
}

#[test]
fn an_outcome_from_before_the_opening_says_nothing_about_the_ramp() {
    let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
    let now = ramped(&mut breaker);
    fail(&mut breaker, 20, now);

    assert_eq!(breaker.report().0, "half_open");
}

#[test]
fn a_credential_that_came_ends_the_quarantine_and_nothing_else() {
    let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
    breaker.observe(&seen("a", OutcomeClass::Config), 1.0);
    breaker.forgive(2.0);
    breaker.observe(&seen("b", OutcomeClass::Config), 3.0);
    assert!(breaker.is_closed(), "what was before it came does not count");
    breaker.observe(&seen("c", OutcomeClass::Config), 4.0);
    assert_eq!(breaker.report().0, "quarantined");
    breaker.forgive(5.0);
    assert!(matches!(breaker.admit(0.99, 5.0), Admission::Yes { share: 1.0, probe: false }));
    fail(&mut breaker, 5, 6.0);
    breaker.forgive(7.0);
    assert!(breaker.is_open(), "the provider's failures are not forgiven");
}

#[test]
fn late_answers_do_not_prolong_a_quarantine() {
    let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
    for at in [1.0, 2.0, 30.0, 31.0] {
        breaker.observe(&seen("a", OutcomeClass::Config), at);
    }

    assert!(matches!(breaker.admit(0.0, 61.9), Admission::No { .. }));
    assert!(matches!(breaker.admit(0.0, 62.0), Admission::Yes { probe: true, .. }));
}

#[test]
fn each_opening_lasts_longer_up_to_the_cap_and_then_very_long() {
    let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
    fail(&mut breaker, 5, 0.0);
    let (mut opened, mut waits) = (0.0, Vec::new());
    for _ in 0..7 {
        let at = first_probe(&mut breaker, opened);
        waits.push(at - opened);
        breaker.observe(&Seen { probe: true, level: 0.0, ..seen("p", OutcomeClass::Hard) }, at);
        opened = at;
    }

    for (wait, base) in waits.iter().zip([5.0, 10.0, 20.0, 30.0, 30.0, 30.0, 300.0]) {
        assert!((base * 0.8 - 0.2..=base * 1.2 + 0.2).contains(wait), "{waits:?}");
    }
}

proptest! {
    /// Whatever comes, in whatever order: from anywhere a healthy endpoint finds back to closed.
    #[test]
    fn from_anywhere_a_healthy_endpoint_comes_back(
        steps in prop::collection::vec((0u8..6, 0u8..7, any::<bool>(), 0.0f64..20.0), 0..300),
    ) {
        let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
        let mut now = 0.0;
        for (class, level, probe, step) in steps {
            now += step;
            let class = [
                OutcomeClass::Ok, OutcomeClass::Hard, OutcomeClass::Overload,
                OutcomeClass::Config, OutcomeClass::Caller, OutcomeClass::Cancelled,
            ][usize::from(class)];
            let level = [0.0, 0.02, 0.05, 0.10, 0.25, 0.50, 1.0][usize::from(level)];
            breaker.admit(0.5, now);
            breaker.observe(&Seen { level, probe, ..seen("r", class) }, now);
        }
        let end = now + 1500.0;
        while !breaker.is_closed() && now < end {
            if let Admission::Yes { share, probe } = breaker.admit(0.0, now) {
                breaker.observe(&Seen { level: share, probe, ..seen("r", OutcomeClass::Ok) }, now);
            }
            now += 0.2;
        }
        prop_assert!(breaker.is_closed(), "{:?}", breaker.report());
    }

    #[test]
    fn an_endpoint_without_hard_failures_never_opens(
        classes in prop::collection::vec(0u8..4, 0..400),
    ) {
        let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
        for (i, class) in classes.into_iter().enumerate() {
            let class = [OutcomeClass::Ok, OutcomeClass::Overload, OutcomeClass::Caller, OutcomeClass::Cancelled]
                [usize::from(class)];
            breaker.observe(&seen("r", class), i as f64 * 0.1);
        }
        prop_assert!(breaker.is_closed());
    }

    #[test]
    fn an_open_breaker_admits_nobody_before_its_time(point in 0.0f64..1.0, after in 0.0f64..3.9) {
        let mut breaker = Breaker::new(BreakerPolicy::usual(), "e", 0.0);
        fail(&mut breaker, 5, 0.0);
        let refused = matches!(breaker.admit(point, after), Admission::No { .. });
        prop_assert!(refused);
    }
}
