"""Who may call which routes: gateways by their token, whatever changes state by the API token."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from fastapi import HTTPException, Request


def require_token(token: str, hint: str) -> Callable[[Request], None]:
    """A dependency that lets only bearers of `token` in."""

    def check(request: Request) -> None:
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(shown.encode(), token.encode()):
            raise HTTPException(401, {"message": "the token is missing or wrong", "hint": hint})

    return check
