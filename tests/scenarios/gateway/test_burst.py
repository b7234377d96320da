"""Five times the bought capacity at once, over real sockets, against a provider that meters by itself."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cloud import USAGE
from process import ask, get, running_gateway

CONFIG = """
providers:
  up-bought:
    {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/bought/v1', auth: {{method: none}}}}
  up-shared:
    {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/shared/v1', auth: {{method: none}}}}
endpoints:
  bought:
    provider: up-bought
    model: m
    capacity: {{class: provisioned, units: 2 MU, per_unit: {{input_tpm: 3k, output_tpm: 3k}}, window: 10s}}
  shared: {{provider: up-shared, model: m}}
pools: {{both: {{endpoints: [bought, shared]}}}}
features:
  f: {{hierarchy: [both]}}
  g: {{hierarchy: [both]}}
"""
PER_MINUTE, WINDOW_S = 6000, 10.0
CALLS = int(5 * PER_MINUTE * WINDOW_S / 60 / USAGE["prompt_tokens"])


@dataclass
class Provider:
    """Its own books: tokens flow in by the second, a window of them may be saved; over it, 429."""

    left: float = PER_MINUTE * WINDOW_S / 60
    at: float = field(default_factory=time.monotonic)
    throttled: int = 0

    def answer(self):
        now = time.monotonic()
        self.left = min(PER_MINUTE * WINDOW_S / 60, self.left + (now - self.at) * PER_MINUTE / 60)
        self.at = now
        if self.left < USAGE["prompt_tokens"]:
            self.throttled += 1
            return {"status": 429}
        self.left -= USAGE["prompt_tokens"]
        return "ok"


def test_five_times_the_bought_capacity_spills_and_nothing_is_dropped(cloud):
    provider = Provider()
    cloud.script("bought", [provider.answer])
    with (
        running_gateway(CONFIG.format(port=cloud.port)) as gateway,
        ThreadPoolExecutor(16) as callers,
    ):

        def call(number):
            return ask(gateway.port, stream=number % 2 == 0, model="fg"[number % 4 == 0], max_tokens=8)

        answers = list(callers.map(call, range(CALLS)))
        metrics = get(gateway.admin_port, "/metrics")

    assert Counter(answer.status for answer in answers) == {200: CALLS}
    served = Counter(answer.headers["x-crossfade-capacity"] for answer in answers)
    calls = Counter(one.endpoint for one in cloud.calls)
    assert served["provisioned"] >= 0.6 * PER_MINUTE * WINDOW_S / 60 / USAGE["prompt_tokens"], "it was used"
    assert provider.throttled <= max(1, calls["bought"] // 1000), f"{provider.throttled} of {calls['bought']}"
    spilled = {
        feature: int(
            re.search(
                rf'crossfade_attempts_total\{{feature="{feature}",endpoint="shared",role="spillover",'
                r'outcome="ok"\} (\d+)',
                metrics,
            )[1]
        )
        for feature in "fg"
    }
    assert sum(spilled.values()) == served["on-demand"], "each spill is counted, by feature"
