"""The lane that requests for answers take: ASGI to the endpoint and back.

Django's request cycle costs a request a thread of its own, three signals and ten
middlewares, and DRF its parsers, negotiation and serializers, none of which these
endpoints need. What is out of the ordinary (another method, another content type,
a compressed body, plain HTTP where TLS is demanded) goes on to Django, which serves
the same endpoints or says what is wrong.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware

from optimizer.api.http.endpoint import ApiEndpoint, ApiRequest, JsonReply, Reply, StreamReply
from optimizer.api.http.json_in import read_json
from optimizer.api.http.json_out import as_json
from optimizer.api.http.sse import HEADERS as STREAM_HEADERS
from optimizer.domain.client import ANONYMOUS
from optimizer.domain.request_ids import new_request_id
from optimizer.monitoring.request_context import CURRENT_REQUEST, RequestContext
from optimizer.server.errors import App, Header, Receive, Scope, Send
from optimizer.wiring.services import Services

logger = logging.getLogger(__name__)

_A_WHILE = 0.05
"""Seconds."""


class FastPath:
    """Serves POSTs to the endpoints of a process, by path; ``app`` serves everything else."""

    def __init__(
        self, app: App, endpoints_of: Callable[[Services], Mapping[str, ApiEndpoint]]
    ) -> None:
        self._app = app
        self._endpoints_of = endpoints_of
        self._plain, self._secure = _security_headers(secure=False), _security_headers(secure=True)
        self._tls_only = settings.SECURE_SSL_REDIRECT
        name, self._proxy_value = settings.SECURE_PROXY_SSL_HEADER or ("", "")
        self._proxy_header = name.removeprefix("HTTP_").replace("_", "-").lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = None
        # The gatekeeper lets lifespans and open paths pass without services.
        if (services := scope.get("optimizer.services")) and scope["method"] == "POST":
            endpoint = self._endpoints_of(services).get(scope["path"])
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        secure = self._is_secure(scope, headers)
        if not _ordinary(headers) or (self._tls_only and not secure):
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            return  # the client has gone, or sent too much, which is said elsewhere
        head = self._secure if secure else self._plain
        request_id = new_request_id()
        trace_parent = headers.get(b"traceparent", b"").decode("latin-1")
        reply = _Reply(send, [*head, (b"x-request-id", str(request_id).encode())])
        token = CURRENT_REQUEST.set(RequestContext(request_id, trace_parent))
        try:
            with _DisconnectWatcher(receive):
                await self._serve(endpoint, scope, headers, body, request_id, reply)
        finally:
            CURRENT_REQUEST.reset(token)

    async def _serve(
        self, endpoint: ApiEndpoint, scope: Scope, headers: dict[bytes, bytes], body: bytes,
        request_id: uuid.UUID, reply: _Reply,
    ) -> None:  # fmt: skip
        answer: Reply
        try:
            api_request = ApiRequest(
                data=read_json(body),
                request_id=request_id,
                client=scope.get("optimizer.client", ANONYMOUS),
                header=lambda name: headers.get(name.encode(), b"").decode("latin-1"),
            )
            answer = await endpoint.answer(api_request)
        except Exception as error:  # noqa: BLE001 - the endpoint knows how to say it
            answer = endpoint.failed(request_id, error)
        if isinstance(answer, StreamReply):
            await reply.stream(answer)
            return
        if answer.status >= 500:
            logger.error("%d at %s", answer.status, scope["path"])
        await reply.whole(answer)

    def _is_secure(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """As Django finds it (HttpRequest.scheme)."""
        if self._proxy_header and (said := headers.get(self._proxy_header)):
            return said.split(b",", 1)[0].strip().decode("latin-1") == self._proxy_value
        return bool(scope["scheme"] == "https")


class _DisconnectWatcher:
    """While inside, whoever serves is cancelled if the client leaves; looked for only once it
    takes a while, as most answers are there before anybody could have left.
    """

    __slots__ = ("_left", "_receive", "_serving", "_timer", "_watch")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False
        self._serving = asyncio.current_task()
        self._watch: asyncio.Future[dict[str, Any]] | None = None
        self._timer = asyncio.get_running_loop().call_later(_A_WHILE, self._look)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        serving, self._serving = self._serving, None
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        # Anybody else's wish to cancel is passed on.
        return bool(
            self._left and serving and not serving.uncancel() and kind is asyncio.CancelledError
        )

    def _look(self) -> None:
        self._watch = asyncio.ensure_future(self._receive())
        self._watch.add_done_callback(self._gone)

    def _gone(self, watch: asyncio.Future[dict[str, Any]]) -> None:
        if self._serving is not None and not watch.cancelled():
            self._left = True
            self._serving.cancel()


class _Reply:
    """Sends an answer with the headers that every answer has."""

    def __init__(self, send: Send, head: Iterable[Header]) -> None:
        self._send = send
        self.head = list(head)

    async def whole(self, answer: JsonReply) -> None:
        body = as_json(answer.body)
        self.head += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        if answer.headers:
            self.head += _encoded(answer.headers)
        await self._begin(answer.status)
        await self._send({"type": "http.response.body", "body": body})

    async def stream(self, answer: StreamReply) -> None:
        self.head += [*_encoded(STREAM_HEADERS), *_encoded(answer.headers)]
        try:
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


async def _body(receive: Receive) -> bytes | None:
    """All of it; ``None`` if the client leaves before its end."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        return message.get("body", b"")
    parts = []
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
    return None


def _ordinary(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the body is JSON as it stands; an empty one has its own words in Django."""
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return (
        kind == b"application/json"
        and b"content-encoding" not in headers
        and headers.get(b"content-length") != b"0"
    )


def _encoded(headers: Mapping[str, str]) -> list[Header]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


def _security_headers(*, secure: bool) -> list[Header]:
    """What Django's own middleware would add, asked of it once."""
    request = HttpRequest()
    request._get_scheme = lambda: "https" if secure else "http"  # type: ignore[attr-defined]
    request.META["SERVER_NAME"] = "localhost"
    response = SecurityMiddleware(lambda _: HttpResponse()).process_response(
        request, HttpResponse()
    )
    del response["Content-Type"]
    return _encoded(dict(response.items()))
