"""The columns of attempt records in SQL and Parquet; `domain.attempt.AttemptRecord` explains them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_TIMINGS = (
    "STRUCT(queue_ms DOUBLE, connect_ms DOUBLE, header_ms DOUBLE, first_content_ms DOUBLE, "
    "gap_p50_ms DOUBLE, gap_max_ms DOUBLE, total_ms DOUBLE)"
)
_USAGE = (
    "STRUCT(input_uncached BIGINT, cache_read BIGINT, cache_write BIGINT, output BIGINT, "
    "reasoning BIGINT, source VARCHAR)"
)
COLUMNS: Mapping[str, str] = MappingProxyType({
    "attempt_id": "VARCHAR", "request_id": "VARCHAR", "index": "INTEGER", "gateway": "VARCHAR",
    "snapshot_version": "BIGINT", "started_unix_ms": "BIGINT", "feature": "VARCHAR", "caller": "VARCHAR",
    "unit": "VARCHAR", "arm": "VARCHAR", "arm_name": "VARCHAR", "share": "DOUBLE", "endpoint": "VARCHAR",
    "provider": "VARCHAR", "region": "VARCHAR", "model": "VARCHAR", "capacity_class": "VARCHAR",
    "served_tier": "VARCHAR", "role": "VARCHAR", "reason": "VARCHAR", "next_reason": "VARCHAR",
    "stream": "BOOLEAN",
    "outcome": "VARCHAR", "error_kind": "VARCHAR", "error_detail": "VARCHAR", "http_status": "INTEGER",
    "provider_request_id": "VARCHAR", "pushback_ms": "BIGINT", "committed": "BOOLEAN", "final": "BOOLEAN",
    "caller_error": "BOOLEAN", "timings": _TIMINGS, "usage": _USAGE, "stop_reason": "VARCHAR",
    "max_output_tokens": "BIGINT", "content": "STRUCT(request VARCHAR, response VARCHAR)",
})  # fmt: skip
