"""Answers to deferred requests as they are stored until their clients come for them."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from analytics.deferred.outcomes import DeferredOutcome
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.result import CompletionResult
from optimizer.gateway.recording.stored_values import read, written
from providers.completion import Completion
from providers.storable import storable_json
from providers.values import changed
from routing.models import RoutingDecision

BATCH_TIER = "batch"
"""The service tier of usage that was served by a batch."""


def answered_outcome(
    deferred: UUID, result: CompletionResult, list_cost: Decimal | None
) -> DeferredOutcome:
    """Return the outcome of a deferred request that has the answer ``result``."""
    completion = result.completion
    relayed = completion.relayed
    if relayed is not None and relayed.raw:
        completion = changed(completion, relayed=replace(relayed, raw=b""))
    kept = replace(result, completion=completion)
    return DeferredOutcome(
        deferred,
        provider=completion.provider,
        model=completion.model,
        answer=json.dumps(storable_json(written(kept), levels=200), default=str),
        cost=result.cost,
        savings=result.savings,
        list_cost=list_cost,
    )


def stored_result(answer: str) -> CompletionResult:
    """Return the result that is stored as ``answer``."""
    result: CompletionResult = read(json.loads(answer))
    return result


def result_of_row(
    analyzed: AnalyzedRequest,
    decision: RoutingDecision,
    completion: Completion,
    cost: Decimal | None,
    savings: Decimal | None,
) -> CompletionResult:
    """Return the result of an answer whose cost is recorded already; amounts are USD."""
    return CompletionResult(
        request_id=analyzed.request.request_id,
        completion=completion,
        decision=decision,
        complexity=analyzed.analysis.complexity,
        token_count=analyzed.analysis.token_count,
        cost=cost,
        total_cost_today=None,
        cache_hit=False,
        cache_key=None,
        original_cost=cost,
        savings=savings,
    )
