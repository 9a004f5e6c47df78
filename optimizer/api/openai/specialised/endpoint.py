"""What the endpoints of specialised models share: from the request to the reply."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar, Self

from optimizer.api.compat.extensions import read_request_options, within_header
from optimizer.api.compat.response_headers import cost_headers, relayed_headers
from optimizer.api.http.body_reader import BodyReader
from optimizer.api.http.endpoint import ApiRequest, JsonReply, Reply, StreamReply
from optimizer.api.http.errors import failure_of
from optimizer.api.http.failure import retry_headers
from optimizer.api.http.routing_failures import relayed_failure
from optimizer.api.http.sse import sse
from optimizer.api.openai.chat import OpenAIEndpoint
from optimizer.api.openai.specialised.forms import Form, form_options
from optimizer.domain.options import RequestOptions
from optimizer.domain.request import GatewayRequest
from optimizer.domain.request_bounds import RESIDENCY_HEADER
from optimizer.domain.result import RoutingUnavailable
from optimizer.gateway.specialised.recorded_answers import RecordedStream
from optimizer.gateway.specialised.service import Performed, SpecialisedService
from optimizer.wiring.services import Services
from providers.errors import ProviderError
from providers.specialised.requests import SpecialisedRequest, Task, Upload

_JSON = "application/json"
# Other media types could run as a page of this service.
_HARMLESS = ("audio/", "image/", "video/", "text/plain", "text/vtt", "text/event-stream")
_OWN_FIELDS = frozenset({"model", "optimizer"})


class SpecialisedEndpoint(OpenAIEndpoint):
    """Answers one task; a subclass reads its fields."""

    task: ClassVar[Task]
    usual_model: ClassVar[str] = ""
    """The model of a request that names none, "" if it must name one."""

    def __init__(self, specialised: SpecialisedService) -> None:
        self._specialised = specialised

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        return cls(services.specialised)

    def check(self, fields: BodyReader, uploads: tuple[Upload, ...]) -> str:
        """Check the fields and files; return the text that the ledger keeps as the prompt.

        Raises :class:`optimizer.api.http.body_reader.InvalidField`.
        """
        raise NotImplementedError

    async def answer(self, api_request: ApiRequest) -> Reply:
        """Return the provider's answer, with the cost in the headers where it is known by then."""
        read = self._read
        model, request, options = (
            await asyncio.to_thread(read, api_request) if api_request.large else read(api_request)
        )
        performed = await self._specialised.perform(
            model, request, options, api_request.request_id, api_request.client
        )
        if isinstance(performed, RecordedStream):
            return _streamed(performed)
        return _whole(performed)

    def _read(self, api_request: ApiRequest) -> tuple[str, SpecialisedRequest, RequestOptions]:
        data = api_request.data
        uploads = data.uploads if isinstance(data, Form) else ()
        fields = BodyReader(form_options(data) if isinstance(data, Form) else data)
        model = fields.text("model", self.usual_model, required=not self.usual_model)
        options = read_request_options(fields, api_request.header("cache-control"))
        options = within_header(options, api_request.header(RESIDENCY_HEADER))
        text = self.check(fields, uploads)
        sent = {
            name: value
            for name, value in fields.mapping_itself.items()
            if name not in _OWN_FIELDS and value is not None
        }
        return model, SpecialisedRequest(self.task, sent, uploads, text), options

    def failed(
        self, request_id: uuid.UUID, error: Exception, request: GatewayRequest | None = None
    ) -> JsonReply:
        """Return the reply that reports ``error``: the provider's own, if it has OpenAI's form."""
        if isinstance(error, RoutingUnavailable):
            failure = relayed_failure(error, "openai", named=True)
            if failure is not None and failure.relayed is not None:
                headers = retry_headers(failure.retry_after, failure.code)
                headers |= relayed_headers(failure.headers, None)
                return JsonReply(failure.relayed, failure.status, headers, failure)
        return super().failed(request_id, error, request)


def _whole(performed: Performed) -> Reply:
    answer = performed.answer
    headers = {**relayed_headers(answer.headers, None), **cost_headers(performed.result)}
    if answer.media_type.partition(";")[0].strip().lower() == _JSON:
        return JsonReply(answer.raw, headers=headers)

    async def once() -> AsyncGenerator[bytes, None]:
        yield answer.raw

    headers["Content-Type"] = _harmless(answer.media_type)
    return StreamReply(once(), lambda: None, headers)


def _streamed(recorded: RecordedStream) -> StreamReply:
    stream = recorded.stream
    headers = {
        **relayed_headers(recorded.headers, None),
        "X-Optimizer-Provider": stream.provider,
        "X-Optimizer-Model": stream.model,
        "Content-Type": _harmless(stream.media_type),
    }
    source = _with_error(recorded) if stream.events else recorded.pieces()
    return StreamReply(source, recorded.leave, headers)


async def _with_error(recorded: RecordedStream) -> AsyncGenerator[bytes, None]:
    """Yield the events; one that reports the error is the last where the provider breaks off."""
    try:
        async with aclosing(recorded.pieces()) as pieces:
            async for piece in pieces:
                yield piece
    except ProviderError as error:
        if error.event is not None:  # in its own words
            yield sse(error.event, "error")
            return
        failure = failure_of(error)
        detail = {"message": failure.message, "code": failure.code, "type": "server_error"}
        yield sse({"type": "error", "error": {**detail, "param": None}}, "error")


def _harmless(media_type: str) -> str:
    return media_type if media_type.lower().startswith(_HARMLESS) else "application/octet-stream"
