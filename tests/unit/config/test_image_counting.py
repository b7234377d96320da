"""A picture costs what its model's provider says."""

from __future__ import annotations

import base64
import json
import struct

import pytest

from crossfade import _engine
from crossfade.config.catalogue.counting import counting_of
from crossfade.config.catalogue.images import ROWS, image_counting_of
from crossfade.domain.snapshot import ImageUnit


def png(width: int, height: int) -> str:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)
    return base64.b64encode(head + bytes(2000)).decode()


def sizes(width: int, height: int, **more: str) -> dict:
    url = {"url": f"data:image/png;base64,{png(width, height)}", **more}
    content = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": url}]
    return json.loads(_engine.prompt_size(json.dumps({"messages": [{"role": "user", "content": content}]})))


@pytest.mark.parametrize(
    ("model", "width", "height", "tokens"),
    [
        ("gpt-4o", 2048, 4096, 1105),
        ("gpt-4o-mini-2024-07-18", 512, 512, 8500),
        ("gpt-5", 1024, 1024, 630),
        ("gpt-4.1-mini", 1800, 2400, 2352),
        ("gpt-5-nano", 512, 512, 630),
        ("o4-mini", 1024, 1024, 1761),
        ("o3", 512, 512, 225),
        ("gpt-5.5", 1024, 1024, 1229),
        ("claude-haiku-4-5", 1024, 1024, 1369),
        ("us.anthropic.claude-opus-4-8-v1:0", 1920, 1080, 2691),
        ("gemini-2.5-flash", 960, 540, 1548),
        ("gemini-3.1-pro", 4000, 3000, 1120),
    ],
)
def test_each_family_counts_a_picture_in_its_own_way(model, width, height, tokens):
    counting, images = image_counting_of(model), sizes(width, height)["images"]
    units = images["count" if counting.by is ImageUnit.IMAGE else counting.by.value]

    assert counting.each + counting.unit * units == pytest.approx(tokens, abs=1)


def test_low_detail_is_apart_and_an_address_is_a_picture_of_common_size():
    low = sizes(4000, 4000, detail="low")
    content = [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]
    body = {"messages": [{"role": "user", "content": content}]}
    unknown = json.loads(_engine.prompt_size(json.dumps(body)))

    assert low["low_images"] == low["images"]
    assert sizes(4000, 4000)["low_images"]["count"] == 0
    assert unknown["images"] == sizes(1024, 1024)["images"]


def test_a_model_counts_words_by_its_family_and_pictures_by_its_own_row():
    assert counting_of("gpt-4o-mini").piece == counting_of("gpt-4o").piece
    assert counting_of("gpt-4o-mini").image != counting_of("gpt-4o").image
    assert all(source for _, _, source in ROWS)
