use crate::domain::limits::Allowance;
use crate::domain::prompt::PromptSize;
use crate::domain::snapshot::CapacityClass;

use super::*;

fn meter(tokens_per_minute: u64) -> Meter {
    Meter::new(&capacity(tokens_per_minute), 0.0).unwrap()
}

fn capacity(tokens_per_minute: u64) -> Capacity {
    Capacity {
        capacity_class: CapacityClass::OnDemand,
        units: None,
        unit: None,
        tokens_per_minute: Some(tokens_per_minute),
        input_tpm: None,
        output_tpm: None,
        rpm: None,
        concurrent: None,
        books_max_output: true,
        window_s: 60.0,
        spill_at: 0.95,
        spill_back: 0.85,
        headroom: 0.0,
        shadow_at_most: 0.6,
        margin_z: 2.33,
        ceiling_cut: 0.95,
        burst_cut: 0.7,
        cut_every_s: 2.0,
        ceiling_back_per_s: 0.001,
    }
}

#[test]
fn a_surprise_lowers_the_ceiling_as_configured_and_no_oftener() {
    let gentle = Capacity {
        ceiling_cut: 0.8,
        burst_cut: 1.0,
        cut_every_s: 5.0,
        ceiling_back_per_s: 0.01,
        ..capacity(1000)
    };
    let mut meter = Meter::new(&gentle, 0.0).unwrap();
    let refused = |meter: &mut Meter, now: f64| {
        let ask = meter.ask(&RequestFacts::default(), Claim::of(None));
        let reserved = meter.reserve(ask, now);
        meter.settle(reserved, Settled { refused: true, used: None }, now);
    };

    refused(&mut meter, 1.0);
    refused(&mut meter, 3.0);
    assert!((meter.rate - 0.82).abs() < 1e-9, "cut once, two seconds back: {}", meter.rate);
    refused(&mut meter, 6.0);
    assert!((meter.rate - 0.85 * 0.8).abs() < 1e-9, "{}", meter.rate);
    meter.used(100.0);
    assert!((meter.rate - 1.0).abs() < 1e-9, "time heals it");
}

#[test]
fn a_prompt_is_booked_as_its_endpoints_family_counts_it() {
    let mut meter = meter(10_000);
    let prompt = Some(PromptSize { pieces: 100, ..PromptSize::default() });
    let request =
        RequestFacts { input_tokens: 7, prompt, max_output_tokens: Some(0), ..RequestFacts::default() };
    assert_eq!(meter.ask(&request, Claim::of(None)).input, 7, "its family is not known yet");

    meter.counting = Some(Counting {
        base: 0.0,
        piece: 2.0,
        turn: 0.0,
        part: 0.0,
        media: 0.0,
        any_tool: 0.0,
        tool: 0.0,
        tool_piece: 0.0,
        thinking: 0.0,
        schema: 0.0,
        image: crate::domain::prompt::images::ImageCounting {
            by: crate::domain::prompt::images::ImageUnit::Image,
            each: 0.0,
            unit: 0.0,
            low: None,
        },
    });
    let ask = meter.ask(&request, Claim::of(None));
    let reserved = meter.reserve(ask, 0.0);
    assert!((meter.used(0.0) - 0.02).abs() < 1e-9);

    // The provider counts three times as much: the next booking is larger.
    meter.settle(reserved, Settled { refused: false, used: Some((600, 0)) }, 0.0);
    let before = meter.used(0.0);
    meter.reserve(ask, 0.0);
    assert!((meter.used(0.0) - before - 0.06).abs() < 1e-9);
}

#[test]
fn the_providers_books_lower_ours_and_never_raise_them() {
    let mut meter = meter(6000);
    let left = |remaining| Limits {
        tokens: Allowance { remaining: Some(remaining), ..Allowance::default() },
        requests: Allowance { remaining: Some(0), ..Allowance::default() },
        ..Limits::default()
    };
    meter.told(&left(9000), 0.0, 0.0);
    assert!(meter.used(0.0) < 1e-9, "more than was declared is never used");
    meter.told(&left(1500), 0.0, 0.0);
    assert!((meter.used(0.0) - 0.75).abs() < 1e-9);
    meter.told(&left(0), 20.0, 20.0); // 2,000 have flowed in since, there as here
    assert!((meter.used(20.0) - 4000.0 / 6000.0).abs() < 1e-9);
}

#[test]
fn an_answer_that_outgrows_its_booking_is_booked_as_it_is_written() {
    let mut meter = meter(60_000);
    meter.capacity.books_max_output = false;
    let claim = Claim::of(None);
    let ask = Ask { input: 100, max_output: None, claim, user: User::new(claim.class, "recap") };
    let mut reserved = meter.reserve(ask, 0.0);
    let booked = meter.used(0.0);

    meter.extend(&mut reserved, 400, 0.0);
    assert!((meter.used(0.0) - booked).abs() < 1e-9, "500 were booked");
    for written in [600, 3500, 3000] {
        meter.extend(&mut reserved, written, 0.0);
    }
    assert!((meter.used(0.0) - 3600.0 / 60_000.0).abs() < 1e-9);
    meter.extend(&mut reserved, 500_000, 0.0);
    assert!((meter.used(0.0) - 1.0).abs() < 1e-9, "no call takes more than the whole window");

    meter.settle(reserved, Settled { refused: false, used: Some((100, 3900)) }, 0.0);
    assert!((meter.used(0.0) - 4000.0 / 60_000.0).abs() < 1e-9, "the end knows how much it was");
}
