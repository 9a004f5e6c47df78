"""The explanation of one request: analysis, decision, provider calls, cost and ratings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from analytics.billed_units import SPECIALISED, units_in_words
from analytics.ledger.savings import Savings
from analytics.models import CachedResponse, RequestRecord, RoutingMetric
from analytics.money import dollars, percent
from analytics.quality.feedback import is_answer_of
from analytics.reports.cascade_story import CascadeStory, cascade_story
from analytics.reports.compared import ComparedWith
from routing.complexity import MODERATE_BELOW, SIMPLE_BELOW, score_complexity

_SIGNAL_NAMES = {"demanding_work": "demanding work"}
_TOLERANCE = 5e-5
"""Scores are stored with four decimals."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a signal adds to the complexity, 0-1."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class CallLine:
    """A call to a provider, how it ended, and what it cost in USD; ``status`` is HTTP's."""

    model: str
    outcome: str
    cost: Decimal | None
    status: int | None = None
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class RequestExplanation:
    """What happened to a request, section by section.

    ``headline`` sums it up in one or two sentences. ``parts`` is empty if the prompt is not
    stored or the score covers more than its last turn; ``answer`` is ``None`` if it is not
    stored, ``cascade`` if the request went through none.
    """

    headline: str
    request: RequestRecord
    parts: list[Part]
    looked_at: list[str]
    decided: list[str]
    paid: list[tuple[str, str]]
    verdicts: list[tuple[float, str, str]]
    answer: CachedResponse | None
    cascade: CascadeStory | None = None

    @property
    def calls(self) -> list[CallLine]:
        """All calls in their order: those that failed, then the one that answered."""
        if self.cascade is not None:
            return [CallLine(call.model, call.role, call.cost) for call in self.cascade.calls]
        return [*map(_failed_call, self.request.attempts), *_answering_call(self.request)]


def explain_request(
    decision: RoutingMetric, compared: ComparedWith | None = None
) -> RequestExplanation:
    """Explain a decision; read its request's stored answer and ratings from the database.

    ``compared`` names the baseline of its savings, by default the recorded one.
    """
    request = decision.request
    baseline = _baseline(decision, compared)
    verdicts = request.feedback.order_by("created_at").values_list("score", "source", "comment")
    return RequestExplanation(
        headline=_headline(decision, request, baseline),
        request=request,
        parts=_parts(request, decision),
        looked_at=list(_looked_at(decision, request)),
        decided=list(_decided(decision)),
        paid=list(_paid(decision, request, baseline)),
        verdicts=list(verdicts),
        answer=_answer(request),
        cascade=cascade_story(decision, request),
    )


def complexity_parts(prompt: str, recorded: float) -> list[Part]:
    """Return the signals that add up to the complexity, greatest first.

    The list is empty if the ``recorded`` score is not that of ``prompt`` alone.
    """
    if not prompt:
        return []
    complexity = score_complexity(prompt)
    if abs(complexity.score - recorded) > _TOLERANCE:
        return []
    parts = [
        Part(_SIGNAL_NAMES.get(name, name), value)
        for name, value in complexity.parts.items()
        if value
    ]
    return sorted(parts, key=lambda part: -part.value)


def _parts(request: RequestRecord, decision: RoutingMetric) -> list[Part]:
    if request.endpoint in SPECIALISED:
        return []
    return complexity_parts(request.prompt, decision.complexity)


def _headline(decision: RoutingMetric, request: RequestRecord, baseline: _Baseline) -> str:
    chosen = str(decision.ref)
    if request.status == RequestRecord.Status.ERROR:
        return f"{chosen} was chosen, but no model answered."
    served = str(request.ref)
    if request.cache_hit:
        return (
            f"Answered from the cache at no cost; {served} charged "
            f"{dollars(request.original_cost)} for the original answer."
        )
    summary = f"Answered by {served} for {dollars(request.cost)}"
    if served != chosen:
        summary += f", after {chosen} was chosen and failed"
    if request.status == RequestRecord.Status.PARTIAL:
        summary += ", but cut off"
    return f"{summary}. {_comparison(baseline)}"


@dataclass(frozen=True, slots=True)
class _Baseline:
    """What a request is compared with: its name, its cost in USD, and what was saved."""

    name: str
    cost: Decimal | None
    saved: Savings


def _baseline(decision: RoutingMetric, compared: ComparedWith | None) -> _Baseline:
    if compared is None or compared.baseline is None:
        model = f"{decision.baseline_provider}/{decision.baseline_model}"
        role = "Complexity's choice" if _is_complexity_choice(decision) else "The baseline"
        saved = Savings(decision.routing_saved, decision.cache_saved)
        return _Baseline(f"{role}, {model}", decision.baseline_cost, saved)
    rows = RequestRecord.objects.filter(pk=decision.request_id)
    figures = compared.figures(rows).get((None, decision.request_id))
    name = f"The picked baseline, {compared.label}"
    if figures is None:
        return _Baseline(name, None, Savings(None, None))
    saved = Savings(figures["routing_saved"], figures["cache_saved"])
    return _Baseline(name, figures["baseline_cost"], saved)


def _comparison(baseline: _Baseline) -> str:
    saved = baseline.saved.total
    if baseline.cost is None or saved is None:
        return "The cost of the baseline is unknown."
    if saved == 0:
        return f"{baseline.name}, would have cost the same."
    share = percent(abs(saved), baseline.cost, 0)
    more = "saved" if saved > 0 else "more"
    cost = f"{baseline.name}, would have cost {dollars(baseline.cost)}"
    return f"{cost}: {dollars(abs(saved))} ({share:.0f} %) {more}."


def _is_complexity_choice(decision: RoutingMetric) -> bool:
    """Return whether complexity would have chosen the baseline, and no client named it."""
    chain = decision.metadata.get("baseline_chain")
    return not chain or _ref(chain[0]) == f"{decision.baseline_provider}/{decision.baseline_model}"


_CHECKED = {
    "validated": "Complexity agrees with the learned choice within one tier",
    "experimental": "The learned choice stands, though little is known of such prompts",
    "overridden": "Complexity decided",
}


def _ref(model: dict[str, str]) -> str:
    return f"{model['provider']}/{model['model']}"


def _looked_at(decision: RoutingMetric, request: RequestRecord) -> Iterator[str]:
    if request.endpoint in SPECIALISED:
        yield f"A request at /v1/{request.endpoint}: it named its model, so nothing was weighed."
        if units := units_in_words(request.billed_units):
            yield f"It was billed by {', '.join(units)}."
        return
    yield (
        f"The prompt is of the kind “{decision.pattern}” and has about "
        f"{request.tokens_estimated:,} tokens."
    )
    yield (
        f"Its complexity is {decision.complexity:.2f}, which is {decision.tier}: scores below "
        f"{SIMPLE_BELOW} are simple, scores from {MODERATE_BELOW} on are complex."
    )


def _decided(decision: RoutingMetric) -> Iterator[str]:
    yield decision.reasoning
    yield f"Strategy {decision.strategy_used}, confidence {decision.confidence}."
    if validation := decision.metadata.get("validation"):
        rejected = decision.metadata.get("rejected_model")
        instead = f" in place of {_ref(rejected)}" if rejected else ""
        yield f"{_CHECKED.get(validation, validation)}{instead}."
    propensity = decision.metadata.get("propensity", 1)
    if decision.metadata.get("explored"):
        yield f"Chosen at random to explore, with a probability of {propensity:.1%}."
    elif propensity < 1:
        yield f"Chosen with a probability of {propensity:.1%}; the rest is for exploration."
    if reason := decision.metadata.get("fallback_reason"):
        yield f"Fell back to complexity: {reason}."
    for rule in decision.metadata.get("rules", ()):
        yield f"The rule “{rule}” applied."


def _paid(
    decision: RoutingMetric, request: RequestRecord, baseline: _Baseline
) -> Iterator[tuple[str, str]]:
    yield "Estimated before the call", dollars(decision.cost_estimate)
    yield "Charged", dollars(request.cost)
    if request.failed_cost:
        unserved = "Other" if "cascade" in decision.metadata else "Failed"
        yield f"{unserved} calls, included in the charge", dollars(request.failed_cost)
    yield "Baseline", dollars(baseline.cost)
    yield "Saved by routing", dollars(baseline.saved.routing)
    yield "Saved by the cache", dollars(baseline.saved.cache)
    if decision.prompt_cache_saved:
        yield (
            "Saved by the provider's prompt cache, included in the charge",
            dollars(Decimal(decision.prompt_cache_saved)),
        )


def _failed_call(attempt: dict[str, Any]) -> CallLine:
    return CallLine(
        _by_member(
            _ref({"provider": attempt.get("provider", ""), "model": attempt.get("model", "")}),
            attempt.get("member", ""),
        ),
        attempt.get("message") or f"failed: {attempt.get('error', 'unknown')}",
        Decimal(str(attempt.get("cost") or 0)),
        attempt.get("status"),
        bool(attempt.get("estimated")),
    )


def _answering_call(request: RequestRecord) -> Iterator[CallLine]:
    if request.cache_hit or not request.provider or request.status == RequestRecord.Status.ERROR:
        return
    cost = None if request.cost is None else request.cost - request.failed_cost
    cut_off = request.status == RequestRecord.Status.PARTIAL
    outcome = f"cut off: {request.error_code}" if cut_off else "answered"
    model = _by_member(str(request.ref), request.member)
    yield CallLine(model, outcome, cost, estimated=request.usage_estimated)


def _by_member(model: str, member: str) -> str:
    """Return a model, with the member of its provider's pool that was called."""
    return f"{model} ({member})" if member else model


def _answer(request: RequestRecord) -> CachedResponse | None:
    if not request.cache_key:
        return None
    entry = CachedResponse.objects.filter(cache_key=request.cache_key).first()
    return entry if entry is not None and is_answer_of(entry, request) else None
