"""A new endpoint is met before its first request comes."""

from __future__ import annotations

import select
import socket

from deployment import ENVIRONMENT, running_deployment

CONFIG = """
providers:
  listener: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/v1', auth: {{method: none}}}}
endpoints:
  listening: {{provider: listener, model: m}}
features:
  recap: [listening]
"""


def test_a_connection_stands_ready_before_the_gateway_takes_requests(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = CONFIG.format(port=listener.getsockname()[1])
        with running_deployment(tmp_path, config, ENVIRONMENT):
            # The gateway is ready now, and nobody has sent a request.
            assert select.select([listener], [], [], 0)[0] == [listener]
            connection, _ = listener.accept()
            with connection:
                assert select.select([connection], [], [], 0)[0] == []
