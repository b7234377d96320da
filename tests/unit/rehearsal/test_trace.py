"""Traces of every known form, and what is said of those that are none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from crossfade.sim.rehearsal.traffic.arrivals import demand_of, synthetic
from crossfade.sim.rehearsal.traffic.trace import TraceError, read_trace

RECORDED = Path(__file__).parents[3].parent / "shared/data/traces"

SPLITWISE = "TIMESTAMP,ContextTokens,GeneratedTokens"
AZURE = f"{SPLITWISE}\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:05.9799600,3180,8\n"
AZURE_2024 = f"{SPLITWISE}\n2024-05-10 00:00:00.0099+00:00,100,10\n2024-05-10 00:01:00.0099+00:00,200,8\n"
BURST = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
"""
VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens\n0.25,100,7\n2.25,90,8\n"


def written(folder: Path, text: str | bytes, name: str = "trace") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def spoilt(text: str, place: int) -> bytes:
    """Gzipped, with a byte flipped: in what was compressed, or in its checksum."""
    packed = bytearray(gzip.compress(text.encode()))
    packed[place] ^= 0xFF
    return bytes(packed)


@pytest.mark.parametrize(
    ("text", "last_s", "first_tokens"),
    [
        (AZURE, 2.0, (4808, 10)),
        (AZURE_2024, 60.0, (100, 10)),
        (BURST, 40.0, (472, 18)),
        (VIDUR, 2.0, (100, 7)),
    ],
    ids=["azure", "azure-2024", "burst", "vidur"],
)
def test_one_row_a_request(tmp_path: Path, text: str, last_s: float, first_tokens: tuple[int, int]):
    trace = read_trace(written(tmp_path, text))

    assert trace.arrivals is not None
    assert trace.sizes is not None
    assert trace.arrivals.tolist() == [0.0, last_s]
    assert tuple(trace.sizes[0]) == first_tokens
    assert round(trace.requests) == 2


def test_each_time_counts_in_its_own_zone(tmp_path: Path):
    """As local times do when the clocks are set."""
    times = (
        "2026-10-25 02:59:00+02:00",
        "2026-10-25 02:00:00+01:00",
        "2026-10-25T01:02:00Z",
        "2026-10-25 02:03:00+01",
    )
    trace = read_trace(written(tmp_path, "\n".join([SPLITWISE, *(f"{at},1,1" for at in times), ""])))

    assert trace.arrivals is not None
    assert trace.arrivals.tolist() == [0.0, 60.0, 180.0, 240.0]


def test_json_lines_in_milliseconds_gzipped(tmp_path: Path):
    rows = [
        {"timestamp": 3000 * i, "input_length": 10 + i, "output_length": 5, "hash_ids": [i]} for i in range(5)
    ]
    text = "\n".join(json.dumps(row) for row in rows).encode()
    trace = read_trace(written(tmp_path, gzip.compress(text)))

    assert trace.arrivals is not None
    assert trace.arrivals.tolist() == [0.0, 3.0, 6.0, 9.0, 12.0]


def test_rates_by_window_several_clients_of_one_moment_are_added_up(tmp_path: Path):
    text = "model,client,t_seconds,rate_rps\nm,1,0,2\nm,2,0,3\nm,1,600,4\nm,2,600,0\n"
    trace = read_trace(written(tmp_path, text))

    assert (trace.window_s, trace.rates.tolist()) == (600.0, [5.0, 4.0])


def test_rates_a_minute_and_a_chosen_column(tmp_path: Path):
    path = written(tmp_path, "minute_from_start,a_req_per_min,b_req_per_min\n5,60,120\n15,60,240\n")

    assert read_trace(path).rates.tolist() == [1.0, 1.0]
    assert read_trace(path, column="b_req_per_min").rates.tolist() == [2.0, 4.0]
    assert read_trace(path).window_s == 600.0
    with pytest.raises(TraceError, match="no rate is called c"):
        read_trace(path, column="c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n3,4\n", "no trace of a known form, its columns are a, b"),
        ('{"timestamp": 1}\nnot json\n', "a line is not JSON"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,3\n2,x,3\n", "row 3: ContextTokens is 'x', no number"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,3\n2,3\n", "row 3 has not as many cells"),
        ("TIMESTAMP,ContextTokens\nyesterday,2\ntoday,3\n", "write times like"),
        (
            "TIMESTAMP,ContextTokens\n2023-11-16 18:17:03,2\n5,2\n2023-11-16 18:19:03,3\n",
            "row 3: TIMESTAMP is '5'",
        ),
        ("TIMESTAMP,ContextTokens\n2023-11-16 18:17:03,2\n2023-13-16 18:17:03,2\n", "write times like"),
        (
            '{"timestamp": null, "input_length": 3}\n{"timestamp": 2, "input_length": 3}\n',
            "row 2: timestamp is empty",
        ),
        ("TIMESTAMP,ContextTokens\n1,2\n3,-3\n", "row 3: ContextTokens is -3, no number of tokens"),
        (
            "TIMESTAMP,ContextTokens\n1,99999999999\n3,3\n",
            "row 2: ContextTokens is 99999999999, no number of tokens",
        ),
        ("TIMESTAMP,ContextTokens\n1,2\n1,3\n", "every request comes at the same moment"),
        ("t_seconds,a_rps\n0,-1\n1,2\n", "no negative rate"),
        (b"\x1f\x8bgarbage", "not text"),
        (spoilt(AZURE * 500, 40), "not text"),
        (spoilt(AZURE * 500, -6), "not text"),
        (b"\xff\xfe\x00", "not text"),
    ],
)
def test_what_is_no_trace_is_told_with_a_hint(tmp_path: Path, text: str | bytes, said: str):
    with pytest.raises(TraceError, match=said) as refused:
        read_trace(written(tmp_path, text))
    assert "hint:" in str(refused.value)


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(TraceError, match="No such file"):
        read_trace(tmp_path / "none.csv")


@pytest.mark.parametrize("kind", ["recorded", "synthetic"])
def test_demand_repeats_thins_and_is_the_same_for_the_same_seed(tmp_path: Path, kind: str):
    rows = "".join(f"{i * 2.0},{100},{10}\n" for i in range(1800))
    recorded = read_trace(written(tmp_path, "arrived_at,input_tokens,output_tokens\n" + rows))
    trace = recorded if kind == "recorded" else synthetic(0.5)
    demand = demand_of(trace, 2.0, 20_000, 1.0, 7)
    chunks = [demand.chunk(number) for number in range(48)]
    total = sum(chunk.at.size for chunk in chunks)

    assert abs(total - 20_000) < 5 * np.sqrt(20_000) + 300
    for number, chunk in enumerate(chunks):
        assert (np.diff(chunk.at) >= 0).all()
        assert chunk.at.size == 0 or 3600 * number <= chunk.at[0] <= chunk.at[-1] < 3600 * (number + 1)
    assert (demand.chunk(3).at == chunks[3].at).all()
    assert len(np.unique(np.concatenate([chunk.unit for chunk in chunks]))) == total


@pytest.mark.skipif(not RECORDED.is_dir(), reason=f"{RECORDED} is not there")
def test_every_recorded_trace_reads():
    files = [p for p in RECORDED.rglob("*") if p.name.endswith((".csv", ".gz")) and "tokens" not in p.name]

    assert len(files) >= 5
    for path in files:
        assert read_trace(path).requests > 5000, path
