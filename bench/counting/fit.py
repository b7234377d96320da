"""How well prompts are estimated before the call, and the weights of `config/catalogue/counting.py`.

`make estimate` measures the catalogue on recorded prompts, by family. With `ARGS=--fit` it also fits
each family anew (least squares of the relative error, drawn to plain weights where there is little
to learn from) and says how a fit to one half does on the other.
"""

from __future__ import annotations

import argparse
import collections
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from prompts import Prompt, read_prompts

from crossfade.config.catalogue.counting import counting_of, family_of
from crossfade.config.catalogue.images import image_counting_of
from crossfade.domain.snapshot import Counting, ImageCounting, ImageUnit

WITHIN = 0.15
NAMES = tuple(name for name in Counting.__dataclass_fields__ if name != "image")
# Weights in the order of `NAMES`, and how hard they are held (per squared unit).
PLAIN = np.array([3.0, 1.0, 4.0, 2.0, 800.0, 0.0, 10.0, 1.0, 0.0, 0.0])
HELD = np.array([2e-5, 1e-1, 4e-4, 2e-3, 1e3, 2e-8, 2e-5, 1e-2, 2e-6, 2e-6])
LEAST = np.array([0.0, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0])


def row(prompt: Prompt) -> list[float]:
    """What the weights multiply, in their order."""
    size = prompt.size
    return [
        1.0,
        size["pieces"],
        size["turns"],
        size["parts"],
        size["media"],
        float(size["tools"] > 0),
        size["tools"],
        size["tool_pieces"],
        float(size["thinking"]),
        float(size["schema"]),
    ]


def fitted(prompts: list[Prompt]) -> Counting:
    """Weights of one family, or the plain ones where those do better.

    Least squares of the relative error, each prompt trusted by how well it fits (Cauchy weights),
    because some hold text that no request shows; of several starts the best.
    """
    rows = np.array([row(prompt) for prompt in prompts])
    counted = np.array([float(prompt.tokens) for prompt in prompts])
    tried = [PLAIN, *(_from(start, rows, counted) for start in _starts(rows, counted))]
    best = min(tried, key=lambda weights: _loss(_off(weights, rows, counted)))
    weights = {name: round(float(value), 2) for name, value in zip(NAMES, best, strict=True)}
    return Counting(**weights, image=image_counting_of(""))


Array = npt.NDArray[np.float64]


def _off(weights: Array, rows: Array, counted: Array) -> Array:
    return np.abs(np.maximum(1.0, rows @ weights) - counted) / counted


def _loss(off: Array) -> float:
    return float(np.mean(off > WITHIN) + 0.2 * np.mean(np.minimum(off, 1.0)))


def _starts(rows: Array, counted: Array) -> Iterator[Array]:
    yield PLAIN
    yield _solved(rows, counted, np.ones(len(counted)))
    for half in (rows[:, 6] > 0, rows[:, 6] == 0):
        if half.sum() > 2:
            yield _solved(rows[half], counted[half], np.ones(int(half.sum())))


def _from(weights: Array, rows: Array, counted: Array) -> Array:
    best = weights
    for _ in range(20):
        trust = 1 / (1 + (_off(weights, rows, counted) / 0.1) ** 2)
        weights = _solved(rows, counted, trust)
        best = min(best, weights, key=lambda each: _loss(_off(each, rows, counted)))
    return best


def _solved(rows: Array, counted: Array, trust: Array) -> Array:
    scale = trust / counted
    left = np.vstack([rows * scale[:, None], np.diag(np.sqrt(HELD))])
    right = np.concatenate([counted * scale, np.sqrt(HELD) * PLAIN])
    return np.maximum(np.linalg.lstsq(left, right, rcond=None)[0], LEAST)


def inside(prompts: list[Prompt], counting: Counting | None = None) -> int:
    """How many are estimated within the bound."""
    count = 0
    for prompt in prompts:
        weights = counting or counting_of(prompt.model)
        estimate = np.dot(row(prompt), [getattr(weights, name) for name in NAMES])
        estimate += image_tokens(prompt, weights.image)
        count += abs(max(1.0, estimate) - prompt.tokens) <= WITHIN * prompt.tokens
    return count


def image_tokens(prompt: Prompt, counting: ImageCounting) -> float:
    """What its pictures are counted as."""

    def full(images: dict[str, int]) -> float:
        units = images["count" if counting.by is ImageUnit.IMAGE else counting.by.value]
        return counting.each * images["count"] + counting.unit * units

    every, low = prompt.size["images"], prompt.size["low_images"]
    if counting.low is None:
        return full(every)
    return full(every) - full(low) + counting.low * low["count"]


def held_out(prompts: list[Prompt]) -> tuple[int, int]:
    """(inside, of) of each half by a fit to the other; families of a handful are left out."""
    halves = [[p for p in prompts if zlib.crc32(p.id.encode()) % 2 == half] for half in (0, 1)]
    if min(map(len, halves)) < 3:
        return 0, 0
    return sum(inside(halves[half], fitted(halves[1 - half])) for half in (0, 1)), len(prompts)


def main() -> None:
    """Print the share inside the bound, by family."""
    arguments = argparse.ArgumentParser(description=__doc__)
    recorded = Path("../shared/data/provider-exchanges/exchanges.jsonl")
    arguments.add_argument("exchanges", nargs="?", type=Path, default=recorded)
    arguments.add_argument("--fit", action="store_true")
    options = arguments.parse_args()
    everything = list(read_prompts(options.exchanges))
    seen = [prompt for prompt in everything if prompt.unseen is None]
    families: dict[str, list[Prompt]] = collections.defaultdict(list)
    for prompt in seen:
        families[family_of(prompt.model)].append(prompt)
    right, of = 0, 0
    for name, prompts in sorted(families.items(), key=lambda item: -len(item[1])):
        line = f"{name:14} {len(prompts):4}  inside 15 %: {inside(prompts) / len(prompts):4.0%}"
        if options.fit:
            weights = fitted(prompts)
            good, tried = held_out(prompts)
            right, of = right + good, of + tried
            values = ", ".join(f"{getattr(weights, n):g}" for n in NAMES)
            line += (
                f"  fit: {inside(prompts, weights) / len(prompts):4.0%}  held out: {good}/{tried}  ({values})"
            )
        print(line)
    print(f"{len(seen)} prompts whose text is all in the request: {inside(seen) / len(seen):.0%} inside 15 %")
    print(f"{len(everything)} prompts in all: {inside(everything) / len(everything):.0%}")
    if of:
        print(f"fitted to one half, the other: {right}/{of} = {right / of:.0%}")


if __name__ == "__main__":
    main()
