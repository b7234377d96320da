"""Recorded answers as the upstream of a real gateway, official SDKs as its callers: who sees what.

`python tests/e2e/recorded/replay.py EXCHANGES [--every N] [--only ID] [--show N]` prints the score
and every miss, and ends with 1 below the bound.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import itertools
import json
import re
import sys
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scenarios/gateway")]

from callers import FORMS, Callers, Seen  # noqa: E402 - found by the line above
from expected import ARGUED, misses  # noqa: E402
from process import running_gateway  # noqa: E402
from upstream import Recording, Upstream, replaying  # noqa: E402

from crossfade.app.wire.exchange import Exchange, read_exchanges  # noqa: E402

BOUND = 0.99
BATCH = 40  # exchanges a gateway: each case has an endpoint of its own, so no breaker mixes them
CUTS = ("whole", "events", "bytes")


@dataclass(frozen=True)
class Case:
    """One exchange in one cut for one caller."""

    exchange: Exchange
    cut: str
    form: str
    name: str
    ends_at: int | None = None
    resets: bool = False

    def recording(self) -> Recording:
        one = self.exchange
        return Recording(one.status, one.headers, one.body, self.cut, self.ends_at, self.resets)


@dataclass
class Score:
    """How many cases were right, and what was wrong with the others."""

    cases: int
    wrong: dict[str, list[str]]

    @property
    def share(self) -> float:
        return 1 - len(self.wrong) / max(self.cases, 1)


def usable(exchange: Exchange) -> bool:
    """Whether a chat caller can get this answer at all, and its recorder read it as we argue."""
    if exchange.id in ARGUED:
        return False
    return exchange.kind == "error" or (exchange.codec is not None and exchange.expect is not None)


def cases_of(exchange: Exchange, number: int) -> Iterator[Case]:
    cuts = ("whole",) if exchange.kind == "error" else CUTS if exchange.stream else ("whole", "bytes")
    for at, (cut, form) in enumerate(itertools.product(cuts, FORMS)):
        yield Case(exchange, cut, form, f"x{number}-{at}")


def route_of(exchange: Exchange) -> tuple[str, str | None]:
    """The provider kind and the dialect that ask for this answer."""
    dialect = exchange.codec[0] if exchange.codec else None
    kind = exchange.provider_kind
    if dialect == "openai_chat" and kind in {"gemini", "bedrock"}:
        kind = "openai-compatible"
    return kind, dialect


def model_of(exchange: Exchange) -> str:
    found = re.search(r"/models?/([^/:]+)", urllib.parse.unquote(exchange.url).replace("v1:0", "v1"))
    return found[1] if found else "recorded"


def snapshot(config: dict[str, Any]) -> dict[str, Any]:
    """Every provider's proof is left out: whose answer it is does not depend on it."""
    for provider in config["providers"].values():
        provider["auth"] = {"scheme": "none", "credential": None}
    return config


def config_of(cases: Iterable[Case], upstream: Upstream) -> str:
    providers, endpoints, features = {}, {}, {}
    for case in cases:
        kind, dialect = route_of(case.exchange)
        providers[case.name] = {"kind": kind, "base_url": upstream.address(case.name)}
        if kind in {"bedrock", "sagemaker"}:
            providers[case.name]["auth"] = {"method": "default-chain"}
        elif kind == "vertex":
            providers[case.name] |= {"auth": {"method": "api-key", "env": "PATH"}, "project": "p"}
        else:
            providers[case.name]["auth"] = {"method": "api-key", "env": "PATH"}
        endpoints[case.name] = {"provider": case.name, "model": model_of(case.exchange)}
        if dialect is not None:
            endpoints[case.name]["dialect"] = dialect
        if kind in {"bedrock", "sagemaker"}:
            endpoints[case.name]["region"] = "us-east-1"
        features[case.name] = {"hierarchy": [case.name]}
    return json.dumps({"providers": providers, "endpoints": endpoints, "features": features})


def run(exchanges: Iterable[Exchange]) -> Score:
    """Every case of the exchanges, through real gateways."""
    score = Score(0, {})
    numbered = [(number, one) for number, one in enumerate(exchanges) if usable(one)]
    with replaying() as upstream:
        for start in range(0, len(numbered), BATCH):
            batch = numbered[start : start + BATCH]
            _run_batch([case for number, one in batch for case in cases_of(one, number)], upstream, score)
    return score


def _run_batch(cases: list[Case], upstream: Upstream, score: Score) -> None:
    for case, seen in ask_all(cases, upstream):
        score.cases += 1
        if found := misses(case.exchange, case.form, seen):
            score.wrong[f"{case.exchange.id} {case.cut} {case.form}"] = found


def ask_all(cases: list[Case], upstream: Upstream) -> Iterator[tuple[Case, Seen]]:
    """What the caller of each case saw, through one gateway."""
    for case in cases:
        upstream.recordings[case.name] = case.recording()
    with running_gateway(config_of(cases, upstream), snapshot) as gateway:
        callers = Callers(gateway.port)
        try:
            with concurrent.futures.ThreadPoolExecutor(4) as threads:
                asked = threads.map(lambda case: callers.ask(case.form, case.name), cases)
                yield from zip(cases, asked, strict=True)
        finally:
            callers.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exchanges", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take only every Nth exchange")
    parser.add_argument("--only", default="", help="take only exchanges whose id has this in it")
    parser.add_argument("--show", type=int, default=1000, help="print at most so many misses")
    asked = parser.parse_args()
    chosen = [one for one in read_exchanges(asked.exchanges) if asked.only in one.id]
    score = run(chosen[:: asked.every])
    for name, found in itertools.islice(score.wrong.items(), asked.show):
        sys.stdout.write(f"{name}: {'; '.join(found)}\n")
    exchanges = collections.Counter(name.split(" ")[0] for name in score.wrong)
    sys.stdout.write(
        f"{score.cases - len(score.wrong)} of {score.cases} cases right ({score.share:.2%}); "
        f"{len(exchanges)} exchanges with a miss\n"
    )
    return 0 if score.share >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
