"""The people of the story: three who sign, and raters who read answers and sometimes err.

A rater knows nothing but the two texts he is shown, and misjudges each with a known chance, as real
raters do; the chance is printed with the result.
"""

from __future__ import annotations

from typing import Any

from crossfade.client import Client
from crossfade.sim.draws import draw
from crossfade.sim.text import find_defects

SIGNERS = {"legal": "Lena Okafor", "security": "Samir Haddad", "fedramp": "Frida Nilsen"}
RATER = "rater-pool"
RATER_ERROR = 0.03


def sign_all(client: Client, migration: str, roles: list[str]) -> list[str]:
    """Everyone who is asked signs; returns their names."""
    names = []
    for role in roles:
        name = SIGNERS.get(role, f"the {role} lead")
        statement = f"I have read what {migration} sends where, and approve it for {role}."
        client.post(f"/migrations/{migration}/sign", {"role": role, "name": name, "statement": statement})
        names.append(f"{name} ({role})")
    return names


def rate_all(client: Client, migration: str, seed: int) -> list[dict[str, Any]]:
    """Rate every blind pair that waits; returns the rated pairs."""
    waiting: list[dict[str, Any]] = client.get(f"/migrations/{migration}/labels")
    labels = [
        {
            "id": pair["id"],
            "score_x": _rate(pair["prompt"], pair["answer_x"], seed),
            "score_y": _rate(pair["prompt"], pair["answer_y"], seed),
        }
        for pair in waiting
    ]
    if labels:
        client.post(f"/migrations/{migration}/labels", {"rater": RATER, "labels": labels})
    return waiting


def _rate(source: str, answer: str, seed: int) -> int:
    is_good = not find_defects(source, answer)
    errs = draw("rater", seed, source, answer) < RATER_ERROR
    return int(is_good != errs)
