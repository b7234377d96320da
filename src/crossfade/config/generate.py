"""Generates what must never be written by hand: the JSON schemas and the config reference.

`python -m crossfade.config.generate [ROOT]` writes them; a test compares them with the code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from crossfade.config.features import Config
from crossfade.domain.attempt import Ack, AttemptRecord, Counters
from crossfade.domain.credential import Credentials
from crossfade.domain.snapshot import Snapshot

DOCUMENTS = {
    "snapshot": Snapshot,
    "attempt-record": AttemptRecord,
    "counters": Counters,
    "ack": Ack,
    "credentials": Credentials,
}


def generated() -> dict[str, str]:
    """Path below the project's root -> text."""
    files = {
        f"spec/{name}.schema.json": _json(_closed(TypeAdapter(kind).json_schema()))
        for name, kind in DOCUMENTS.items()
    }
    files["spec/config.schema.json"] = _json(Config.model_json_schema(by_alias=True))
    files["docs/reference/config.md"] = _reference(Config.model_json_schema(by_alias=True))
    return files


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _closed(schema: Any) -> Any:
    """Every property required, no others: the planes' documents have no defaults."""
    if isinstance(schema, dict):
        closed = {key: _closed(value) for key, value in schema.items()}
        if isinstance(schema.get("properties"), dict):
            closed["required"] = sorted(schema["properties"])
            closed["additionalProperties"] = False
        return closed
    return [_closed(item) for item in schema] if isinstance(schema, list) else schema


def _reference(schema: dict[str, Any]) -> str:
    lines = [
        "# Config reference",
        "",
        "Generated from the schema; `crossfade config schema` prints it as JSON.",
        "",
    ]
    sections = {"Config": schema, **schema["$defs"]}
    for name, section in sections.items():
        if "properties" not in section:
            continue
        title = "The file" if name == "Config" else name.removesuffix("Section")
        lines += [
            f"## {title}",
            "",
            section.get("description", ""),
            "",
            "| key | default | meaning |",
            "|---|---|---|",
        ]
        for key, value in section["properties"].items():
            required = key in section.get("required", ())
            default = "required" if required else f"`{json.dumps(value.get('default'))}`"
            lines.append(f"| `{key}` | {default} | {value.get('description', value.get('title', ''))} |")
        lines.append("")
    return "\n".join(lines)


def main(root: Path) -> None:
    """Write every generated file below `root`."""
    for path, text in generated().items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path())
