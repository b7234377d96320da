"""A client of control's API: what the CLI uses, and notebooks may.

client = crossfade.Client("http://127.0.0.1:4100", token)
client.overview()["features"]
client.records("SELECT feature, count(*) FROM attempts GROUP BY 1")
"""

from __future__ import annotations

from typing import Any, Self

import httpx2


class ApiError(Exception):
    """Control refused, or did not answer; the message says why and how to mend it."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """One control process. `token`: the state folder's `api-token`, or a person's."""

    def __init__(
        self, url: str = "http://127.0.0.1:4100", token: str | None = None, timeout_s: float = 30
    ) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout_s)
        self._url = url.rstrip("/")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """JSON of a GET below `/api/v1`. Raises ApiError."""
        return self._call("GET", path, **({"params": query} if query else {}))

    def post(self, path: str, body: Any) -> Any:
        """JSON of a POST below `/api/v1`. Raises ApiError."""
        return self._call("POST", path, json=body)

    def login_url(self) -> str:
        """An address that logs one browser in to the console, once, within ten minutes. Raises ApiError."""
        return f"{self._url}{self.post('/login/links', {'person': None})['path']}"

    def overview(self) -> dict[str, Any]:
        """Features, endpoints, gateways and migrations as they are now."""
        found: dict[str, Any] = self.get("/overview")
        return found

    def attempts(self, request_id: str) -> list[dict[str, Any]]:
        """A request's attempts in order."""
        found: list[dict[str, Any]] = self.get(f"/requests/{request_id}")
        return found

    def records(self, sql: str = "SELECT * FROM attempts") -> list[dict[str, Any]]:
        """Rows of a query over the view `attempts`."""
        found: list[dict[str, Any]] = self.post("/records/query", {"sql": sql})
        return found

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = self._http.request(method, f"/api/v1{path}", **arguments)
        except httpx2.HTTPError as error:
            hint = "is `crossfade up` running with this config?"
            raise ApiError(f"control at {self._url} does not answer: {error} (hint: {hint})") from error
        if answer.status_code >= 400:
            raise ApiError(_message(answer), answer.status_code)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise ApiError(f"{answer.url} answers no JSON (hint: is it control's address?)") from error


def _message(answer: httpx2.Response) -> str:
    try:
        error = answer.json().get("error", answer.json())
    except ValueError:
        return f"status {answer.status_code}: {answer.text[:300]}"
    hint = f" (hint: {error['hint']})" if error.get("hint") else ""
    return f"{error.get('message', error)}{hint}"
