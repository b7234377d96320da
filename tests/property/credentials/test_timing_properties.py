"""Whatever a token's life: it is renewed before it ends, early enough to alarm only after failures."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crossfade.control.credentials.timing import Life, is_alarming, refresh_at, retry_after_s

LENGTHS = st.floats(min_value=1, max_value=50_000)
DRAWS = st.floats(min_value=0, max_value=1, exclude_max=True)


@given(LENGTHS, DRAWS)
def test_a_credential_is_renewed_within_its_life_and_before_it_alarms(length_s, draw):
    life = Life(1000.0, 1000.0 + length_s)

    at = refresh_at(life, draw)

    assert 1000.0 + length_s * 0.59 <= at < 1000.0 + length_s
    assert not is_alarming(life, at)
    assert is_alarming(life, life.until_unix_s - 0.01 * length_s)
    assert life.until_unix_s - at <= 1080


@given(st.integers(min_value=1, max_value=10_000), DRAWS)
def test_retries_wait_longer_up_to_half_a_minute(failures, draw):
    assert 0.5 <= retry_after_s(failures, draw) <= 30
    assert retry_after_s(failures + 1, draw) >= retry_after_s(failures, draw)


@given(st.integers(min_value=40, max_value=4000), DRAWS)
def test_several_tries_fit_before_the_end_of_any_life_above_forty_seconds(length_s, draw):
    life = Life(0.0, float(length_s))
    at, tries = refresh_at(life, draw), 0
    while at < length_s:
        tries += 1
        at += retry_after_s(tries, draw)

    assert tries >= 4
