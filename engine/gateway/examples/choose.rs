//! Nanoseconds to choose among 50 endpoints: `choose SNAPSHOT MODE`, printed as one number. The snapshot's
//! first feature is asked; its first endpoint stands for all of them.
#![expect(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a tool")]

use std::time::Instant;

use crossfade_core::decide::Engine;
use crossfade_core::decide::split::split_point;
use crossfade_core::domain::request::RequestFacts;
use crossfade_core::domain::snapshot::Snapshot;
use serde_json::{Value, json};

const ENDPOINTS: usize = 50;
const ROUNDS: u32 = 200_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(mode)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: choose SNAPSHOT in-order|weighted|fastest|cheapest|affinity");
        std::process::exit(2);
    };
    let text = std::fs::read(path).unwrap();
    let (feature, snapshot) = fifty(serde_json::from_slice(&text).unwrap(), &mode);
    let mut engine = Engine::new(snapshot, 0.0);
    let facts: Vec<RequestFacts> = (0..64)
        .map(|i| RequestFacts {
            request_id: format!("req-{i}"),
            feature: feature.clone(),
            unit: format!("user-{i}"),
            stream: true,
            input_tokens: 500,
            ..RequestFacts::default()
        })
        .collect();
    let began = Instant::now();
    let mut chosen = 0;
    for round in 0..ROUNDS {
        let facts = &facts[round as usize % facts.len()];
        let decision = engine.choose(facts, 1.0, split_point("draw", &facts.request_id)).unwrap();
        chosen += decision.candidates.len();
    }
    let each = began.elapsed().as_nanos() / u128::from(ROUNDS);
    assert!(chosen > 0);
    println!("{each}");
}

fn fifty(mut document: Value, mode: &str) -> (String, Snapshot) {
    let endpoint = document["endpoints"].as_object().unwrap().values().next().unwrap().clone();
    let names: Vec<String> = (0..ENDPOINTS).map(|i| format!("endpoint-{i:02}")).collect();
    let endpoints: serde_json::Map<String, Value> =
        names.iter().map(|name| (name.clone(), endpoint.clone())).collect();
    document["endpoints"] = Value::Object(endpoints);
    let pool = document["pools"].as_object().unwrap().keys().next().unwrap().clone();
    let mut kept = document["pools"][&pool].clone();
    (kept["endpoints"], kept["choose"]) = (json!(names), json!(mode));
    document["pools"] = json!({pool.clone(): kept});
    let feature = document["features"].as_object().unwrap().keys().next().unwrap().clone();
    let mut asked = document["features"][&feature].clone();
    (asked["hierarchy"], asked["eligible"]) = (json!([{"pool": pool, "set": {}}]), json!(names));
    for other in ["experiment", "rollout", "shadow"] {
        asked[other] = Value::Null;
    }
    asked["rules"] = json!([]);
    document["features"] = json!({feature.clone(): asked});
    (feature, Snapshot::parse(document.to_string().as_bytes()).unwrap())
}
