"""An auth section that cannot work is refused with the place and how to mend it."""

from __future__ import annotations

import pytest

from crossfade.config.check_auth import find_auth_problems
from crossfade.config.schema import ProviderSection

POOL = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p"
ROLE = "arn:aws:iam::123456789012:role/llm"
CHAIN = {"method": "default-chain"}
OPEN = {"kind": "openai-compatible", "base_url": "http://127.0.0.1:1/v1"}


def problems(auth: dict, **provider: str) -> list[tuple[str, str, str]]:
    section = ProviderSection(auth=auth, **(provider or OPEN))
    return [
        (".".join(path), what, hint) for path, what, hint in find_auth_problems((), section, secrets=True)
    ]


@pytest.mark.parametrize(("auth", "provider"), [
    ({"method": "none"}, {}),
    ({"method": "workload-identity", "cloud": "gcp", "audience": POOL, "token_file": "/t"}, {}),
    ({"method": "workload-identity", "cloud": "azure", "tenant": "t", "client_id": "c", "via": CHAIN}, {}),
    ({"method": "managed-identity", "cloud": "azure"}, {}),
    ({"method": "api-key", "secret": "aws:llm/lab#key", "via": CHAIN}, {}),
    (CHAIN, {"kind": "bedrock"}),
    ({"method": "assume-role", "role": ROLE,
      "via": {"method": "web-identity", "role": ROLE, "token_file": "/t"}},
     {"kind": "sagemaker"}),
])  # fmt: skip
def test_what_can_work_has_no_problem(auth, provider):
    assert problems(auth, **provider) == []


@pytest.mark.parametrize(("auth", "provider", "where", "said"), [
    (CHAIN, {}, "method", "cloud: gcp"),
    ({"method": "api-key", "env": "HOME"}, {"kind": "bedrock"}, "method", "default-chain"),
    ({"method": "api-key"}, {}, "", "env, file or secret"),
    ({"method": "api-key", "env": "A", "file": "/b"}, {}, "", "env, file or secret"),
    ({"method": "api-key", "env": "NO_SUCH_VARIABLE_HERE"}, {}, "env", "export"),
    ({"method": "assume-role"}, {"kind": "bedrock"}, "", "needs a role"),
    ({"method": "web-identity", "role": ROLE}, {"kind": "bedrock"}, "", "token_file"),
    ({"method": "workload-identity", "cloud": "gcp", "token_file": "/t"}, {}, "", "audience"),
    ({"method": "workload-identity", "cloud": "gcp", "audience": POOL}, {}, "", "token_file or via"),
    ({"method": "workload-identity", "cloud": "azure", "token_file": "/t"}, {}, "", "tenant"),
    ({"method": "managed-identity", "cloud": "azure", "via": CHAIN}, {}, "via", "reached via another"),
    ({"method": "assume-role", "role": ROLE, "via": {"method": "managed-identity"}}, {"kind": "bedrock"},
     "via.method", "one of AWS"),
    ({"method": "assume-role", "role": ROLE, "via": {"method": "assume-role", "via": CHAIN}},
     {"kind": "bedrock"}, "via", "needs a role"),
])  # fmt: skip
def test_what_cannot_work_is_refused_with_its_place_and_a_way_out(auth, provider, where, said):
    found = problems(auth, **provider)

    assert len(found) == 1
    assert found[0][0] == where
    assert said in " ".join(found[0][1:])


def test_a_chain_of_more_than_three_is_refused():
    chain: dict = CHAIN
    for _ in range(4):
        chain = {"method": "assume-role", "role": ROLE, "via": chain}

    assert any("three deep" in what for _, what, _ in problems(chain, kind="bedrock"))
