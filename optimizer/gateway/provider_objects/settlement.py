"""Records what batches and background responses cost, once they have ended."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from analytics.database.aside import DatabaseThread
from analytics.ledger.ledger import LedgerEntry, Observer
from analytics.ledger.settlement import BackgroundOutcome, object_close, request_settle
from analytics.models import ProviderObject, RequestRecord, RoutingMetric
from analytics.provider_objects import objects_to_check
from optimizer.domain.identifiers import new_request_id
from optimizer.gateway.provider_objects.batch_results import BatchTally, ModelSum
from optimizer.gateway.recording.accounting import notify
from optimizer.gateway.recording.json_columns import billed_units
from providers.anthropic.client import AnthropicProvider
from providers.completion import Usage
from providers.errors import ProviderError
from providers.http.side_calls import SideCall
from providers.http.wire import WireClient
from providers.known_models import KnownModels
from providers.openai.responses_answer import finish_reason, item_parts
from providers.pricing import CallPrice, PriceBook
from providers.usage import read_usage
from routing.analysis import analyze_prompt

logger = logging.getLogger(__name__)

CHECKED_EVERY = timedelta(minutes=5)
_CHECKED_TOGETHER = 20
# https://platform.openai.com/docs/api-reference/batch/object#batch/object-status
_BATCH_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
# https://platform.openai.com/docs/api-reference/responses/object#responses/object-status
_RESPONSE_ENDED = frozenset({"completed", "failed", "incomplete", "cancelled"})
_GONE = "gone"
_ENDED_AT = ("completed_at", "ended_at", "expired_at", "cancelled_at", "failed_at")


def state_of(body: Mapping[str, Any]) -> str:
    """Return the state of a batch or response as its provider names it."""
    state = body.get("processing_status") or body.get("status")
    return state if isinstance(state, str) else ""


def has_ended(kind: str, body: Mapping[str, Any]) -> bool:
    """Return whether a batch or response will not change any more."""
    if kind == ProviderObject.Kind.BATCH:
        return state_of(body) == "ended" or state_of(body) in _BATCH_ENDED
    return state_of(body) in _RESPONSE_ENDED


def ended_at(body: Mapping[str, Any]) -> datetime:
    """Return when a batch or response ended, now if its provider does not say: its prices hold.

    OpenAI says seconds, Anthropic a time.
    """
    now = datetime.now(UTC)
    for name in _ENDED_AT:
        value = body.get(name)
        try:
            if isinstance(value, str):
                at = datetime.fromisoformat(value)
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                at = datetime.fromtimestamp(value, UTC)
            else:
                continue
        except (ValueError, OverflowError, OSError):
            continue
        if at.tzinfo is not None and at <= now:
            return at
    return now


class Settlement:
    """Records the cost of what has ended; ``providers`` are those that can be asked.

    Several workers may settle the same object: one of them writes.
    """

    def __init__(
        self,
        database: DatabaseThread,
        providers: Mapping[str, object],
        prices: PriceBook,
        models: KnownModels,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._database = database
        self._providers = providers
        self._prices = prices
        self._models = models
        self._observers = observers
        self._running: dict[int, asyncio.Task[None]] = {}

    async def check_due(self) -> None:
        """Ask the providers for some of the objects that have not ended yet."""
        due = await self._database.run(partial(objects_to_check, _CHECKED_TOGETHER, CHECKED_EVERY))
        for kept in due:
            await self.settle(kept)

    async def settle(
        self, kept: ProviderObject, body: Mapping[str, Any] | None = None,
        seconds: float | None = None,
    ) -> None:  # fmt: skip
        """Record what ``kept`` cost if it has ended; ``body`` is its state if that is known.

        After ``seconds`` it goes on in the background. Errors are logged: it is tried again.
        """
        if kept.recorded:
            return
        task = self._running.get(kept.pk)
        if task is None:
            task = self._running[kept.pk] = asyncio.create_task(self._settle(kept, body))
            task.add_done_callback(lambda _: self._running.pop(kept.pk, None))
        await asyncio.wait({task}, timeout=seconds)

    async def drain(self) -> None:
        """Wait for what is being settled."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _settle(self, kept: ProviderObject, body: Mapping[str, Any] | None) -> None:
        provider = self._providers.get(kept.provider)
        if not isinstance(provider, WireClient):
            return
        try:
            if body is None:
                body = await _fetched(provider, kept)
            if body is None:
                await self._give_up(kept)
            elif has_ended(kept.kind, body):
                if kept.kind == ProviderObject.Kind.BATCH:
                    await self._batch(provider, kept, body)
                else:
                    await self._response(kept, body)
        except ProviderError as error:
            logger.warning("A %s cannot be recorded yet: %s", kept.kind, error)
        except Exception as error:
            logger.error("A %s could not be recorded", kept.kind, exc_info=error)

    async def _give_up(self, kept: ProviderObject) -> None:
        """Record that an object is gone before its cost was known."""
        if kept.kind == ProviderObject.Kind.BATCH:
            unknown = ModelSum(kept.model, usage_estimated=True, cost=None)
            await self._close(kept, _GONE, [unknown])
        else:
            await self._close(kept, _GONE, [])

    async def _batch(
        self, provider: WireClient, kept: ProviderObject, body: Mapping[str, Any]
    ) -> None:
        tally = BatchTally(partial(self._price, kept.provider, ended_at(body)))
        if isinstance(provider, AnthropicProvider):
            place: str | None = f"/v1/messages/batches/{kept.object_id}/results"
        else:
            file_id = body.get("output_file_id")
            place = f"/files/{file_id}/content" if file_id else None
        if place is not None and not await _read_results(provider, place, tally):
            # The results are gone; some batches say what they used in all.
            model = body.get("model")
            tally.add(model if isinstance(model, str) else kept.model, read_usage(body))
        await self._close(kept, state_of(body), tally.sums)

    async def _close(self, kept: ProviderObject, state: str, sums: Sequence[ModelSum]) -> None:
        entries = [LedgerEntry(self._row(kept, total)) for total in sums]
        if await self._database.run(partial(object_close, kept, state, entries)):
            for entry in entries:
                notify(self._observers, entry)

    def _price(self, provider: str, at: datetime, model: str, usage: Usage) -> CallPrice:
        return self._prices.price(provider, model, usage, at)

    def _row(self, kept: ProviderObject, total: ModelSum) -> RequestRecord:
        analysis = analyze_prompt("")
        spec = self._models.find(kept.provider, total.model) if total.model else None
        model = spec.snapshot_of or spec.id if spec else total.model or kept.model
        return RequestRecord(
            id=new_request_id(),
            created_at=datetime.now(UTC),
            endpoint=RequestRecord.Endpoint.BATCHES,
            requested_model=total.model[:200],
            tags=list(kept.tags),
            user_id=kept.user_id,
            session_id=kept.object_id[:128],
            pattern=analysis.pattern,
            complexity=analysis.complexity,
            tier=analysis.tier,
            strategy="named",
            confidence="high",
            provider=kept.provider,
            model=model[:128],
            tokens_in=total.tokens_in,
            tokens_out=total.tokens_out,
            cache_read_tokens=total.cache_read_tokens,
            cache_write_tokens=total.cache_write_tokens,
            reasoning_tokens=total.reasoning_tokens,
            usage_estimated=total.usage_estimated,
            finish_reason="stop",
            cost=total.cost,
            price_basis=total.price_basis,
            list_cost=total.list_cost,
            billed_units={"service_tier": "batch", "requests": total.requests},
            api_key=kept.api_key,
            tenant=kept.tenant,
            project=kept.project,
        )

    async def _response(self, kept: ProviderObject, body: Mapping[str, Any]) -> None:
        usage = read_usage(body)
        state = state_of(body)
        known = usage is not None and not usage.unreported
        outcome = _ending(body)
        if usage is not None and known:
            at = ended_at(body)
            price = self._prices.price(kept.provider, kept.model, usage, at)
            outcome = replace(
                outcome,
                tokens_in=usage.total_input_tokens,
                tokens_out=usage.total_output_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                usage_estimated=usage.estimated,
                cost=price.cost,
                price_basis=price.basis,
                list_cost=price.listed,
                billed_units=billed_units(usage),
            )
            decision = await self._database.run(
                lambda: RoutingMetric.objects.filter(pk=kept.request_id).first()
            )
            if decision is not None and decision.baseline_model:
                baseline = replace(usage, reported_cost=None)
                ref = (decision.baseline_provider, decision.baseline_model)
                outcome = replace(outcome, baseline_cost=self._prices.cost(*ref, baseline, at))
        entry = await self._database.run(partial(request_settle, kept, state, outcome))
        if entry is not None:
            logger.debug("A background response was recorded as %s", state)


def _ending(body: Mapping[str, Any]) -> BackgroundOutcome:
    state = state_of(body)
    if state == "failed":
        return BackgroundOutcome(
            RequestRecord.Status.ERROR, "response_failed", usage_estimated=True
        )
    if state == "cancelled":
        return BackgroundOutcome(RequestRecord.Status.PARTIAL, "cancelled", usage_estimated=True)
    output = body.get("output")
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    parts = [part for item in items for part in item_parts(item)]
    return BackgroundOutcome(finish_reason=finish_reason(body, parts), usage_estimated=True)


async def _fetched(provider: WireClient, kept: ProviderObject) -> Mapping[str, Any] | None:
    """Return the present state of an object, ``None`` if it is gone. Raises ProviderError."""
    if isinstance(provider, AnthropicProvider):
        path = f"/v1/messages/batches/{kept.object_id}"
    else:
        plural = "batches" if kept.kind == ProviderObject.Kind.BATCH else "responses"
        path = f"/{plural}/{kept.object_id}"
    answer = await provider.pass_on(SideCall("GET", path))
    raw = await answer.read()
    if answer.status in {404, 410}:
        return None
    if answer.status != 200:
        raise ProviderError(provider.name, f"answered with HTTP {answer.status}")
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ProviderError(provider.name, "returned JSON that is not an object")
    return body


async def _read_results(provider: WireClient, place: str, tally: BatchTally) -> bool:
    """Add the results at ``place`` to ``tally``; return whether there are any."""
    answer = await provider.pass_on(SideCall("GET", place))
    if answer.status in {404, 410}:
        await answer.aclose()
        return False
    if answer.status != 200:
        await answer.aclose()
        raise ProviderError(provider.name, f"answered with HTTP {answer.status}")
    await tally.read(answer.chunks())
    return True
