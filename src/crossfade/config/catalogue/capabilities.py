"""What models take of what their dialects can say: data, a row a family, with its source and date.

A dialect that is one plain prompt takes less than its model does elsewhere.

A model without a row is taken to take everything: its provider then says what it refuses, and the
config's `capabilities` of the endpoint spares the next request the way there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from crossfade.domain.snapshot import Capabilities, Dialect

ALL = Capabilities(
    tools=True,
    images=True,
    documents=True,
    audio=True,
    schema=True,
    prefill=True,
    sampling=True,
    thinking_budget=True,
    context=None,
)
_NO_PREFILL = {"prefill": False}
_NEW_CLAUDE = {"prefill": False, "sampling": False, "thinking_budget": False}
_WORDS_ONLY = {"images": False, "audio": False}

PROFILES = "pydantic-ai-slim 2.68.0 profiles, Bedrock model-migration notes of 2026-08-20"
PAGES = "the providers' model pages of 2026-11"

# (the names it is known by, what differs from `ALL`, source); of several that fit the last decides.
ROWS: tuple[tuple[str, dict[str, Any], str], ...] = (
    (r"claude", {"audio": False}, PAGES),
    (r"claude-(opus|sonnet)-4-6", _NO_PREFILL, PROFILES),
    (r"claude-(opus-4-[78]|opus-5|sonnet-5|haiku-5-5|fable-5|mythos-5)", _NEW_CLAUDE, PROFILES),
    (r"gpt-5|o[13]|o4-mini", {"sampling": False}, PROFILES),
    (r"gpt-5-chat", {"sampling": True}, PROFILES),
    (r"nova-micro|titan-text|gpt-oss|deepseek|mistral-7b|command-r", _WORDS_ONLY, PAGES),
)


_PROMPT_ONLY = {
    "tools": False,
    "images": False,
    "documents": False,
    "audio": False,
    "schema": False,
    "prefill": False,
}
FORMS = "the providers' request forms of 2026-11"

# The same by the way the model is reached: (dialect, names, what differs, source).
WAYS: tuple[tuple[Dialect, str, dict[str, Any], str], ...] = (
    # TGI itself takes a schema (`grammar`), the containers that copy its body mostly do not.
    (Dialect.TGI, r"", _PROMPT_ONLY, FORMS),
    (Dialect.BEDROCK_INVOKE, r"titan|llama|mistral-7b|mixtral|cohere\.command", _PROMPT_ONLY, FORMS),
    (Dialect.BEDROCK_INVOKE, r"nova-", {"schema": False, "prefill": False}, FORMS),
)


def capabilities_of(model: str, dialect: Dialect | None = None) -> Capabilities:
    """What the model takes, by its id, alias or address at any provider; less in some dialects."""
    takes = ALL
    for known, differs, _ in ROWS:
        # A name begins there: `foo3-large` is none of the o3 family.
        if re.search(rf"(?<![a-z0-9])(?:{known})", model.lower()):
            takes = replace(takes, **differs)
    for way, known, differs, _ in WAYS:
        if way is dialect and re.search(known, model.lower()):
            takes = replace(takes, **differs)
    return takes
