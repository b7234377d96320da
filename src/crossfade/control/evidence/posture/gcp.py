"""What Google itself says of an endpoint's posture on Vertex: cached prompts, logged requests.

What may not be read cannot be seen, and needs a person's attestation like everything no API shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from crossfade.config.schema import AuthSection, EndpointSection, ProviderSection
from crossfade.control.credentials.gcp import fetch_gcp
from crossfade.control.evidence.posture.checks import Check, Unseen

TIMEOUT_S = 10


def see_gcp(
    name: str, provider: ProviderSection, endpoint: EndpointSection, api: str | None = None
) -> tuple[Check | Unseen, ...]:
    """Everything that can be seen, and by name what cannot. `api`: another address of the API."""
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - slow

    found: list[Check | Unseen] = []
    region = endpoint.region or "us-central1"
    read = reader(provider.auth, api or f"https://{region}-aiplatform.googleapis.com")
    project = f"projects/{provider.project}"
    model = f"{project}/locations/{region}/publishers/google/models/{endpoint.model}"
    for what, path, judge in (
        ("cached prompts", f"{project}/cacheConfig", cache_check),
        ("request logging", f"{model}:fetchPublisherModelConfig", logging_check),
    ):
        try:
            found += judge(name, read(path))
        except (GoogleAuthError, LookupError, OSError, ValueError) as error:
            found.append(Unseen(f"{what} of {name}", f"could not be read: {error}"))
    why = "the config does not say which network the gateways run in at Google"
    found.append(Unseen(f"private network of {name}", why))
    found.append(
        Unseen(f"customer-managed key of {name}", "a publisher's model keeps nothing a key could cover")
    )
    found.append(Unseen(f"retention of {name}", "no API tells what else the provider keeps; its terms do"))
    return tuple(found)


def reader(auth: AuthSection, api: str) -> Callable[[str], dict[str, Any]]:
    """Reads a document of the API with the provider's own identity; raises google-auth's errors."""

    def read(path: str) -> dict[str, Any]:
        from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415 - slow
        from google.oauth2.credentials import Credentials  # noqa: PLC0415

        held = Credentials(token=fetch_gcp(auth).token)  # type: ignore[no-untyped-call]
        with AuthorizedSession(held) as session:  # type: ignore[no-untyped-call]
            answer = session.get(f"{api}/v1beta1/{path}", timeout=TIMEOUT_S)
            answer.raise_for_status()
            document: dict[str, Any] = answer.json()
            return document

    return read


def cache_check(name: str, config: dict[str, Any]) -> Iterator[Check]:
    """Prompts are kept in memory for a day unless the project has turned that off."""
    off = bool(config.get("disableCache"))
    yield Check(f"no cached prompts of {name}", off, "off" if off else "prompts are cached for up to a day")


def logging_check(name: str, config: dict[str, Any]) -> Iterator[Check]:
    """Requests and answers may be copied to a table of the project's own."""
    logging = config.get("loggingConfig") or {}
    on = bool(logging.get("enabled"))
    where = (logging.get("bigqueryDestination") or {}).get("outputUri", "a table")
    yield Check(f"request logging off for {name}", not on, f"copies to {where}" if on else "off")
