"""Compaction of a conversation by OpenAI: a call of a model, passed on, priced and recorded.

Format: https://platform.openai.com/docs/api-reference/responses/compact
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from optimizer.budgets.reservations import Budgets
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request import GatewayRequest
from optimizer.domain.request_bounds import residency_of_request
from optimizer.domain.result import PASSED_UNREAD, CompletionResult, NotAllowed
from optimizer.gateway.recording.accounting import Accounting
from optimizer.gateway.recording.timing import Timing, milliseconds_since
from optimizer.gateway.recording.unfinished import UnfinishedCall, UnfinishedCalls
from optimizer.gateway.specialised.named_models import afforded, named_decision
from optimizer.policies.rules import ActiveRules
from providers.completion import Choice, Completion
from providers.errors import ClientGone, ProviderError, error_for_status
from providers.http.side_calls import SideCall
from providers.http.transport import client_headers
from providers.known_models import KnownModels
from providers.large_json import write_large
from providers.openai.client import OpenAIOwnProvider
from providers.residency import NO_RESIDENCY
from providers.resilience import Attempt, ResilientCaller
from providers.usage import read_usage
from providers.usage_estimates import complete_usage, lost_usage
from routing.models import ModelRef, NoEligibleModel
from routing.rules import NO_EFFECT, Effect, names


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

    def __init__(
        self,
        caller: ResilientCaller,
        accounting: Accounting,
        budgets: Budgets,
        models: KnownModels,
        rules: ActiveRules | None = None,
    ) -> None:
        self._models = models
        self._rules = rules
        self._caller = caller
        self._accounting = accounting
        self._budgets = budgets
        self._unfinished = UnfinishedCalls(accounting, "Compaction")

    @property
    def guarded(self) -> bool:
        """Whether guard rails stand before calls of models: these would pass them by."""
        return self._caller.guard is not None

    async def demands(self, request: GatewayRequest) -> Effect:
        """Return what rules demand of the request, with its own regions."""
        regions = residency_of_request(request)
        effect = NO_EFFECT
        if self._rules is not None and self._rules.bind_all:
            if request.chat.large:
                effect = await asyncio.to_thread(self._rules.demands, request)
            else:
                effect = self._rules.demands(request)
        return replace(effect, residency=effect.residency | regions)

    async def drain(self) -> None:
        """Wait until all requests that ended without an answer are recorded."""
        await self._unfinished.drain()

    def own_model(self, request: GatewayRequest, effect: Effect) -> ModelRef:
        """Return the model of OpenAI's own API that the request names, and rules leave.

        Raises :class:`OtherWire`, :class:`optimizer.domain.result.NotAllowed` and
        :class:`routing.models.NoEligibleModel`.
        """
        own = [
            ref
            for ref in sorted(request.only or ())
            if isinstance(self._caller.providers[ref.provider], OpenAIOwnProvider)
        ]
        if not own:
            raise OtherWire(request.requested_model)
        allowed = request.client.models
        dated = {ref: self._models.snapshot_of(*ref) for ref in own}
        own = [ref for ref in own if not allowed or names(allowed, *ref, dated[ref])]
        if not own:
            raise NotAllowed(f"This API key does not allow the model '{request.requested_model}'.")
        excluded = {str(ref): effect.exclusion_reason(*ref, dated[ref]) for ref in own}
        for ref in own:
            if not excluded[str(ref)]:
                return ref
        raise NoEligibleModel({ref: reason for ref, reason in excluded.items() if reason})

    async def pass_on(
        self,
        path: str,
        body: Mapping[str, Any],
        model: ModelRef,
        *,
        large: bool = False,
        residency: frozenset[str] = NO_RESIDENCY,
    ) -> PassedAnswer:
        """Send ``body`` with the name of the model. Raises :class:`ProviderError`.

        A ``large`` body is written on a thread. ``residency`` are regions that it must not leave.
        """
        self._caller.may_call()
        if self.guarded:
            raise NotAllowed(PASSED_UNREAD)
        if residency:
            self._caller.must_stay_within(model.provider, residency)
        provider = self._caller.providers[model.provider]
        assert isinstance(provider, OpenAIOwnProvider)
        sent = {k: v for k, v in body.items() if k != "optimizer"} | {"model": model.model}
        headers = {"content-type": "application/json"}
        if large:
            content = await asyncio.to_thread(write_large, sent)
        else:
            content = json.dumps(sent).encode()
        answer = await provider.pass_on(SideCall("POST", path, headers=headers, content=content))
        raw = await answer.read()
        if answer.status in {401, 403} or (answer.status >= 400 and provider.holds_key(raw)):
            raise error_for_status(provider.name, answer.status)
        return PassedAnswer(answer.status, raw, client_headers(answer.headers.raw), provider.name)

    async def compact(self, request: GatewayRequest, body: Mapping[str, Any]) -> PassedAnswer:
        """Compact the conversation in ``body``, and record the call.

        Raises what :meth:`own_model` does, :class:`providers.errors.ProviderError`,
        :class:`optimizer.domain.result.BudgetExceeded`,
        :class:`analytics.ledger.ledger.BudgetsUnavailable` and
        :class:`analytics.ledger.ledger.LedgerUnavailable`.
        """
        started = time.perf_counter()
        effect = await self.demands(request)
        model = self.own_model(request, effect)
        analyzed = AnalyzedRequest(request, request.analyze(), effect)
        decision = named_decision([model], analyzed.analysis, effect)
        reservation = self._budgets.reservation(request)
        attempts: list[Attempt] = []
        try:
            if reservation is not None:
                await afforded(reservation, [model])
                await reservation.authorize(*model, ())
            answer = await self._passed(body, model, analyzed, attempts)
            if answer.status >= 400:
                await self._accounting.record_failure(analyzed, decision, attempts, started)
                return answer
        except BaseException as error:  # noqa: BLE001 - whatever it is, the call is settled
            call = UnfinishedCall(analyzed, started, attempts, decision, reservation)
            raise await self._unfinished.end(call, error) from None
        choice = Choice((), "stop")
        usage = complete_usage(_usage_in(answer.raw), request.chat, (choice,))
        completion = Completion(model.provider, model.model, (choice,), usage)
        elapsed = milliseconds_since(started)
        recording = self._accounting.record_answer(
            analyzed,
            decision,
            completion,
            attempts,
            Timing(elapsed, elapsed),
            reservation=reservation,
        )
        call = UnfinishedCall(analyzed, started, attempts, decision, reservation, completion)
        recorded = await self._unfinished.record(call, recording)
        return replace(answer, result=recorded.result)

    async def _passed(
        self,
        body: Mapping[str, Any],
        model: ModelRef,
        analyzed: AnalyzedRequest,
        attempts: list[Attempt],
    ) -> PassedAnswer:
        """Return OpenAI's answer; a call that fails is added to ``attempts``."""
        request = analyzed.request
        error: ProviderError | None = None
        try:
            answer = await self.pass_on(
                "/responses/compact", body, model,
                large=request.chat.large, residency=analyzed.effect.residency,
            )  # fmt: skip
            if answer.status >= 400:
                error = error_for_status(model.provider, answer.status)
            return answer
        except ProviderError as failure:
            error = failure
            raise
        except asyncio.CancelledError:
            error = ClientGone(model.provider, "had not answered when the client disconnected")
            error.maybe_charged = True
            raise
        finally:
            if error is not None:
                usage = lost_usage(request.chat) if error.maybe_charged else error.usage
                attempts.append(Attempt(*model, error.code, error.message, error.status, usage))


def _usage_in(raw: bytes) -> Any:
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return read_usage(body) if isinstance(body, dict) else None
