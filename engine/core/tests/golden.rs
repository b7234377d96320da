//! The golden snapshots parse, come back unchanged, and tolerate no missing and no unknown key.

#![expect(clippy::unwrap_used, reason = "a test: the helpers fail it")]

use std::path::PathBuf;

use crossfade_core::domain::snapshot::{Snapshot, SnapshotError};
use serde_json::{Value, json};

fn golden(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/golden").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn goldens() -> Vec<Value> {
    ["snapshot-small.json", "snapshot-migration.json"].map(golden).to_vec()
}

fn parse(document: &Value) -> Result<Snapshot, SnapshotError> {
    Snapshot::parse(document.to_string().as_bytes())
}

/// JSON pointers of every object in `value`.
fn objects(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                objects(inner, format!("{at}/{key}"), found);
            }
            found.push(at);
        }
        Value::Array(list) => {
            for (place, inner) in list.iter().enumerate() {
                objects(inner, format!("{at}/{place}"), found);
            }
        }
        _ => {}
    }
}

/// Every object whose keys the format fixes (`set` holds the caller's own field names).
fn fixed_objects(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    objects(document, String::new(), &mut found);
    found.retain(|at| !at.ends_with("/set"));
    found
}

#[test]
fn a_golden_snapshot_comes_back_as_it_was() {
    for document in goldens() {
        let snapshot = parse(&document).unwrap();

        assert_eq!(serde_json::to_value(&snapshot).unwrap(), document);
    }
}

#[test]
fn removing_any_single_key_is_refused() {
    for document in goldens() {
        for at in fixed_objects(&document) {
            if at == "/features" {
                continue; // fewer features are another valid snapshot
            }
            let keys: Vec<String> =
                document.pointer(&at).unwrap().as_object().unwrap().keys().cloned().collect();
            for key in keys {
                let mut broken = document.clone();
                broken.pointer_mut(&at).unwrap().as_object_mut().unwrap().remove(&key);

                assert!(parse(&broken).is_err(), "{at}/{key} is missing, yet it parsed");
            }
        }
    }
}

#[test]
fn adding_an_unknown_key_is_refused() {
    for document in goldens() {
        for at in fixed_objects(&document) {
            let mut broken = document.clone();
            let object = broken.pointer_mut(&at).unwrap().as_object_mut().unwrap();
            object.insert("surprise".to_owned(), json!(1));

            assert!(parse(&broken).is_err(), "{at}/surprise was accepted");
        }
    }
}

#[test]
fn another_format_and_a_name_that_leads_nowhere_are_refused_by_name() {
    let mut newer = golden("snapshot-small.json");
    newer["format"] = json!(2);
    let mut dangling = golden("snapshot-small.json");
    dangling["features"]["recap"]["hierarchy"][0]["pool"] = json!("nowhere");

    assert!(matches!(parse(&newer), Err(SnapshotError::Format { found: 2 })));
    let error = parse(&dangling).unwrap_err().to_string();
    assert!(error.contains("recap") && error.contains("nowhere"), "{error}");
}
