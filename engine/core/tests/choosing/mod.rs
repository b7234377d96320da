//! Choosing among healthy endpoints, in virtual time: by speed, by price, by prompt cache, by rule.

mod signals;

use std::collections::BTreeMap;

use crate::world::{Answer, World, pool_of, rollout, simple};
use crossfade_core::domain::decision::{ArmKind, Decision};
use crossfade_core::domain::outcome::ErrorKind;
use crossfade_core::domain::prompt::PromptSize;
use crossfade_core::domain::request::RequestFacts;
use proptest::prelude::*;
use serde_json::{Value, json};

const THREE: &[(&str, &[&str])] = &[("own", &["a", "b", "c"])];

fn choosing(pools: &[(&str, &[&str])], choose: &str) -> Value {
    let mut snapshot = simple(pools);
    let (name, endpoints) = pools[0];
    snapshot["pools"][name] = pool_of(endpoints, choose);
    snapshot
}

fn answers_in(took_ms: f64) -> Answer {
    Answer { took_ms, ..Answer::ok() }
}

/// How often each endpoint served first, of `requests` one after another.
fn firsts(world: &mut World, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let served = world.send().unwrap();
        *counts.entry(served.endpoints()[0].to_owned()).or_default() += 1;
        world.pass(0.1);
    }
    counts
}

fn draw(facts: &RequestFacts) -> f64 {
    crossfade_core::decide::split::split_point("draw", &facts.request_id)
}

/// A request that is planned and under way, and does not end.
fn begin(world: &mut World, facts: &RequestFacts) -> Decision {
    let decision = world.engine.choose(facts, world.now, draw(facts)).unwrap();
    world.engine.next(facts, &decision, &[], 0, world.now);
    decision
}

#[test]
fn the_fastest_serves_and_a_few_requests_look_at_the_others() {
    let mut world = World::new(&choosing(THREE, "fastest"));
    for (name, took_ms) in [("a", 900.0), ("b", 200.0), ("c", 500.0)] {
        world.answer(name, answers_in(took_ms));
    }
    firsts(&mut world, 300);
    let counts = firsts(&mut world, 1000);

    // Nineteen of twenty are not exploring; those that do reach b as well.
    assert!((930..=990).contains(&counts["b"]), "{counts:?}");
    let reason = world.send().unwrap().decision.candidates[0].reason.clone();
    assert_eq!(reason, "primary of the hierarchy; fastest: 200 ms expected");
}

#[test]
fn who_slows_down_loses_the_traffic_and_who_speeds_up_gets_it() {
    let mut world = World::new(&choosing(THREE, "fastest"));
    for (name, took_ms) in [("a", 300.0), ("b", 600.0), ("c", 600.0)] {
        world.answer(name, answers_in(took_ms));
    }
    firsts(&mut world, 300);
    world.answer("a", answers_in(2500.0));
    world.answer("c", answers_in(150.0));
    world.run(900.0, 2.0);

    let counts = firsts(&mut world, 200);
    assert!(counts["c"] >= 180, "{counts:?}");
}

#[test]
fn quick_refusals_do_not_attract_traffic() {
    let mut world = World::new(&choosing(THREE, "fastest"));
    world.answer("a", Answer::full(None));
    world.answer("b", answers_in(800.0));
    world.answer("c", answers_in(900.0));
    firsts(&mut world, 200);
    world.pass(30.0);

    let counts = firsts(&mut world, 200);
    assert!(counts.get("a").copied().unwrap_or(0) < 20, "{counts:?}");
}

#[test]
fn an_endpoint_with_a_queue_is_not_the_fastest_any_more() {
    let mut world = World::new(&choosing(&[("own", &["a", "b"])], "fastest"));
    // Each endpoint is as slow as what is under way there makes it: 100 ms a request.
    let mut under_way: BTreeMap<String, Vec<(RequestFacts, Decision)>> = BTreeMap::new();
    let mut most = 0;
    for round in 0..400u32 {
        let mut facts = world.facts("u");
        facts.request_id = format!("queue-{round}");
        facts.input_tokens = 1000;
        let decision = begin(&mut world, &facts);
        let name = decision.candidates[0].endpoint.clone();
        under_way.entry(name).or_default().push((facts, decision));
        if round >= 20 {
            let (name, longest) = under_way.iter_mut().max_by_key(|(_, held)| held.len()).unwrap();
            let depth = longest.len();
            let (facts, decision) = longest.remove(0);
            let took_ms = 100.0 * f64::from(u32::try_from(depth).unwrap());
            world.close(&facts, &decision, name, took_ms);
        }
        world.now += 0.05;
        if round > 100 {
            most = most.max(under_way.values().map(Vec::len).max().unwrap());
        }
    }

    assert!(most <= 16, "about ten each are under way, not {most} at one");
}

#[test]
fn bought_capacity_goes_first_and_the_cheapest_after_it() {
    let mut snapshot = choosing(&[("own", &["dear", "cheap", "unpriced", "bought"])], "cheapest");
    let price = |usd: f64| json!({"input": usd, "cache_read": usd, "cache_write": usd, "output": 5.0 * usd});
    snapshot["endpoints"]["dear"]["price"] = price(3.0);
    snapshot["endpoints"]["cheap"]["price"] = price(1.0);
    snapshot["endpoints"]["bought"]["capacity"]["capacity_class"] = json!("provisioned");
    let mut world = World::new(&snapshot);

    let order: Vec<_> =
        world.send().unwrap().decision.candidates.iter().map(|one| one.endpoint.clone()).collect();
    assert_eq!(order, ["bought", "cheap", "dear", "unpriced"]);
}

#[test]
fn cheap_input_and_cheap_output_are_two_things() {
    let mut snapshot = choosing(&[("own", &["reads", "writes"])], "cheapest");
    let price = |input: f64, output: f64| json!({"input": input, "cache_read": input, "cache_write": input, "output": output});
    snapshot["endpoints"]["reads"]["price"] = price(0.1, 10.0);
    snapshot["endpoints"]["writes"]["price"] = price(2.0, 1.0);
    let mut world = World::new(&snapshot);
    let mut first = |input_tokens: u64, most: u64| {
        let facts = RequestFacts {
            input_tokens,
            max_output_tokens: Some(most),
            ..world.facts(&input_tokens.to_string())
        };
        world.serve(&facts).unwrap().endpoints()[0].to_owned()
    };

    assert_eq!(first(100, 400), "writes");
    assert_eq!(first(50_000, 10), "reads");
}

#[test]
fn a_prefix_stays_where_it_is_and_prefixes_spread() {
    let mut world = World::new(&choosing(THREE, "affinity"));
    let mut places: BTreeMap<u64, String> = BTreeMap::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for i in 0..900u64 {
        let prefix = i % 90;
        let facts = RequestFacts { prefix: Some(prefix), ..world.facts(&format!("unit-{i}")) };
        let place = world.serve(&facts).unwrap().endpoints()[0].to_owned();
        *counts.entry(place.clone()).or_default() += 1;
        assert_eq!(places.entry(prefix).or_insert_with(|| place.clone()), &place);
    }

    assert!(counts.values().all(|&count| count > 150), "{counts:?}");
}

#[test]
fn a_popular_prefix_overflows_at_its_bound() {
    let mut world = World::new(&choosing(THREE, "affinity"));
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for i in 0..300 {
        let mut facts = world.facts("u");
        facts.request_id = format!("popular-{i}");
        facts.prefix = Some(7);
        let first = begin(&mut world, &facts).candidates[0].endpoint.clone();
        *counts.entry(first).or_default() += 1;
    }

    // 1.25 times a third of 300, and one that was rounded up.
    assert!(counts.values().all(|&count| count <= 126), "{counts:?}");
    assert_eq!(counts.values().sum::<u32>(), 300);
}

#[test]
fn who_fails_gives_its_prefixes_to_the_others_and_gets_them_back() {
    let mut world = World::new(&choosing(THREE, "affinity"));
    let place = |world: &mut World, prefix: u64| {
        let facts = RequestFacts { prefix: Some(prefix), ..world.facts(&format!("u-{prefix}")) };
        world.serve(&facts).unwrap().endpoints().last().unwrap().to_string()
    };
    let before: Vec<_> = (0..30).map(|prefix| place(&mut world, prefix)).collect();
    world.answer("a", Answer::fails(ErrorKind::ServerError));
    world.run(10.0, 10.0);
    let during: Vec<_> = (0..30).map(|prefix| place(&mut world, prefix)).collect();
    world.answer("a", Answer::ok());
    world.run(300.0, 10.0);
    let after: Vec<_> = (0..30).map(|prefix| place(&mut world, prefix)).collect();

    assert!(before.iter().zip(&during).all(|(before, during)| before == "a" || before == during));
    assert!(during.iter().all(|place| place != "a"));
    assert_eq!(before, after);
}

#[test]
fn of_a_large_pool_a_few_are_compared_and_all_get_their_part() {
    let names: Vec<String> = (0..50).map(|i| format!("e{i:02}")).collect();
    let endpoints: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(&choosing(&[("own", &endpoints)], "fastest"));
    let decision = world.send().unwrap().decision;
    assert_eq!(decision.candidates.len(), 8);

    let counts = firsts(&mut world, 5000);
    assert_eq!(counts.len(), 50, "every one is explored");
}

fn ruled(when: Value) -> Value {
    let mut snapshot = simple(&[("own", &["a"]), ("backup", &["b"]), ("quick", &["q"])]);
    let feature = &mut snapshot["features"]["recap"];
    let quick = feature["hierarchy"].as_array_mut().unwrap().pop().unwrap();
    let own = feature["hierarchy"][0].clone();
    let mut shape =
        json!({"input_tokens": null, "output_tokens": null, "tools": null, "media": null, "stream": null});
    when.as_object().unwrap().iter().for_each(|(name, value)| shape[name] = value.clone());
    feature["rules"] = json!([{"when": shape, "hierarchy": [quick, own]}]);
    snapshot
}

#[test]
fn a_rule_takes_the_requests_of_its_shape_and_has_its_own_backups() {
    let mut world =
        World::new(&ruled(json!({"input_tokens": {"at_least": null, "at_most": 1000}, "tools": false})));
    let sized = |world: &World, input_tokens: u64| RequestFacts { input_tokens, ..world.facts("u") };
    let short = sized(&world, 1000);
    let served = world.serve(&short).unwrap();
    assert_eq!(served.endpoints(), ["q"]);
    assert_eq!(served.decision.candidates[0].reason, "primary of rule 1");
    let long = sized(&world, 1001);
    assert_eq!(world.serve(&long).unwrap().endpoints(), ["a"]);
    let with_tools = RequestFacts { tools: true, ..sized(&world, 10) };
    assert_eq!(world.serve(&with_tools).unwrap().endpoints(), ["a"]);

    world.answer("q", Answer { took_ms: 2000.0, ..Answer::fails(ErrorKind::ServerError) });
    let short = sized(&world, 10);
    let served = world.serve(&short).unwrap();
    assert_eq!(served.endpoints(), ["q", "a"], "its own backups follow");
}

#[test]
fn a_rule_sees_images_streams_and_the_limit_of_the_output() {
    for (when, change) in [
        (
            json!({"media": true}),
            RequestFacts {
                prompt: Some(PromptSize { media: 1, ..PromptSize::default() }),
                ..RequestFacts::default()
            },
        ),
        (json!({"stream": true}), RequestFacts { stream: true, ..RequestFacts::default() }),
        (
            json!({"output_tokens": {"at_least": null, "at_most": 50}}),
            RequestFacts { max_output_tokens: Some(50), ..RequestFacts::default() },
        ),
    ] {
        let mut world = World::new(&ruled(when.clone()));
        let base = RequestFacts { stream: false, ..world.facts("u") };
        assert_eq!(world.serve(&base).unwrap().endpoints(), ["a"], "{when}");
        let shaped = RequestFacts {
            request_id: "shaped".to_owned(),
            stream: change.stream,
            prompt: change.prompt,
            max_output_tokens: change.max_output_tokens,
            ..base
        };
        assert_eq!(world.serve(&shaped).unwrap().endpoints(), ["q"], "{when}");
    }
}

/// What a rule sends elsewhere is not the incumbent's: it must neither go to the candidate nor be
/// counted as the candidate's control.
#[test]
fn requests_of_a_rule_take_no_part_in_a_rollout_of_another_target() {
    let mut snapshot = rollout(&[("own", &["a"]), ("quick", &["q"]), ("new", &["n"])], 0.5);
    let quick = snapshot["features"]["recap"]["hierarchy"][1].clone();
    let shape = json!({
        "input_tokens": {"at_least": null, "at_most": 200}, "output_tokens": null, "tools": null, "media": null,
        "stream": null,
    });
    snapshot["features"]["recap"]["rules"] = json!([{"when": shape, "hierarchy": [quick]}]);
    let mut world = World::new(&snapshot);
    for i in 0..50 {
        let unit = format!("unit-{i}");
        let short = RequestFacts { input_tokens: 100, ..world.facts(&unit) };
        let arm = world.serve(&short).unwrap().decision.arm;
        assert_eq!((arm.kind, arm.name.as_deref()), (ArmKind::Main, Some("rule 1")));
    }
    let long =
        |world: &World, i: u32| RequestFacts { input_tokens: 900, ..world.facts(&format!("unit-{i}")) };
    let kinds: Vec<_> = (0..50)
        .map(|i| {
            let facts = long(&world, i);
            world.serve(&facts).unwrap().decision.arm.kind
        })
        .collect();
    assert!(kinds.contains(&ArmKind::Candidate) && kinds.contains(&ArmKind::Baseline));
}

proptest! {
    /// Whatever chooses, every endpoint is a candidate at most once, and only eligible ones are.
    #[test]
    fn an_order_is_a_selection_of_the_eligible(
        choose in prop::sample::select(vec!["in-order", "weighted", "fastest", "cheapest", "affinity"]),
        size in 1usize..12, barred in 0usize..12, seeds in prop::collection::vec(any::<u16>(), 1..40),
    ) {
        let names: Vec<String> = (0..size).map(|i| format!("e{i}")).collect();
        let endpoints: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut snapshot = choosing(&[("own", &endpoints)], choose);
        let eligible: Vec<_> = names.iter().enumerate().filter(|(i, _)| *i != barred).map(|(_, n)| n).collect();
        snapshot["features"]["recap"]["eligible"] = json!(eligible);
        let mut world = World::new(&snapshot);
        for seed in seeds {
            let facts = RequestFacts { request_id: format!("r-{seed}"), ..world.facts(&format!("u-{seed}")) };
            let Ok(decision) = world.engine.choose(&facts, world.now, draw(&facts)) else {
                prop_assert!(eligible.is_empty());
                continue;
            };
            let mut seen: Vec<_> = decision.candidates.iter().map(|one| &one.endpoint).collect();
            prop_assert!(seen.iter().all(|name| eligible.contains(name)));
            prop_assert!(seen.len() == eligible.len().min(8));
            seen.sort();
            seen.dedup();
            prop_assert_eq!(seen.len(), decision.candidates.len());
            world.now += 0.1;
        }
    }
}
