"""The hook with which software buys units where a cloud lets it: `PUT {"units": n}` to a URL."""

from __future__ import annotations

import httpx2

from crossfade.control import outgoing

ANSWERS_WITHIN_S = 10.0


class Lever:
    """Moves a number of units. Without a URL a person moves them, and nothing here is asked."""

    async def move(self, url: str, units: int) -> None:
        """Set the number of units. Raises LookupError if the hook refuses."""
        try:
            async with outgoing.client(ANSWERS_WITHIN_S) as http:
                answer = await http.put(url, json={"units": units})
        except httpx2.HTTPError as error:
            raise LookupError(f"the lever {url} does not answer: {error}") from error
        if answer.status_code >= 300:
            raise LookupError(f"the lever {url} answered {answer.status_code}: {answer.text[:200]}")
