//! What control says of users' feedback: who is asked first, and nothing else.

use super::*;
use crossfade_core::domain::snapshot::Snapshot;

const NOW: u64 = 1_795_000_000;
const TWO: &[(&str, &[&str])] = &[("own", &["a"]), ("backup", &["b"])];

fn signal(endpoint: &str, share: f64, until: u64) -> Value {
    json!({"endpoint": endpoint, "share": share, "until_unix_s": until, "reason": "users like it less"})
}

fn told(mut snapshot: Value, signals: &[Value]) -> Value {
    snapshot["features"]["recap"]["signals"] = json!(signals);
    snapshot
}

#[test]
fn a_share_still_asks_it_first_and_the_others_ask_it_last() {
    let mut world = World::new(&told(simple(TWO), &[signal("a", 0.25, NOW + 60)]));
    let counts = firsts(&mut world, 2000);
    assert!((430..=570).contains(&counts["a"]), "{counts:?}");

    world.answer("b", Answer::fails(ErrorKind::ServerError));
    for _ in 0..100 {
        let served = world.send().unwrap();
        assert!(served.ok, "who is liked less still saves a request");
    }
}

#[test]
fn the_decision_says_who_goes_last_and_why() {
    let mut world = World::new(&told(simple(TWO), &[signal("a", 0.0, NOW + 60)]));
    let decision = world.send().unwrap().decision;
    assert_eq!(decision.candidates[0].reason, "backup 1 of the hierarchy; a goes last: users like it less");
    let health = world.engine.health();
    let row = health.iter().find(|row| row.endpoint == "a").unwrap();
    assert_eq!((row.state.as_str(), row.share), ("closed", 1.0), "its breaker has no part in it");
    assert_eq!(row.reason, "closed; recap: asked first by 0 % (users like it less)");
}

#[test]
fn it_ends_by_itself_and_the_timeline_keeps_it() {
    let mut world = World::new(&simple(TWO));
    let apply = |world: &mut World, document: &Value| {
        let snapshot = Snapshot::parse(document.to_string().as_bytes()).unwrap();
        world.engine.apply(snapshot, world.now);
    };
    apply(&mut world, &told(simple(TWO), &[signal("a", 0.0, NOW)]));
    assert_eq!(world.send().unwrap().endpoints()[0], "a", "it has ended");
    assert_eq!(world.engine.health()[0].reason, "closed");

    apply(&mut world, &simple(TWO));
    let said: Vec<_> = world.engine.timelines().filter(|(name, _)| *name == "a").collect();
    let said: Vec<_> = said[0].1.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(said, ["recap: asked first by 0 % (users like it less)", "recap: asked first again"]);
}

#[test]
fn where_nobody_else_is_well_nothing_changes() {
    let both = [signal("a", 0.0, NOW + 60), signal("b", 0.0, NOW + 60)];
    let mut world = World::new(&told(simple(TWO), &both));
    assert_eq!(firsts(&mut world, 50)["a"], 50);

    // The backup recovers: it is nobody's test because of what users say of the primary.
    let mut world = World::new(&told(simple(TWO), &both[..1]));
    world.answer("b", Answer::fails(ErrorKind::ServerError));
    world.run(3.0, 5.0);
    assert_eq!(world.state("b"), "open");
    world.answer("b", Answer::ok());
    world.pass(40.0);
    assert_eq!(firsts(&mut world, 50)["a"], 50);
}

#[test]
fn the_requests_of_a_rollout_stay_where_they_were_assigned() {
    let snapshot = rollout(&[("own", &["a"]), ("new", &["c"])], 0.5);
    let mut world = World::new(&told(snapshot, &[signal("a", 0.0, NOW + 60), signal("c", 0.0, NOW + 60)]));
    let counts = firsts(&mut world, 1000);
    assert!((430..=570).contains(&counts["c"]), "{counts:?}");
}

proptest! {
    /// Whatever is said of whom: the same endpoints are candidates, in an order that only moves those
    /// spoken of.
    #[test]
    fn signals_move_endpoints_and_lose_none(
        size in 1usize..6, said in prop::collection::vec((0usize..6, 0.0f64..=1.0, any::<bool>()), 0..6),
        requests in 1usize..40,
    ) {
        let names: Vec<String> = (0..size).map(|i| format!("e{i}")).collect();
        let endpoints: Vec<&str> = names.iter().map(String::as_str).collect();
        let signals: Vec<_> = said
            .iter()
            .filter(|(at, ..)| *at < size)
            .map(|(at, share, holds)| signal(&names[*at], *share, if *holds { NOW + 60 } else { NOW }))
            .collect();
        let spoken = |name: &String| signals.iter().any(|one| one["endpoint"] == *name);
        let mut world = World::new(&told(simple(&[("own", &endpoints)]), &signals));
        for _ in 0..requests {
            let plan = world.send().unwrap().decision.candidates;
            let order: Vec<String> = plan.iter().map(|one| one.endpoint.clone()).collect();
            let mut sorted = order.clone();
            sorted.sort();
            prop_assert_eq!(&sorted, &names, "nobody is lost, nobody comes twice");
            let kept = |order: &[String]| -> Vec<String> {
                order.iter().filter(|name| !spoken(name)).cloned().collect()
            };
            prop_assert_eq!(kept(&order), kept(&names));
        }
    }
}
