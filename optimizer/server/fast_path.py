"""The fast path for prompts: from ASGI to the endpoint and back, without Django.

For each request, Django uses a thread, three signals and ten middlewares; DRF uses parsers,
negotiation and serializers. These endpoints need none of them. Unusual requests (another
method, another content type, a compressed body, plain HTTP where TLS is required) go on to
Django, which serves the same endpoints or reports what is wrong.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware

from optimizer.api.gemini.paths import method_of
from optimizer.api.http.body_reader import read_json
from optimizer.api.http.endpoint import ApiEndpoint, ApiRequest, JsonReply, Reply, StreamReply
from optimizer.api.http.json_out import as_json
from optimizer.api.http.refusals import note_reply
from optimizer.api.http.sse import HEADERS as STREAM_HEADERS
from optimizer.domain.client import ANONYMOUS
from optimizer.domain.identifiers import new_request_id
from optimizer.monitoring.request_context import CURRENT_REQUEST, RequestContext
from optimizer.server.body_limit import read_body
from optimizer.server.departures import DisconnectWatcher
from optimizer.server.errors import App, Header, Receive, Scope, Send
from optimizer.server.release import release
from optimizer.wiring.services import Services
from providers.large_json import DENSE_BYTES, is_large

logger = logging.getLogger(__name__)


class FastPath:
    """Serves POST requests to the endpoints, by path; ``app`` serves all other requests."""

    def __init__(
        self, app: App, endpoints_of: Callable[[Services], Mapping[str, ApiEndpoint | None]]
    ) -> None:
        self._app = app
        self._endpoints_of = endpoints_of
        self._plain, self._secure = _security_headers(secure=False), _security_headers(secure=True)
        self._tls_only = settings.SECURE_SSL_REDIRECT
        name, self._proxy_value = settings.SECURE_PROXY_SSL_HEADER or ("", "")
        self._proxy_header = name.removeprefix("HTTP_").replace("_", "-").lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or pass it on to ``app``."""
        endpoint = None
        # The gatekeeper sets services only for authenticated paths.
        if (services := scope.get("optimizer.services")) and scope["method"] == "POST":
            endpoints = self._endpoints_of(services)
            endpoint = endpoints[scope["path"]] or endpoints[method_of(scope["path"])]
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        secure = self._is_secure(scope, headers)
        if not _is_plain_json(headers) or (self._tls_only and not secure):
            await self._app(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            return  # the client has left, or BodyLimit answers that the body is too large or late
        head = self._secure if secure else self._plain
        request_id = new_request_id()
        trace_parent = headers.get(b"traceparent", b"").decode("latin-1")
        reply = _Reply(send, [*head, (b"x-request-id", str(request_id).encode())])
        token = CURRENT_REQUEST.set(RequestContext(request_id, trace_parent))
        try:
            with DisconnectWatcher(scope, receive):
                await self._serve(endpoint, scope, headers, body, request_id, reply)
        finally:
            CURRENT_REQUEST.reset(token)

    async def _serve(
        self, endpoint: ApiEndpoint, scope: Scope, headers: dict[bytes, bytes], body: bytes,
        request_id: uuid.UUID, reply: _Reply,
    ) -> None:  # fmt: skip
        answer: Reply
        large = len(body) > DENSE_BYTES and is_large(body)
        data = api_request = None
        kept: list[Any] = []
        try:
            data = await asyncio.to_thread(read_json, body) if large else read_json(body)
            texts = {n.decode("latin-1"): v.decode("latin-1") for n, v in headers.items()}
            api_request = ApiRequest(
                data=data,
                request_id=request_id,
                client=scope.get("optimizer.client", ANONYMOUS),
                header=defaultdict(str, texts).__getitem__,
                large=large,
                path=scope["path"],
                query=scope.get("query_string", b"").decode("latin-1"),
                kept=kept,
            )
            answer = await endpoint.answer(api_request)
        except Exception as error:  # noqa: BLE001 - the endpoint reports it in its API's format
            answer = endpoint.failed(request_id, error)
        api_request = None
        try:
            if isinstance(answer, StreamReply):
                await reply.stream(answer)
                return
            if answer.status >= 400:
                if answer.status >= 500:
                    logger.error("%d at %s", answer.status, scope["path"])
                services = scope["optimizer.services"]
                client = scope.get("optimizer.client", ANONYMOUS)
                note_reply(services, scope["path"], answer, request_id, client, data)
            await reply.whole(answer, large=large or answer.large)
        finally:
            if large:
                kept.append(data)
                data = None
                asyncio.get_running_loop().run_in_executor(None, release, kept)

    def _is_secure(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Return whether the request came over TLS, by the rules of ``HttpRequest.scheme``."""
        if self._proxy_header and (scheme := headers.get(self._proxy_header)):
            return scheme.split(b",", 1)[0].strip().decode("latin-1") == self._proxy_value
        return bool(scope["scheme"] == "https")


class _Reply:
    """Sends an answer with the headers that every answer has."""

    def __init__(self, send: Send, head: Iterable[Header]) -> None:
        self._send = send
        self.head = list(head)

    async def whole(self, answer: JsonReply, *, large: bool) -> None:
        if isinstance(answer.body, bytes):
            body = answer.body
        elif large:  # the answers of some APIs repeat parts of the request
            body = await asyncio.to_thread(as_json, answer.body)
        else:
            body = as_json(answer.body)
        self.head += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        if answer.headers:
            self.head += _encode_headers(answer.headers)
        await self._begin(answer.status)
        await self._send({"type": "http.response.body", "body": body})

    async def stream(self, answer: StreamReply) -> None:
        try:
            self.head += _encode_headers({**STREAM_HEADERS, **answer.headers})
            async with aclosing(answer.source) as events:
                await self._begin(200)
                async for event in events:
                    part = {"type": "http.response.body", "body": event, "more_body": True}
                    await self._send(part)
        finally:
            answer.leave()
        await self._send({"type": "http.response.body", "body": b""})

    async def _begin(self, status: int) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": self.head})


def _is_plain_json(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether the body is uncompressed JSON; Django reports an empty body."""
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return (
        kind == b"application/json"
        and b"content-encoding" not in headers
        and headers.get(b"content-length") != b"0"
    )


def _encode_headers(headers: Mapping[str, str]) -> list[Header]:
    return [(_encode_name(name), value.encode("latin-1")) for name, value in headers.items()]


@lru_cache(maxsize=512)
def _encode_name(name: str) -> bytes:
    return name.lower().encode()


def _security_headers(*, secure: bool) -> list[Header]:
    """Return the headers that Django's security middleware adds; computed once."""
    request = HttpRequest()
    request._get_scheme = lambda: "https" if secure else "http"  # type: ignore[attr-defined]
    request.META["SERVER_NAME"] = "localhost"
    response = SecurityMiddleware(lambda _: HttpResponse()).process_response(
        request, HttpResponse()
    )
    del response["Content-Type"]
    return _encode_headers(dict(response.items()))
