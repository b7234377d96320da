"""What each model's provider counts for a picture: data, a row a family, with its source and date.

The engine reads a picture's width and height from the first bytes of its file. A picture of which only
the address is known is taken to be 1024 x 1024.
"""

from __future__ import annotations

import re

from crossfade.domain.snapshot import ImageCounting, ImageUnit

OPENAI = "platform.openai.com/docs/guides/images-vision, calculating costs, 2025-08"
MEASURED = "huggingface.co/datasets/JOHNISKING/image-token-cost (ten sizes, measured in 2026)"
CLAUDE = "docs.claude.com/en/docs/build-with-claude/vision (about w * h / 750); squares of 28: " + MEASURED
GEMINI = "ai.google.dev/gemini-api/docs/tokens, images, 2025-11"
GEMINI_3 = "ai.google.dev/gemini-api/docs/media-resolution (1120 by default); " + MEASURED
NOVA = "docs.aws.amazon.com/nova/latest/userguide/modalities-image.html, table of estimates, 2025-06"
SQUARES = "the model cards of Mistral and Qwen: squares of 28"

# What is counted where nothing is known: about what most count for 1024 x 1024.
PLAIN = ImageCounting(ImageUnit.PATCH_28, 0, 1, None)

# (the names it is known by, how it counts, source); the first that fits decides.
ROWS: tuple[tuple[str, ImageCounting, str], ...] = (
    (r"gpt-4o-mini", ImageCounting(ImageUnit.TILE_512, 2833, 5667, 2833), OPENAI),
    (r"gpt-(4\.1|5)-mini", ImageCounting(ImageUnit.PATCH_32, 0, 1.62, None), OPENAI),
    (r"gpt-(4\.1|5)-nano", ImageCounting(ImageUnit.PATCH_32, 0, 2.46, None), OPENAI),
    (r"\bo4-mini", ImageCounting(ImageUnit.PATCH_32, 0, 1.72, None), OPENAI),
    (r"gpt-(5\.[4-9]|[6-9])", ImageCounting(ImageUnit.PATCH_32_LARGE, 0, 1.2, None), MEASURED),
    (r"gpt-5", ImageCounting(ImageUnit.TILE_512, 70, 140, 70), OPENAI),
    (r"\bo[13]\b", ImageCounting(ImageUnit.TILE_512, 75, 150, 75), OPENAI),
    (r"gpt-4|chatgpt", ImageCounting(ImageUnit.TILE_512, 85, 170, 85), OPENAI),
    (
        r"claude-.*(4[-.][78]|(opus|sonnet|haiku)-5|fable|mythos)",
        ImageCounting(ImageUnit.PATCH_28_LARGE, 0, 1, None),
        CLAUDE,
    ),
    (r"claude", ImageCounting(ImageUnit.PATCH_28, 0, 1, None), CLAUDE),
    (r"gemini-[12]\.|gemma", ImageCounting(ImageUnit.TILE_768, 0, 258, None), GEMINI),
    (r"gemini", ImageCounting(ImageUnit.IMAGE, 1120, 0, None), GEMINI_3),
    (r"nova", ImageCounting(ImageUnit.PATCH_28_LARGE, 0, 1.2, None), NOVA),
    (r"mistral|pixtral|magistral|qwen", ImageCounting(ImageUnit.PATCH_28_LARGE, 0, 1, None), SQUARES),
)


def image_counting_of(model: str) -> ImageCounting:
    """How the model is expected to count a picture."""
    name = model.lower()
    return next((counting for known, counting, _ in ROWS if re.search(known, name)), PLAIN)
