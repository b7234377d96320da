"""Posture as Azure and Google tell it, read over a socket; and by name what cannot be seen."""

from __future__ import annotations

import copy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from crossfade.config.features import Config
from crossfade.config.schema import EndpointSection, ProviderSection
from crossfade.control.evidence.posture import azure, gcp
from crossfade.control.evidence.posture.checks import Check, Unseen
from crossfade.control.evidence.posture.clouds import see_pool
from crossfade.domain.credential import BearerCredential

RESOURCE = "/subscriptions/1/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/acme"
CHAIN = {"method": "default-chain"}
LINK = {"name": "pe-1", "properties": {"privateLinkServiceConnectionState": {"status": "Approved"}}}
CLOSED = {
    "properties": {
        "publicNetworkAccess": "Disabled",
        "privateEndpointConnections": [LINK],
        "encryption": {"keySource": "Microsoft.KeyVault"},
        "capabilities": [{"name": "ContentLogging", "value": "false"}],
    }
}
LOGGED = {"loggingConfig": {"enabled": True, "bigqueryDestination": {"outputUri": "bq://acme.llm"}}}


@pytest.fixture
def cloud(monkeypatch):
    """Documents by path, without their query; a path without one is a 403."""
    documents: dict[str, dict] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = documents.get(self.path.split("?")[0])
            allowed = found is not None and self.headers["authorization"] == "Bearer held"
            body = json.dumps(found if allowed else {"error": {"code": "Forbidden"}}).encode()
            self.send_response(200 if allowed else 403)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    held = BearerCredential(token="held", expires_unix_s=None)
    monkeypatch.setattr(azure, "fetch_azure", lambda _: held)
    monkeypatch.setattr(gcp, "fetch_gcp", lambda _: held)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", documents
    server.shutdown()
    server.server_close()
    thread.join(5)


def sorted_out(found) -> tuple[dict[str, bool], set[str]]:
    seen = {each.name: each.ok for each in found if isinstance(each, Check)}
    return seen, {each.name for each in found if isinstance(each, Unseen)}


def look_at_azure(manager: str, resource: str | None = RESOURCE):
    provider = ProviderSection(
        kind="azure-openai", base_url="https://acme.openai.azure.com", auth=CHAIN, resource=resource
    )
    endpoint = EndpointSection(provider="p", model="gpt", region="westeurope")
    return sorted_out(azure.see_azure("e", provider, endpoint, manager))


def test_a_closed_azure_account_holds_every_check(cloud):
    manager, documents = cloud
    documents[RESOURCE] = CLOSED
    documents[f"{RESOURCE}/deployments/gpt"] = {"sku": {"name": "ProvisionedManaged"}}

    seen, unseen = look_at_azure(manager)

    assert len(seen) == 5
    assert all(seen.values())
    assert unseen == {"retention of e"}


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"publicNetworkAccess": "Enabled"}, "closed to the internet: e"),
        ({"privateEndpointConnections": []}, "private endpoint of e"),
        ({"encryption": None}, "customer-managed key of e"),
        ({"capabilities": []}, "no stored content of e"),
    ],
)
def test_each_opening_of_an_azure_account_breaks_its_own_check(cloud, change, broken):
    manager, documents = cloud
    account = copy.deepcopy(CLOSED)
    account["properties"] |= change
    documents[RESOURCE] = account
    documents[f"{RESOURCE}/deployments/gpt"] = {"sku": {"name": "GlobalStandard"}}

    seen, _ = look_at_azure(manager)

    assert {name for name, ok in seen.items() if not ok} == {broken, "regions of the deployment of e"}


def test_what_may_not_be_read_or_is_not_named_needs_an_attestation(cloud):
    manager, _ = cloud

    assert look_at_azure(manager) == ({}, {"account of e", "retention of e"})
    assert look_at_azure(manager, None) == (
        {},
        {"private network of e", "customer-managed key of e", "retention of e"},
    )


def test_vertex_tells_of_cached_prompts_and_logged_requests(cloud):
    api, documents = cloud
    provider = ProviderSection(kind="vertex", project="acme", auth=CHAIN)
    endpoint = EndpointSection(provider="p", model="gemini-x", region="europe-west4")
    always = {"private network of e", "customer-managed key of e", "retention of e"}

    assert sorted_out(gcp.see_gcp("e", provider, endpoint, api)) == (
        {},
        {"cached prompts of e", "request logging of e"} | always,
    )

    documents["/v1beta1/projects/acme/cacheConfig"] = {"disableCache": True}
    place = "/v1beta1/projects/acme/locations/europe-west4/publishers/google/models/gemini-x"
    documents[f"{place}:fetchPublisherModelConfig"] = LOGGED
    assert sorted_out(gcp.see_gcp("e", provider, endpoint, api)) == (
        {"no cached prompts of e": True, "request logging off for e": False},
        always,
    )


def test_a_pool_of_a_cloud_that_nobody_reads_is_named_for_attestation():
    config = Config.model_validate(
        {
            "providers": {"p": {"kind": "openai", "auth": {"method": "api-key", "env": "K"}}},
            "endpoints": {"e": {"provider": "p", "model": "gpt"}},
            "pools": {"pool": {"endpoints": ["e"]}},
            "features": {"recap": {"hierarchy": [{"pool": "pool"}]}},
        }
    )

    assert {each.name for each in see_pool(config, "pool")} == {
        "private network of e",
        "retention of e",
        "customer-managed key of e",
    }
