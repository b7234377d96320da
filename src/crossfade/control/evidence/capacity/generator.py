"""The load test's own process: sends requests when they are due, and nothing else.

Apart from control, because a generator that shares an interpreter with an API, a database and a
record intake is late whenever one of them is busy, and then measures them. It collects no garbage
while it runs: a pause of the collector is a lag, too.

Reads one JSON document from standard input ({url, cert, key, endpoint, requests: [{due_s, body}]}), prints
one (a list of `Measured`). The key comes that way so that it stands in no process list.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from dataclasses import asdict
from typing import Any

from crossfade.control.evidence.gateway_address import GatewayAddress
from crossfade.control.evidence.gateway_client import GatewayClient, Measured

LEAD_S = 0.3  # between the start and the first request: tasks are made before any is due


async def send_all(plan: dict[str, Any]) -> list[Measured]:
    """Send every request at its time and wait for all answers."""
    client = GatewayClient(GatewayAddress(plan["url"], plan["cert"]), plan["key"])
    began = asyncio.get_running_loop().time() + LEAD_S
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(client.measure(request["body"], plan["endpoint"], began + request["due_s"]))
                for request in plan["requests"]
            ]
        return [task.result() for task in tasks]
    finally:
        await client.close()


def main() -> None:
    """Read the plan, run it, print the answers."""
    plan = json.load(sys.stdin)
    gc.disable()
    json.dump([asdict(measured) for measured in asyncio.run(send_all(plan))], sys.stdout)


if __name__ == "__main__":
    main()
