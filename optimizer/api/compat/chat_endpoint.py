"""What the endpoints of other APIs have in common: a chat is read, asked, told."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optimizer.api.compat.replies import answer
from optimizer.api.compat.stream_encoder import Teller
from optimizer.api.http.endpoint import Answered, Asked, Reply
from optimizer.api.http.failures import Failure, failure_of, retry_headers
from optimizer.domain.request import Ask
from optimizer.domain.result import CompletionResult
from optimizer.gateway.chat_requests import ChatQuery
from optimizer.gateway.streaming.client_stream import AnswerStream
from optimizer.wiring.build import get_services


@dataclass(frozen=True, slots=True)
class Telling:
    """How an answer is told: ``whole``, or piece by piece by a ``teller``."""

    whole: Callable[[CompletionResult], dict[str, Any]]
    teller: Callable[[AnswerStream, Ask], Teller]


class WireEndpoint:
    """``error_body`` spells a failure; ``name`` is what the ledger calls the endpoint."""

    name = ""

    def error_body(self, failure: Failure, request_id: uuid.UUID) -> dict[str, Any]:
        raise NotImplementedError

    def headers(self, request_id: uuid.UUID) -> dict[str, str]:
        """What every reply carries."""
        return {}

    def failed(self, request_id: uuid.UUID, error: Exception, ask: Ask | None = None) -> Answered:
        """``ask`` is the request, where it was read."""
        failure = failure_of(error, ask)
        headers = retry_headers(failure.retry_after, failure.code) | self.headers(request_id)
        return Answered(self.error_body(failure, request_id), failure.status, headers)


class ChatEndpoint(WireEndpoint):
    """``read`` is one API's way to say a chat."""

    def read(self, asked: Asked) -> tuple[ChatQuery, Telling]:
        raise NotImplementedError

    async def answer(self, asked: Asked) -> Reply:
        ask: Ask | None = None
        try:
            services = get_services()
            query, telling = self.read(asked)
            ask = services.gateway.ask(
                query, endpoint=self.name, request_id=asked.request_id, client=asked.client
            )
            return await answer(
                services.routing, ask, telling.whole, telling.teller,
                self.headers(asked.request_id),
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - the request that was read helps to tell
            return self.failed(asked.request_id, error, ask)
