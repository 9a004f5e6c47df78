"""Knows who sends a request, and enforces scopes, rate limits and concurrency limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from analytics.access.keys import digest_of
from analytics.ledger.write_health import RecordsUnavailable
from optimizer.access.api_keys import AccessDenied
from optimizer.access.client_address import address_of_scope
from optimizer.access.concurrency.limiter import ConcurrencyTimeout
from optimizer.access.rate_limits import RateLimitExceeded, RateWindow
from optimizer.api.canonical_paths import canonical_path
from optimizer.api.gemini.paths import GEMINI_PREFIXES, MODEL_LIST, is_gemini
from optimizer.api.http.errors import failure_of
from optimizer.api.http.failure import Failure, Kind, retry_headers
from optimizer.api.manage.scopes import MANAGE_PREFIX, manage_scope
from optimizer.domain.client import ANONYMOUS
from optimizer.server.body_limit import ReadBody, read_body
from optimizer.server.compressed_body import BodyRefused, decompressed
from optimizer.server.errors import App, Receive, Scope, Send, send_failure
from optimizer.wiring.build import PROCESS, get_services

# Paths without a key: the admin and the pages of /me have their own sign-in, and the others show
# only public data.
_OPEN_PATHS = re.compile(
    r"^/(?:\Z|(?:admin|static|docs|schema|health|ready|favicon\.ico)(?:/|$)|me/(?!usage/?$))"
)
_LONGEST_KEPT = 256
"""Characters of a path that is remembered: anybody may send others, of up to 64 kB."""
_OWN_PREFIX = re.compile(r"^/api/v1(?=/)")
_SCOPES = {
    "/feedback": "feedback",
    # Without a scope: the figures of the client's own tenant. With "read": of all tenants.
    "/routing/metrics": "",
    "/stats": "",
    "/cache/stats": "",
    "/quality/stats": "",
    "/me": "",
    "/me/usage": "",
    "/v1/me": "",
    "/v1/me/usage": "",
    "/insights": "read",
    "/metrics": "read",
}
_SESSIONS = ("/sessions/", "/v1/sessions/")
"""Paths of one session: without a scope, of the client's own tenant."""
_MAX_KEY_LENGTH = 256


class Gatekeeper:
    """Lets API requests pass with their client and the services in the scope, or refuses them.

    The fast path serves only requests that have ``scope["optimizer.services"]``; the client is
    ``scope["optimizer.client"]``.

    Errors (401, 403, 429, 503) have the format of the API at the path. With ``behind_proxy``, the
    client's address is the last one in X-Forwarded-For. With ``query_keys``, clients of Gemini's
    API may give their key as ``?key=``. A compressed body may have ``most_bytes`` once it is
    decompressed.
    """

    def __init__(
        self,
        app: App,
        *,
        most_bytes: int,
        behind_proxy: bool = False,
        query_keys: bool = False,
    ) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._behind_proxy = behind_proxy
        self._query_keys = query_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its client and services set, or refuse it."""
        path = scope["path"] if scope["type"] == "http" else "/"
        place_of = _place_of if len(path) <= _LONGEST_KEPT else _place_of.__wrapped__
        path, is_open, managed, canonical = place_of(path)
        scope = scope if not canonical else _at(canonical, scope)
        if is_open:
            await self._app(scope, receive, send)
            return
        digest = self._digest_at(scope, path)
        if path == scope["path"] == "/me" and digest is None and _wants_page(scope):
            await _send_to(f"{scope.get('root_path', '')}/me/", send)
            return
        if managed:
            await self._manage(scope, path, digest, receive, send)
            return
        services = PROCESS.services or get_services()
        try:
            address = address_of_scope(scope, behind_proxy=self._behind_proxy)
            client = services.api_keys.authenticate(digest, address, _scope_of(path))
            # Only requests that may cost money count.
            counted = scope["method"] == "POST" and path not in _SCOPES
            rates = (client.requests_per_minute, client.tokens_per_minute)
            has_limits = counted and rates != (None, None)
            windows = await services.limits.admit(client) if has_limits else []
        except AccessDenied as error:
            scope["optimizer.client"] = error.client
            await _refuse(scope, _access_denied(error), receive, send)
            return
        except RateLimitExceeded as error:
            scope["optimizer.client"] = client
            await _refuse(scope, failure_of(error), receive, send, error.windows)
            return
        scope["optimizer.client"], scope["optimizer.services"] = client, services
        send_reply = _with_headers(send, windows) if windows else send
        if not counted:
            await self._app(scope, receive, send_reply)
            return
        # The body is read before a place is taken, so that slow senders keep none from others.
        body = await self._read(scope, receive, send_reply)
        if body is None:
            return
        receive = ReadBody(body, receive)
        try:
            async with services.concurrency.slot(client):
                if services.ledger.health.can_record:
                    await self._app(scope, receive, send_reply)
                    return
            await _refuse(scope, failure_of(RecordsUnavailable()), receive, send_reply)
        except ConcurrencyTimeout as error:
            await _refuse(scope, _concurrency_timeout(error), receive, send_reply)

    async def _manage(
        self, scope: Scope, path: str, digest: str | None, receive: Receive, send: Send
    ) -> None:
        """Pass a request on that manages the service, or refuse it.

        It needs a key even where requests need none. A key that lacks the scope counts, too, and
        wrong keys have a limit of their own.
        """
        services = PROCESS.services or get_services()
        limits = services.limits
        address = address_of_scope(scope, behind_proxy=self._behind_proxy)
        try:
            try:
                needed = manage_scope(path, scope["method"])
                client = services.api_keys.identify(digest, address, needed)
            except AccessDenied as error:
                scope["optimizer.client"] = error.client
                if error.status == 401:
                    await limits.count_wrong_key(address)
                elif error.client is not ANONYMOUS:
                    await limits.admit_management(error.client.key)
                await _refuse(scope, _access_denied(error), receive, send)
                return
            scope["optimizer.client"], scope["optimizer.services"] = client, services
            windows = await limits.admit_management(client.key)
        except RateLimitExceeded as error:
            await _refuse(scope, failure_of(error), receive, send, error.windows)
            return
        await self._app(scope, receive, _with_headers(send, windows) if windows else send)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> bytes | None:
        """Return the body without its encoding; ``None`` if it was refused."""
        body = await read_body(receive)
        if body is None:
            return None  # the client has left, or BodyLimit answers that it is too large or late
        encoding = b""
        for name, value in scope["headers"]:
            if name == b"content-encoding":
                encoding = value
                break
        if not encoding:
            return body
        try:
            return await decompressed(scope, body, encoding, self._most_bytes)
        except BodyRefused as error:
            await _refuse(scope, error.failure, ReadBody(b"", receive), send)
            return None

    def _digest_at(self, scope: Scope, path: str) -> str | None:
        """Return the digest of the key in a request to ``path``; ``None`` if there is no key.

        An empty header counts as absent: SDKs send one for the credential that is not set.
        """
        digest = None
        for name, value in scope["headers"]:
            if name == b"x-api-key":
                key = value.strip()
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                key = value[7:].strip()
            else:
                continue
            if key:
                digest = _digest(key)
                break
        if ":" in path or path.startswith((*GEMINI_PREFIXES, MODEL_LIST)):
            return self._gemini_key_digest(scope, digest)
        return digest

    def _gemini_key_digest(self, scope: Scope, digest: str | None) -> str | None:
        """Return the digest of a key where only clients of Gemini's API put it, else ``digest``.

        A key in the query string is taken out of it, so that no log and no view sees it.
        """
        if not (is_gemini(scope["path"]) or scope["path"].startswith(MODEL_LIST)):
            return digest
        for name, value in scope["headers"]:
            if name == b"x-goog-api-key" and digest is None and (key := value.strip()):
                digest = _digest(key)
        query = scope.get("query_string", b"").decode("latin-1")
        pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1") if query else []
        keys = [value.encode("latin-1") for name, value in pairs if name == "key"]
        if keys:
            rest = [pair for pair in pairs if pair[0] != "key"]
            scope["query_string"] = urlencode(rest, encoding="latin-1").encode()
            given = [key for value in keys if (key := value.strip())]
            if given and digest is None and self._query_keys:
                digest = _digest(given[-1])
        return digest


@lru_cache(maxsize=1024)
def _place_of(path: str) -> tuple[str, bool, bool, str]:
    """Return a path without its prefix, whether it needs no key, and whether it manages.

    The last value is the canonical path with its prefix, empty if ``path`` is that already.
    """
    canonical = canonical_path(path)
    other = "" if canonical == path else canonical
    path = _OWN_PREFIX.sub("", canonical)
    return path, _OPEN_PATHS.match(path) is not None, path.startswith(MANAGE_PREFIX), other


def _at(path: str, scope: Scope) -> Scope:
    """Return the scope of the same request at another path."""
    return {**scope, "path": path, "raw_path": quote(path).encode()}


def _scope_of(path: str) -> str:
    """Return the scope that a request needs, "" if any key will do."""
    return "" if path.startswith(_SESSIONS) else _SCOPES.get(path, "complete")


def _wants_page(scope: Scope) -> bool:
    """Return whether a browser asks for a page; programs ask for JSON, or for anything."""
    accepted = (value for name, value in scope["headers"] if name == b"accept")
    return scope["method"] in {"GET", "HEAD"} and any(b"text/html" in value for value in accepted)


async def _send_to(address: str, send: Send) -> None:
    headers = [(b"location", address.encode()), (b"content-length", b"0"), (b"vary", b"Accept")]
    await send({"type": "http.response.start", "status": 302, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _digest(key: bytes) -> str:
    return digest_of(key[:_MAX_KEY_LENGTH].decode("latin-1"))


def _with_headers(send: Send, windows: list[RateWindow]) -> Send:
    async def send_with_headers(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            more = [header for window in windows for header in window.headers]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return send_with_headers


def _concurrency_timeout(error: ConcurrencyTimeout) -> Failure:
    if error.own:
        code = "concurrency_limit_exceeded"
        return Failure(429, "rate_limited", str(error), code=code, retry_after=1)
    return Failure(503, "overloaded", str(error), code="overloaded", retry_after=1)


def _access_denied(error: AccessDenied) -> Failure:
    kinds: dict[int, Kind] = {401: "unauthorized", 403: "forbidden"}
    codes = {401: "invalid_api_key", 403: "permission_denied"}
    status = error.status
    return Failure(status, kinds.get(status, "overloaded"), str(error), code=codes.get(status))


async def _refuse(
    scope: Scope, failure: Failure, receive: Receive, send: Send, windows: Sequence[RateWindow] = ()
) -> None:
    # Most clients read the answer only after they have sent the whole body.
    if await read_body(receive) is None:
        return  # the client has left, or BodyLimit answers
    headers = [header for window in windows for header in window.headers]
    if failure.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    for name, value in retry_headers(failure.retry_after, failure.code).items():
        headers.append((name.lower().encode(), value.encode()))
    await send_failure(send, scope, failure, headers)
