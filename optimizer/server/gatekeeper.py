"""At the door of the API: who asks, and may they."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from analytics.access.keys import digest_of
from optimizer.access.api_keys import AccessDenied
from optimizer.access.client_address import address_of_scope
from optimizer.access.concurrency.limiter import ConcurrencyTimeout
from optimizer.access.rate_limits import RateLimitExceeded, RateWindow
from optimizer.api.http.failures import Failure, Kind, retry_headers
from optimizer.server.errors import App, Receive, Scope, Send, send_failure
from optimizer.wiring.build import PROCESS, get_services

# The admin has its own login; the rest tells nothing that is not public.
_OPEN = re.compile(r"^/(admin|static|docs|schema|health|ready|favicon\.ico)(/|$)")
_OURS = re.compile(r"^/api/v1(?=/)")
_SCOPES = {
    "/feedback": "feedback",
    # One's own tenant's, with "read" everybody's.
    "/routing/metrics": "",
    "/stats": "",
    "/cache/stats": "",
    "/quality/stats": "",
    "/insights": "read",
    "/metrics": "read",
}
_LONGEST_KEY = 256


class Gatekeeper:
    """Lets API requests pass with ``scope["optimizer.client"]`` set, or answers 401 or 403 in the
    API's own shape. ``behind_proxy``: the address is the last of X-Forwarded-For.
    """

    def __init__(self, app: App, *, behind_proxy: bool = False) -> None:
        self._app = app
        self._behind_proxy = behind_proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = _OURS.sub("", scope["path"])
        if _OPEN.match(path) or path == "/":
            await self._app(scope, receive, send)
            return
        services = PROCESS.services or get_services()
        try:
            client = services.api_keys.authenticate(
                _shown_key(scope["headers"]),
                address_of_scope(scope, behind_proxy=self._behind_proxy),
                _SCOPES.get(path, "complete"),
            )
            # Only what may cost something is counted.
            counted = scope["method"] == "POST" and path not in _SCOPES
            rates = (client.requests_per_minute, client.tokens_per_minute)
            limited = counted and rates != (None, None)
            windows = await services.limits.admit(client) if limited else []
        except AccessDenied as refused:
            await _refuse(scope["path"], _failure(refused), receive, send)
            return
        except RateLimitExceeded as limited:
            await _refuse(scope["path"], _too_many(limited), receive, send, limited.windows)
            return
        scope["optimizer.client"], scope["optimizer.services"] = client, services
        sending = _with_headers(send, windows) if windows else send
        if not counted:
            await self._app(scope, receive, sending)
            return
        try:
            async with services.concurrency.slot(client):
                await self._app(scope, receive, sending)
        except ConcurrencyTimeout as crowded:
            await _refuse(scope["path"], _concurrency_timeout(crowded), receive, sending)


def _shown_key(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The digest of the key in the request; ``None`` where there is none."""
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return _digest(value[7:])
        if name == b"x-api-key":
            return _digest(value)
    return None


def _digest(raw: bytes) -> str:
    return digest_of(raw.strip()[:_LONGEST_KEY].decode("latin-1"))


def _with_headers(send: Send, windows: list[RateWindow]) -> Send:
    async def sending(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            more = [header for window in windows for header in window.headers]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending


def _too_many(limited: RateLimitExceeded) -> Failure:
    return Failure(
        429,
        "rate_limited",
        str(limited),
        code="rate_limit_exceeded",
        retry_after=limited.retry_after,
    )


def _concurrency_timeout(crowded: ConcurrencyTimeout) -> Failure:
    if crowded.own:
        code = "concurrency_limit_exceeded"
        return Failure(429, "rate_limited", str(crowded), code=code, retry_after=1)
    return Failure(503, "overloaded", str(crowded), code="overloaded", retry_after=1)


def _failure(refused: AccessDenied) -> Failure:
    kinds: dict[int, Kind] = {401: "unauthorized", 403: "forbidden"}
    codes = {401: "invalid_api_key", 403: "permission_denied"}
    status = refused.status
    return Failure(status, kinds.get(status, "overloaded"), str(refused), code=codes.get(status))


async def _refuse(
    path: str, failure: Failure, receive: Receive, send: Send, windows: Sequence[RateWindow] = ()
) -> None:
    # Most clients read an answer only once they have sent everything.
    while (message := await receive()).get("more_body", False):
        if message["type"] == "http.disconnect":
            break
    headers = [header for window in windows for header in window.headers]
    if failure.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    for name, value in retry_headers(failure.retry_after, failure.code).items():
        headers.append((name.lower().encode(), value.encode()))
    await send_failure(send, path, failure, headers)
