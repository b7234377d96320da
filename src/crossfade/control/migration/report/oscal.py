"""The evidence as OSCAL assessment results, for the tools auditors already have.

Each record is an observation, each gate a finding over the observations it stands on. Identifiers
are derived from our own, so exporting twice gives the same document.
Reference: NIST OSCAL 1.1.2, assessment-results model, https://pages.nist.gov/OSCAL/.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

OSCAL_VERSION = "1.1.2"
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://crossfade.dev/oscal")
_PEOPLE = frozenset({"signoff", "waiver"})
_GATE_OF = dict.fromkeys(
    ("signoff", "posture", "attestation"), "compliance"
)  # other kinds are gates of their own name


def oscal_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """The `assessment-results` document of a migration. Shape of `report`: see `document.report_of`."""
    name = str(report["migration"])
    records: Sequence[Mapping[str, Any]] = report["evidence"]
    newest = max((row["collected_unix_s"] for row in records), default=report["started_unix_s"])
    result = {
        "uuid": _id(name, "result"),
        "title": f"Migration {name}",
        "description": f"Gates and evidence of moving {', '.join(report['spec']['features'])}.",
        "start": _time(report["started_unix_s"]),
        "reviewed-controls": {"control-selections": [{"include-all": {}}]},
        "observations": [_observation(name, row) for row in records],
        "findings": [
            _finding(name, gate, records)
            for step in report["steps"]
            for gate in step["gates"]
        ],
    }  # fmt: skip
    if report["closed_unix_s"] is not None:
        result["end"] = _time(report["closed_unix_s"])
    return {
        "assessment-results": {
            "uuid": _id(name, "results"),
            "metadata": {
                "title": f"Crossfade migration {name}",
                "last-modified": _time(newest),
                "version": "1",
                "oscal-version": OSCAL_VERSION,
            },
            "import-ap": {"href": f"migrations/{name}.yaml"},
            "results": [{key: value for key, value in result.items() if value != []}],
        }
    }


def _observation(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        "verdict": row["verdict"],
        "signer": row["signer"],
        "fingerprint": row["fingerprint"],
        "signature": "valid" if row["valid"] else row["problem"] or "invalid",
    }
    return {
        "uuid": _id(name, row["id"]),
        "title": f"{row['kind']} of {row['subject']}",
        "description": str(row["observed"].get("reason") or row["method"]),
        "props": [
            {"name": key, "ns": "https://crossfade.dev/oscal", "value": str(value)}
            for key, value in properties.items()
        ],
        "methods": ["INTERVIEW" if row["kind"] in _PEOPLE else "TEST"],
        "relevant-evidence": [
            {"href": f"./{row['id']}.dsse.json", "description": "in-toto statement in a DSSE envelope"}
        ],
        "collected": _time(row["collected_unix_s"]),
        "expires": _time(row["expires_unix_s"]),
    }


def _finding(name: str, gate: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    related = [
        {"observation-uuid": _id(name, row["id"])}
        for row in records
        if _GATE_OF.get(row["kind"], row["kind"]) == gate["name"]
        or row["observed"].get("gate") == gate["name"]
    ]
    finding = {
        "uuid": _id(name, f"gate/{gate['name']}"),
        "title": gate["name"],
        "description": gate["reason"],
        "target": {
            "type": "objective-id",
            "target-id": gate["name"],
            "status": {"state": "satisfied" if gate["verdict"] == "pass" else "not-satisfied"},
        },
        "related-observations": related,
    }
    return {key: value for key, value in finding.items() if value != []}


def _id(name: str, what: str) -> str:
    return str(uuid.uuid5(_SPACE, f"{name}/{what}"))


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")
