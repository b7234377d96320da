"""Control's own metrics, as Prometheus reads them: what of it wants a person, and credentials' ends."""

from __future__ import annotations

import time
from collections.abc import Iterable

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crossfade.control.api.parts import ControlParts
from crossfade.control.credentials.broker import CredentialBroker
from crossfade.control.credentials.timing import is_alarming
from crossfade.control.store.checkpoints import Checkpoints


class CredentialCollector(Collector):
    """Reads the broker when it is scraped."""

    def __init__(self, broker: CredentialBroker) -> None:
        self._broker = broker

    def collect(self) -> Iterable[Metric]:
        """One sample a credential."""
        now = time.time()
        label = ["credential"]
        age = GaugeMetricFamily(
            "crossfade_credential_age_seconds", "Since the credential was fetched.", labels=label
        )
        left = GaugeMetricFamily(
            "crossfade_credential_expires_in_seconds", "Until it opens nothing any more.", labels=label
        )
        held = GaugeMetricFamily(
            "crossfade_credential_held", "1 while the gateways have one that is good.", labels=label
        )
        alarm = GaugeMetricFamily(
            "crossfade_credential_alarm", "1 when it is about to end and cannot be renewed.", labels=label
        )
        failed = CounterMetricFamily("crossfade_credential_failures", "Fetches that failed.", labels=label)
        for source in self._broker.sources:
            name, life = [source.need.name], source.life
            held.add_metric(name, 0.0 if life is None or life.is_over(now) else 1.0)
            alarm.add_metric(name, 1.0 if life is None or is_alarming(life, now) else 0.0)
            failed.add_metric(name, source.failed)
            if life is not None:
                age.add_metric(name, now - life.since_unix_s)
                if life.until_unix_s is not None:
                    left.add_metric(name, max(0.0, life.until_unix_s - now))
        return [age, left, held, alarm, failed]


class MigrationCollector(Collector):
    """What of the open migrations wants a person, with the page of `docs/on-call`."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts

    def collect(self) -> Iterable[Metric]:
        """One sample a migration and page; 0 while it wants nobody."""
        wants = GaugeMetricFamily(
            "crossfade_migration_attention",
            "1 while a migration wants a person; `page` names the file in docs/on-call.",
            labels=["migration", "page"],
        )
        found = self._parts.migrations.attention() if self._parts.migrations is not None else {}
        for name, page in found.items():
            wants.add_metric([name, page or ""], 0.0 if page is None else 1.0)
        return [wants]


class FeedbackCollector(Collector):
    """Trends of what users say."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts

    def collect(self) -> Iterable[Metric]:
        """One sample a feature and endpoint whose ordinary rate is known."""
        worse = GaugeMetricFamily(
            "crossfade_feedback_worse",
            "1 while users like a feature's answers from an endpoint less than they used to.",
            labels=["feature", "endpoint"],
        )
        for row in self._parts.trends.rows():
            worse.add_metric([row["feature"], row["endpoint"]], float(row["is_worse"]))
        return [worse]


class LogCollector(Collector):
    """Whether the event log holds, and whether its second place is up with it."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints

    def collect(self) -> Iterable[Metric]:
        """One sample each."""
        since = self._checkpoints.unsigned_since
        behind = 0.0 if since is None else max(0.0, time.time() - since)
        return [
            GaugeMetricFamily(
                "crossfade_log_broken",
                "1 while a row of the event log was found changed, removed or reordered.",
                value=float(self._checkpoints.problem is not None),
            ),
            GaugeMetricFamily(
                "crossfade_log_unsigned_seconds",
                "For how long a row of the event log has waited for its signed checkpoint.",
                value=behind,
            ),
        ]


def create_metrics_router(parts: ControlParts) -> APIRouter:
    """`/metrics`."""
    registry = CollectorRegistry()
    registry.register(CredentialCollector(parts.broker))
    registry.register(MigrationCollector(parts))
    registry.register(FeedbackCollector(parts))
    registry.register(LogCollector(parts.checkpoints))
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
