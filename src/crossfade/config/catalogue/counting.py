"""How each model family counts a prompt's tokens.

Source: fitted to recorded requests with their providers' own counts (`make estimate ARGS=--fit`,
2026-11-26: families with at least five of them; fitted to one half of the requests, the weights put
56 % of the other half inside 15 %, most of them prompts of a few dozen tokens). What Claude 3 adds
for tools (530, 159, 264 by model) is its provider's table of tool use (docs.anthropic.com, "Tool use
pricing and tokens", `tool_choice` auto). The 346 of Claude 4 are set by hand: no such table names it,
the provider's own example of counting (one tool, one question: 403 in all) and the later families'
fits agree with it, and the recorded requests of that family are too few to fit it. Gemini 3 and Nova
are set by hand, too: their counts have nothing for a turn, which the fits spread over the turns of
requests with tools (chosen on one half of the requests and tried on the other, fifty times: 16 % inside
becomes 45 %, 54 % becomes 87 %). What a picture costs is in `images`.
"""

from __future__ import annotations

import re

from crossfade.config.catalogue.images import image_counting_of
from crossfade.domain.snapshot import Counting

# In the order of `Counting`: base, piece, turn, part, media, any_tool, tool, tool_piece, thinking, schema.
Weights = tuple[float, float, float, float, float, float, float, float, float, float]
PLAIN: Weights = (3, 1, 4, 2, 800, 0, 10, 1, 0, 0)

# (family, the names it is known by, weights); the first that fits decides.
FAMILIES: tuple[tuple[str, str, Weights], ...] = (
    ("claude 2", r"claude-(v?2|instant)", (6.3, 0.98, 2.81, 2, 800, 0, 10, 1, 0, 0)),
    ("claude 3 opus", r"claude-3-opus", (6.65, 0.99, 3.64, 1.57, 800, 530, 10, 1.05, 29, 0)),
    ("claude 3 sonnet", r"claude-3-sonnet", (6.65, 0.99, 3.64, 1.57, 800, 159, 10, 1.05, 29, 0)),
    ("claude 3 haiku", r"claude-3(-5)?-haiku", (6.65, 0.99, 3.64, 1.57, 800, 264, 10, 1.05, 29, 0)),
    ("claude 3.5", r"claude-3", (6.65, 0.99, 3.64, 1.57, 800, 310, 10, 1.05, 29, 0)),
    ("claude 4.5", r"claude-.*4[-.]5", (7.22, 0.87, 5.13, 1.95, 800, 525, 5.84, 1.21, 25, 136)),
    (
        "claude 4.6",
        r"claude-.*(4[-.][678]|(opus|sonnet|haiku)-5|fable|mythos)",
        (4.97, 0.9, 4.49, 2.03, 800, 609, 11, 1.14, 0, 0),
    ),
    ("claude 4", r"claude", (9.37, 1, 0.43, 2, 800, 346, 10, 1, 26, 0)),
    ("gemini 1", r"gemini-[12]\.[05]|gemma", (1.18, 0.84, 0.58, 1.57, 800, 17, 0, 0.34, 0, 0)),
    ("gemini 3", r"gemini", (0, 0.97, 0, 0, 800, 0, 0, 0.9, 0, 0)),
    ("gpt-oss", r"gpt-oss", (67, 0.7, 2.64, 0.79, 800, 23, 10, 1.33, 0, 0)),
    ("gpt-3.5", r"gpt-3\.5|gpt-35|gpt-4(?![o.1-9])", (3.1, 0.99, 4.01, 2, 800, 19, 10, 0.77, 0, 0)),
    ("gpt-4o", r"gpt-4|chatgpt", (3.42, 0.97, 3.74, 2.55, 800, 14, 0, 0.73, 0, 46)),
    ("gpt-5", r"gpt|\bo[134]\b", (0.17, 1.05, 5.53, 2.83, 800, 4.93, 0, 1.25, 0, 2.89)),
    (
        "mistral",
        r"mistral|mixtral|ministral|magistral|pixtral|codestral|devstral",
        (0.91, 0.91, 2.93, 2.07, 800, 0, 19, 1.68, 0, 0),
    ),
    ("nova 2", r"nova-2", (3.85, 1, 4.09, 2, 800, 846, 12, 1.09, 0, 0)),
    ("nova", r"nova", (0, 0.9, 0, 2.14, 800, 363, 11, 1.06, 0, 0)),
    ("titan", r"titan", (2.14, 0.86, 1.54, 1.58, 800, 0, 10, 1, 0, 0)),
    ("llama 4", r"llama-?4", (3.11, 1, 4.9, 2, 800, 107, 10, 1.01, 0, 0)),
    ("llama", r"llama", (30, 0.93, 5.2, 2, 800, 0, 10, 1, 0, 0)),
    ("deepseek 4", r"deepseek-(v4|reasoner|chat)", (0, 1.07, 6.36, 2.2, 800, 323, 12, 0.74, 0, 0)),
    ("deepseek", r"deepseek", (1.95, 0.86, 1.18, 2, 800, 0, 9.98, 1, 0, 0)),
    ("command r7b", r"command-r7b", (136, 1.01, 14, 2.02, 800, 1257, 13, 1.18, 0, 0)),
    ("qwen", r"qwen", (6.28, 1.04, 2.62, 2, 800, 248, 10, 0.91, 0, 0)),
    ("glm", r"glm", (3.36, 0.9, 4.02, 2, 800, 0, 10, 1, 0.37, 0)),
)


def family_of(model: str) -> str:
    """The family a model id belongs to; `other` where none fits."""
    name = model.lower()
    return next((family for family, known, _ in FAMILIES if re.search(known, name)), "other")


def counting_of(model: str) -> Counting:
    """How the model is expected to count."""
    family = family_of(model)
    weights = next((weights for known, _, weights in FAMILIES if known == family), PLAIN)
    return Counting(*weights, image=image_counting_of(model))
