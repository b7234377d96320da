"""`make simulate-guards` and `make calibrate-guards`: print what is measured beside what is promised."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from crossfade.sim.canary.detection import PROMOTION, TABLE, measure_harm, measure_promotion
from crossfade.sim.canary.rollouts import Ending, base_rate, equal, run_rollout

FALSE_ROLLBACKS_AT_MOST = 0.015
HARM_AT_FOUR_TIMES, HARM_WITHIN = 29.0, 0.25  # the table at weight 50 %: candidate and baseline are equal
# The published figures come from a few hundred runs and are only so good themselves: two rows that
# scale exactly into each other (promotion at 0.5 % and 2 %, margin 2) differ by 31 % there.
MEDIAN_WITHIN, P90_WITHIN = 0.25, 0.40
SMALL = 4  # requests: of a median of 5, one is 20 %


def main() -> int:
    """Exit code 1 if a figure is outside its tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["tables", "null"])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    good = tables(asked.runs, asked.seed) if asked.what == "tables" else null(asked.runs, asked.seed)
    return 0 if good else 1


def tables(runs: int, seed: int) -> bool:
    """Sample sizes of harm and promotion, beside the published ones."""
    good = True
    say("control  ratio  weight | candidate requests: median (published)   p90 (published) | bad: median")
    for case, median, p90, bad in TABLE:
        found = measure_harm(case, runs, seed)
        is_near = near(found.median, median, MEDIAN_WITHIN) and near(found.p90, p90, P90_WITHIN)
        good &= is_near
        say(
            f"{case.base:7.1%} {case.ratio:5g}x {case.weight:6.0%}  | {found.median:8.0f} ({median:.0f})   "
            f"{found.p90:8.0f} ({p90:.0f}) | {found.bad:.0f} ({bad if bad is not None else '-'})"
            f"{'' if is_near else '   OUTSIDE'}"
        )
    say("\ncontrol  margin | total requests to certify an equal candidate: median (published)  p90")
    for base, margin, median, p90 in PROMOTION:
        found = measure_promotion(base, margin, runs, seed)
        is_near = near(found.median, median, MEDIAN_WITHIN) and near(found.p90, p90, P90_WITHIN)
        good &= is_near
        say(
            f"{base:7.1%} {margin:6g}x | {found.median:8.0f} ({median:.0f})   {found.p90:8.0f} ({p90:.0f})"
            f"{'' if is_near else '   OUTSIDE'}"
        )
    return good


def near(found: float, published: float, within: float) -> bool:
    """Within the tolerance, or by less than a few requests."""
    return abs(found - published) <= max(SMALL, within * published)


def null(runs: int, seed: int) -> bool:
    """Whole rollouts: identical candidate, a true regression, an incident of both arms."""
    same = many(equal_run, runs, seed)
    false = np.mean([ending.guard is not None for ending in same])
    say(f"identical candidate: {false:.2%} of {runs} rolled back (at most {FALSE_ROLLBACKS_AT_MOST:.1%})")
    worse = many(worse_run, runs // 4, seed)
    caught = np.mean([ending.guard is not None for ending in worse])
    harmed = np.median([ending.harmed for ending in worse])
    say(f"4 x errors: {caught:.1%} of {runs // 4} rolled back, median harm {harmed:.0f} bad answers")
    both = many(incident_run, runs // 4, seed)
    hit = np.mean([ending.guard is not None for ending in both])
    without = np.mean([ending.guard is not None for ending in same[: runs // 4]])
    say(
        f"incident of both arms at every stage with a control: {hit:.2%} of {runs // 4} rolled back by "
        f"guards that do not pause (live ones do), {without:.2%} of the same without the incident"
    )
    is_quick = abs(harmed / HARM_AT_FOUR_TIMES - 1.0) <= HARM_WITHIN
    is_calm = false <= FALSE_ROLLBACKS_AT_MOST and hit <= FALSE_ROLLBACKS_AT_MOST
    return bool(is_calm and caught == 1.0 and is_quick)


def many(run: object, runs: int, seed: int) -> list[Ending]:
    """The same run with as many seeds, on two cores."""
    with ProcessPoolExecutor(max_workers=2) as pool:
        return list(pool.map(run, range(seed * 1_000_000, seed * 1_000_000 + runs), chunksize=20))  # type: ignore[arg-type]


def equal_run(seed: int) -> Ending:
    """An identical candidate."""
    return run_rollout(equal, seed)


def worse_run(seed: int) -> Ending:
    """Four times the errors, looked at often: as a controller does."""
    return run_rollout(four_times_the_errors, seed, looks=200)


def incident_run(seed: int) -> Ending:
    """Both arms' errors rise to three in ten wherever there are both arms."""
    return run_rollout(incident_of_both, seed)


def four_times_the_errors(guard: str, _: float) -> tuple[float, float]:
    """A regression of one guard."""
    rate = base_rate(guard)
    return (4.0 * rate if guard == "errors" else rate), rate


def incident_of_both(guard: str, share: float) -> tuple[float, float]:
    """A provider-wide incident: the control is hit as hard."""
    rate = 0.3 if guard == "errors" and share < 1.0 else base_rate(guard)
    return rate, rate


def say(text: str) -> None:
    """This is the report."""
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
