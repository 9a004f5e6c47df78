"""Compaction of a conversation by OpenAI: a call of a model, passed on, priced and recorded.

Format: https://platform.openai.com/docs/api-reference/responses/compact
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optimizer.budgets.reservations import Budgets
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request import GatewayRequest
from optimizer.domain.result import CompletionResult, NotAllowed
from optimizer.gateway.embeddings import afforded, named_decision
from optimizer.gateway.recording.accounting import Accounting, milliseconds_since
from optimizer.gateway.recording.ledger_entries import Timing
from providers.completion import Choice, Completion, complete_usage
from providers.errors import ProviderError, error_for_status
from providers.http.side_calls import SideCall
from providers.http.transport import client_headers
from providers.openai.client import OpenAIOwnProvider
from providers.resilience import Attempt, ResilientCaller
from providers.usage import read_usage
from routing.models import ModelRef
from routing.rules import names


class OtherWire(Exception):
    """The model is not one of OpenAI's own, which alone can do what was asked."""


@dataclass(frozen=True, slots=True)
class PassedAnswer:
    """OpenAI's answer as it came; ``result`` is set if it is a success, which is recorded."""

    status: int
    raw: bytes
    headers: Mapping[str, str]
    provider: str
    result: CompletionResult | None = None


class OwnCalls:
    """Calls of OpenAI's own API that are no chats but name a model."""

    def __init__(self, caller: ResilientCaller, accounting: Accounting, budgets: Budgets) -> None:
        self._caller = caller
        self._accounting = accounting
        self._budgets = budgets

    def own_model(self, request: GatewayRequest) -> ModelRef:
        """Return the model of OpenAI's own API that the request names.

        Raises :class:`OtherWire`, and :class:`optimizer.domain.result.NotAllowed`.
        """
        own = [
            ref
            for ref in sorted(request.only or ())
            if isinstance(self._caller.providers[ref.provider], OpenAIOwnProvider)
        ]
        if not own:
            raise OtherWire(request.requested_model)
        allowed = request.client.models
        for ref in own:
            if not allowed or names(allowed, *ref):
                return ref
        raise NotAllowed(f"This API key does not allow the model '{request.requested_model}'.")

    async def pass_on(self, path: str, body: Mapping[str, Any], model: ModelRef) -> PassedAnswer:
        """Send ``body`` with the name of the model. Raises :class:`ProviderError`."""
        provider = self._caller.providers[model.provider]
        assert isinstance(provider, OpenAIOwnProvider)
        sent = {k: v for k, v in body.items() if k != "optimizer"} | {"model": model.model}
        headers = {"content-type": "application/json"}
        answer = await provider.pass_on(
            SideCall("POST", path, headers=headers, content=json.dumps(sent).encode())
        )
        raw = await answer.read()
        if answer.status in {401, 403} or (answer.status >= 400 and provider.holds_key(raw)):
            raise error_for_status(provider.name, answer.status)
        return PassedAnswer(answer.status, raw, client_headers(answer.headers), provider.name)

    async def compact(self, request: GatewayRequest, body: Mapping[str, Any]) -> PassedAnswer:
        """Compact the conversation in ``body``, and record the call.

        Raises what :meth:`own_model` does, :class:`providers.errors.ProviderError`,
        :class:`optimizer.domain.result.BudgetExceeded`,
        :class:`analytics.ledger.ledger.BudgetsUnavailable` and
        :class:`analytics.ledger.ledger.LedgerUnavailable`.
        """
        started = time.perf_counter()
        model = self.own_model(request)
        analyzed = AnalyzedRequest(request, request.analyze())
        decision = named_decision([model], analyzed.analysis)
        if (reservation := self._budgets.reservation(request)) is not None:
            await afforded(reservation, [model])
        try:
            answer = await self.pass_on("/responses/compact", body, model)
        except ProviderError as error:
            await self._failed(analyzed, error, model, started)
            raise
        if answer.status >= 400:
            refused = error_for_status(model.provider, answer.status)
            await self._failed(analyzed, refused, model, started)
            return answer
        choice = Choice((), "stop")
        usage = complete_usage(_usage_in(answer.raw), request.chat, (choice,))
        completion = Completion(model.provider, model.model, (choice,), usage)
        elapsed = milliseconds_since(started)
        recorded = await asyncio.shield(
            self._accounting.record_answer(
                analyzed, decision, completion, [], Timing(elapsed, elapsed)
            )
        )
        return PassedAnswer(
            answer.status, answer.raw, answer.headers, answer.provider, recorded.result
        )

    async def _failed(
        self, analyzed: AnalyzedRequest, error: ProviderError, model: ModelRef, started: float
    ) -> None:
        decision = named_decision([model], analyzed.analysis)
        attempts = [Attempt(model.provider, model.model, error.code, error.message, error.status)]
        await self._accounting.record_failure(analyzed, decision, attempts, started)


def _usage_in(raw: bytes) -> Any:
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return read_usage(body) if isinstance(body, dict) else None
