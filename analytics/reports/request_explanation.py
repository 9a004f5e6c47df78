"""What happened to one request, told in order: asked, looked at, decided, called, paid, rated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from analytics.ledger.savings import Savings
from analytics.models import CachedResponse, RequestRecord, RoutingMetric
from analytics.money import dollars, percent
from analytics.quality.feedback import is_answer_of
from routing.complexity import MODERATE_BELOW, SIMPLE_BELOW, score_complexity

_NAMES = {"demanding_work": "demanding work"}
_FAITHFUL = 5e-5
"""Scores are kept to four places."""


@dataclass(frozen=True, slots=True)
class Part:
    """How much a signal adds to the complexity, 0-1."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class RequestExplanation:
    """``headline`` is the whole of it in a sentence. ``parts`` is empty where the prompt is not
    stored or was more than its last turn; ``answer`` is ``None`` where none is stored.
    """

    headline: str
    request: RequestRecord
    parts: list[Part]
    looked_at: list[str]
    decided: list[str]
    paid: list[tuple[str, str]]
    verdicts: list[tuple[float, str, str]]
    answer: CachedResponse | None

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Failed calls: provider, model, error, message, status, cost (USD)."""
        return self.request.attempts  # type: ignore[no-any-return]


def explain_request(decision: RoutingMetric) -> RequestExplanation:
    """The story of a decision whose request is at hand; asks for the answer and its ratings."""
    request = decision.request
    verdicts = request.feedback.order_by("created_at").values_list("score", "source", "comment")
    return RequestExplanation(
        headline=_headline(decision, request),
        request=request,
        parts=complexity_parts(request.prompt, decision.complexity),
        looked_at=list(_looked_at(decision, request)),
        decided=list(_decided(decision)),
        paid=list(_paid(decision, request)),
        verdicts=list(verdicts),
        answer=_answer(request),
    )


def complexity_parts(prompt: str, recorded: float) -> list[Part]:
    """The signals that add up to the complexity, greatest first; none where ``prompt`` alone
    does not make the ``recorded`` score.
    """
    if not prompt:
        return []
    found = score_complexity(prompt)
    if abs(found.score - recorded) > _FAITHFUL:
        return []
    parts = [Part(_NAMES.get(name, name), value) for name, value in found.parts.items() if value]
    return sorted(parts, key=lambda part: -part.value)


def _headline(decision: RoutingMetric, request: RequestRecord) -> str:
    chosen = f"{decision.provider}/{decision.model}"
    if request.status == RequestRecord.Status.ERROR:
        return f"{chosen} was chosen, and nobody answered."
    served = f"{request.provider}/{request.model}"
    if request.cache_hit:
        return (
            f"Answered from the cache for nothing; {served} had charged "
            f"{dollars(request.original_cost)} for it."
        )
    told = f"Answered by {served} for {dollars(request.cost)}"
    if served != chosen:
        told += f", after {chosen} was chosen and failed"
    if request.status == RequestRecord.Status.PARTIAL:
        told += ", but cut off"
    return f"{told}. {_comparison(decision)}"


def _comparison(decision: RoutingMetric) -> str:
    saved = Savings(decision.routing_saved, decision.cache_saved).total
    if decision.baseline_cost is None or saved is None:
        return "What complexity's choice would have cost is unknown."
    baseline = f"{decision.baseline_provider}/{decision.baseline_model}"
    whose = "Complexity's choice" if _is_of_complexity(decision) else "The baseline asked for"
    if saved == 0:
        return f"{whose}, {baseline}, would have cost the same."
    would = f"{whose}, {baseline}, would have cost {dollars(decision.baseline_cost)}"
    share = percent(abs(saved), decision.baseline_cost, 0)
    return f"{would}: {dollars(abs(saved))} ({share:.0f} %) {'saved' if saved > 0 else 'more'}."


def _is_of_complexity(decision: RoutingMetric) -> bool:
    """Whether the baseline is what complexity would have chosen, not one that a client named."""
    chain = decision.metadata.get("baseline_chain")
    return not chain or _ref(chain[0]) == f"{decision.baseline_provider}/{decision.baseline_model}"


def _ref(named: dict[str, str]) -> str:
    return f"{named['provider']}/{named['model']}"


def _looked_at(decision: RoutingMetric, request: RequestRecord) -> Iterator[str]:
    yield (
        f"A prompt of the kind “{decision.pattern}”, of about {request.tokens_estimated:,} tokens."
    )
    yield (
        f"Complexity {decision.complexity:.2f}, so {decision.tier}: simple is below "
        f"{SIMPLE_BELOW}, complex from {MODERATE_BELOW}."
    )


def _decided(decision: RoutingMetric) -> Iterator[str]:
    yield decision.reasoning
    yield f"Strategy {decision.strategy_used}, confidence {decision.confidence}."
    if validation := decision.metadata.get("validation"):
        rejected = decision.metadata.get("rejected_model")
        than = f" in place of {_ref(rejected)}" if rejected else ""
        yield f"Complexity's validation of what learning chose: {validation}{than}."
    chance = decision.metadata.get("propensity", 1)
    if decision.metadata.get("explored"):
        yield f"Tried in order to learn, with a chance of {chance:.1%}."
    elif chance < 1:
        yield f"Chosen with a chance of {chance:.1%}, as a little is left to exploring."
    if reason := decision.metadata.get("fallback_reason"):
        yield f"Fell back to complexity: {reason}."
    for rule in decision.metadata.get("rules", ()):
        yield f"The rule “{rule}” took part."


def _paid(decision: RoutingMetric, request: RequestRecord) -> Iterator[tuple[str, str]]:
    yield "Estimated before", dollars(decision.cost_estimate)
    yield "Charged", dollars(request.cost)
    if request.failed_cost:
        yield "Of it for failed calls", dollars(request.failed_cost)
    yield "Baseline", dollars(decision.baseline_cost)
    yield "Saved by routing", dollars(decision.routing_saved)
    yield "Saved by the cache", dollars(decision.cache_saved)
    if decision.prompt_cache_saved:
        yield (
            "By the provider's prompt cache, within the charge",
            dollars(Decimal(decision.prompt_cache_saved)),
        )


def _answer(request: RequestRecord) -> CachedResponse | None:
    if not request.cache_key:
        return None
    entry = CachedResponse.objects.filter(cache_key=request.cache_key).first()
    return entry if entry is not None and is_answer_of(entry, request) else None
