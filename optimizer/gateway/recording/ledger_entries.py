"""Builds the ledger's rows for a request that was answered, served from the cache, or failed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from analytics.database.bulk_write import maker_of
from analytics.ledger.ledger import LedgerEntry
from analytics.ledger.savings import Savings
from analytics.models import CachedResponse, RequestRecord, RoutingMetric
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.recording.cached_answers import answer_json
from optimizer.gateway.recording.json_columns import billed_fields, billed_units, tools_called
from optimizer.gateway.recording.priced_answer import BaselineCost, Charges, PricedAnswer
from optimizer.gateway.recording.timing import Timing
from providers.storable import storable_text
from providers.values import frozen
from routing.models import RoutingDecision

_request = maker_of(RequestRecord)
_decision = maker_of(RoutingMetric)
_answer = maker_of(CachedResponse)
_LONGEST_ID = 128


@frozen
class StoragePolicy:
    """What is stored of prompts and answers.

    ``prompts`` is "full", "hash" or "none". ``cache_seconds`` is how long answers are kept, 0
    for no limit.
    """

    prompts: str = "full"
    cache_seconds: int = 0

    def prompt_fields(self, request: GatewayRequest) -> dict[str, str]:
        """Return the columns of a prompt: its text and its SHA-256, as far as they are stored."""
        prompt, digest = request.prompt, ""
        if self.prompts != "none":
            digest = request.prompt_hash or hashlib.sha256(prompt.encode()).hexdigest()
        return {"prompt": prompt if self.prompts == "full" else "", "prompt_hash": digest}

    def expiry(self, now: datetime, wanted: int | None = None) -> datetime | None:
        """Return when an answer of ``now`` expires, ``None`` for never.

        ``wanted`` is the client's own limit in seconds; the shorter of both limits counts.
        """
        seconds = self.cache_seconds or wanted
        if seconds is None:
            return None
        return now + timedelta(seconds=seconds if wanted is None else min(seconds, wanted))


class LedgerEntryBuilder:
    """Builds ledger entries under one storage policy; ``replayed`` marks them as replayed."""

    def __init__(self, policy: StoragePolicy, *, replayed: bool = False) -> None:
        self._policy = policy
        self._replayed = replayed

    def for_answer(
        self,
        analyzed: AnalyzedRequest,
        decision: RoutingDecision,
        answer: PricedAnswer,
        timing: Timing,
    ) -> tuple[LedgerEntry, CachedResponse]:
        """Return the entry of a provider's answer, and the cache entry of that answer."""
        completion, charges, baseline = answer.completion, answer.charges, answer.baseline
        savings, usage = answer.savings, completion.usage
        prompt_fields = self._policy.prompt_fields(analyzed.request)
        finish_reason = completion.choices[0].finish_reason
        response_id = completion.response_id or ""
        if not response_id.isprintable():
            response_id = storable_text(response_id)
        request = _request(
            {
                **self._request_fields(analyzed, decision, prompt_fields),
                "provider": completion.provider,
                "model": completion.model,
                "member": completion.member,
                "tokens_in": usage.total_input_tokens,
                "tokens_out": usage.total_output_tokens,
                "cache_read_tokens": usage.cache_read_tokens,
                "cache_write_tokens": usage.cache_write_tokens,
                "reasoning_tokens": usage.reasoning_tokens,
                "usage_estimated": usage.estimated,
                "finish_reason": finish_reason,
                "tools_called": None if finish_reason == "stop" else tools_called(completion),
                "response_id": response_id[:_LONGEST_ID],
                "cost": charges.cost,
                "price_basis": answer.price.basis,
                "list_cost": answer.price.listed,
                "billed_units": billed_units(usage)
                if usage.beside or usage.units or any(billed_fields(usage))
                else None,
                "failed_cost": charges.failed,
                "savings": savings.total,
                "latency_ms": timing.total,
                "provider_ms": timing.provider,
                "ttft_ms": timing.first_token,
                "attempts": charges.attempts,
                "guardrails": charges.rails,
            }
        )
        if answer.cut_off:
            request.status, request.error_code = RequestRecord.Status.PARTIAL, answer.cut_off
        cached = _answer(
            {
                "cache_key": analyzed.request.cache_key,
                "semantic_key": analyzed.request.semantic_key,
                "tenant": analyzed.request.client.tenant,
                **prompt_fields,
                "max_tokens": analyzed.request.chat.max_tokens,
                "response": completion.text,
                "answer": answer_json(completion),
                "finish_reason": finish_reason,
                "provider": completion.provider,
                "model": completion.model,
                "pattern": analyzed.analysis.pattern,
                "complexity": analyzed.analysis.complexity,
                "tier": analyzed.analysis.tier,
                "tokens_in": usage.input_tokens,
                "tokens_out": usage.output_tokens,
                "original_cost": answer.price.cost,
                "baseline_cost": baseline.cost if baseline else None,
                "created_at": analyzed.request.asked_at,
                "expires_at": self._policy.expiry(
                    analyzed.request.asked_at, analyzed.request.cache.ttl
                ),
            }
        )
        metric = self._metric(analyzed, decision, charges.cost, baseline, savings)
        metric.prompt_cache_saved = answer.prompt_cache_saved
        metric.cache_marked = bool(analyzed.request.chat.cache_session) and (
            completion.relayed is None or analyzed.request.chat.chosen
        )
        return LedgerEntry(request, metric, cached if answer.cacheable else None), cached

    def for_hit(
        self,
        analyzed: AnalyzedRequest,
        decision: RoutingDecision,
        entry: CachedResponse,
        savings: Savings,
        *,
        latency_ms: float,
    ) -> LedgerEntry:
        """Return the entry of an answer given from the cache, at no cost."""
        request = _request(
            {
                # A hit of the semantic cache has the key of another question.
                **self._request_fields(analyzed, decision),
                "cache_key": entry.cache_key,
                "provider": entry.provider,
                "model": entry.model,
                "tokens_in": entry.tokens_in,
                "tokens_out": entry.tokens_out,
                "finish_reason": entry.finish_reason,
                "cost": Decimal(0),
                "cache_hit": True,
                "original_cost": entry.original_cost,
                "savings": savings.total,
                "latency_ms": latency_ms,
            }
        )
        baseline = BaselineCost("", "", entry.baseline_cost)
        return LedgerEntry(request, self._metric(analyzed, decision, Decimal(0), baseline, savings))

    def for_failure(
        self,
        analyzed: AnalyzedRequest,
        *,
        decision: RoutingDecision | None,
        error_code: str,
        error_detail: str,
        charges: Charges,
        latency_ms: float,
    ) -> LedgerEntry:
        """Return the entry of a request that no provider answered."""
        request = _request(
            {
                **self._request_fields(analyzed, decision),
                "status": RequestRecord.Status.ERROR,
                "provider": decision.provider if decision else "",
                "model": decision.model if decision else "",
                "cost": charges.cost,
                "price_basis": _basis_of_failure(charges),
                "failed_cost": charges.failed,
                "latency_ms": latency_ms,
                "attempts": charges.attempts,
                "guardrails": charges.rails,
                "usage_estimated": any(tried.get("estimated") for tried in charges.attempts),
                "error_code": error_code,
                "error_detail": error_detail,
            }
        )
        metric = None
        if decision is not None:
            metric = self._metric(analyzed, decision, charges.cost, None, Savings(None, None))
        return LedgerEntry(request, metric)

    def _request_fields(
        self,
        analyzed: AnalyzedRequest,
        decision: RoutingDecision | None,
        prompt_fields: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        request = analyzed.request
        reasoning = request.chat.reasoning
        if prompt_fields is None:
            prompt_fields = self._policy.prompt_fields(request)
        return {
            "id": request.request_id,
            "created_at": request.asked_at,
            **prompt_fields,
            "max_tokens": request.chat.max_tokens,
            "auto_route": request.strategy == "hybrid",
            "endpoint": request.endpoint,
            "requested_model": request.requested_model,
            "streamed": request.streamed,
            "tags": list(request.tags),
            "user_id": request.user_id,
            "session_id": request.session.id,
            "agent": request.session.agent,
            "sub_agent": request.session.sub_agent,
            "parent_agent": request.session.parent_agent,
            "turn": request.turn,
            "effort": "" if reasoning is None else reasoning.level[:10],
            "pattern": analyzed.analysis.pattern,
            "complexity": analyzed.analysis.complexity,
            "tier": analyzed.analysis.tier,
            "tokens_estimated": analyzed.analysis.token_count,
            "strategy": decision.strategy_used if decision else analyzed.request.strategy,
            "confidence": decision.confidence if decision else "low",
            "cache_key": analyzed.request.cache_key,
            "replayed": self._replayed,
            "api_key": request.client.key,
            "tenant": request.client.tenant,
            "project": request.client.project,
            "experiment": analyzed.assignment.experiment if analyzed.assignment else "",
            "arm": analyzed.assignment.arm if analyzed.assignment else "",
            "levers": {trial.lever: trial.as_json() for trial in request.trials}
            if request.trials
            else None,
        }

    @staticmethod
    def _metric(
        analyzed: AnalyzedRequest,
        decision: RoutingDecision,
        actual_cost: Decimal | None,
        baseline: BaselineCost | None,
        savings: Savings,
    ) -> RoutingMetric:
        return _decision(
            {
                "request_id": analyzed.request.request_id,
                "created_at": analyzed.request.asked_at,
                "provider": decision.provider,
                "model": decision.model,
                "strategy_used": decision.strategy_used,
                "confidence": decision.confidence,
                "reasoning": decision.reasoning,
                "fallback_used": decision.fallback_used,
                "pattern": analyzed.analysis.pattern,
                "complexity": analyzed.analysis.complexity,
                "tier": analyzed.analysis.tier,
                "cost_estimate": decision.metadata.get("cost_estimate"),
                "quality_score": decision.metadata.get("quality_score"),
                "actual_cost": actual_cost,
                "baseline_provider": baseline.provider if baseline else "",
                "baseline_model": baseline.model if baseline else "",
                "baseline_cost": baseline.cost if baseline else None,
                "baseline_output_cost": baseline.output_cost if baseline else None,
                "routing_saved": savings.routing,
                "cache_saved": savings.cache,
                "explored": decision.metadata.get("explored", False),
                "metadata": decision.metadata,
            }
        )


def _basis_of_failure(charges: Charges) -> str:
    """Return the basis of what failed calls cost, "" if none of them was charged."""
    if charges.cost is None:
        return RequestRecord.PriceBasis.UNKNOWN
    charged = [attempt for attempt in charges.attempts if attempt["cost"]]
    if any(attempt.get("estimated") for attempt in charged):
        return RequestRecord.PriceBasis.ESTIMATED
    return RequestRecord.PriceBasis.TABLE if charged else ""
