"""Decides for which requests a cascade is expected to cost less at no lower quality."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request_bounds import stricter
from optimizer.gateway.levers.cascade.checks.agreement_check import AgreementCheck
from optimizer.gateway.levers.cascade.checks.command_check import CommandCheck
from optimizer.gateway.levers.cascade.checks.judge_check import JudgeCheck
from optimizer.gateway.levers.cascade.checks.logprob_check import LogprobCheck
from optimizer.gateway.levers.cascade.checks.schema_check import SchemaCheck
from optimizer.gateway.levers.cascade.checks.tool_call_check import ToolCallCheck
from optimizer.gateway.levers.cascade.checks.verdicts import Check, EndingCheck
from optimizer.gateway.levers.cascade.eligible import may_cascade
from optimizer.gateway.levers.cascade.options import CascadeOptionError, CascadeOptions
from optimizer.gateway.levers.cascade.outcomes import CascadeOutcomes
from optimizer.gateway.model_options import AvailableModels
from optimizer.shared.log_once import LogOnce
from providers import features
from routing.cascades import Cascade, Checking, Single, cascades
from routing.learning.posterior import Z
from routing.models import ModelOption, ModelRef, RoutingDecision

logger = logging.getLogger(__name__)

_JUDGE_READS, _JUDGE_WRITES = 250, 120
"""Tokens of the judge's instructions, and of its verdict with its reasons."""
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class CascadePlan:
    """A cascade that is expected to be better than one call of ``alone``.

    ``checks`` are made in their order. ``judge`` is the model that one of them asks, and
    ``chain`` the models to try after a failed check, best first. With ``asks_logprobs`` the
    first call asks for the probabilities that the client did not ask for.
    """

    cascade: Cascade
    alone: Single
    checks: tuple[Check, ...]
    chain: tuple[ModelRef, ...]
    judge: ModelRef | None = None
    asks_logprobs: bool = False


class CascadePlanner:
    """Finds the cheapest cascade that beats a decision. It does no I/O."""

    def __init__(
        self,
        options: AvailableModels,
        outcomes: CascadeOutcomes,
        command: CommandCheck | None = None,
    ) -> None:
        self._options = options
        self._outcomes = outcomes
        self._command = command
        self._read: tuple[Mapping[str, Any], CascadeOptions | None] | None = None
        self._wrong = LogOnce(logger)

    def plan(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision, options: Mapping[str, Any]
    ) -> CascadePlan | None:
        """Return the cascade for a request, ``None`` if one call of the chosen model is better.

        ``options`` are those of the lever.
        """
        wanted = self._wanted(options)
        if wanted is None or not may_cascade(analyzed, decision, wanted):
            return None
        singles = _singles(decision)
        alone = next((one for one in singles if one.ref == decision.ref), None)
        if alone is None:
            return None
        # All calls ask for the effort that the one model was to be asked for.
        singles = [one for one in singles if one.effort == alone.effort]
        checks = self._checks(analyzed, wanted)
        if not checks:
            return None
        good_enough = [
            cascade
            for cascade in self._candidates(analyzed, wanted, checks, singles)
            if cascade.cost < alone.cost
            and cascade.quality >= alone.quality - wanted.loss
            # What the policy asked of the model that would answer alone, it asks of the cascade.
            and cascade.quality_low >= _low(alone) - wanted.loss
            and self._within_bounds(analyzed, decision, cascade, alone)
        ]
        if not good_enough:
            return None
        cascade = min(good_enough, key=lambda one: (one.cost, -one.quality))
        return _plan(analyzed, decision, cascade, alone, checks)

    def _wanted(self, options: Mapping[str, Any]) -> CascadeOptions | None:
        """Return the options, ``None`` if they cannot be read: the lever then does nothing."""
        if self._read is None or self._read[0] is not options:
            try:
                self._read = options, CascadeOptions.of(options)
                self._wrong.resolved()
            except CascadeOptionError as error:
                self._wrong.log("The lever “cascade” does nothing: its option %s", error)
                self._read = options, None
        return self._read[1]

    def _checks(self, analyzed: AnalyzedRequest, wanted: CascadeOptions) -> list[Check]:
        """Return the checks that apply to such a request, the cheapest first."""
        chat, pattern = analyzed.request.chat, analyzed.analysis.pattern
        checks: list[Check] = []
        if wanted.schema and chat.output is not None:
            checks.append(SchemaCheck())
        if wanted.tool_calls and chat.tools:
            checks.append(ToolCallCheck())
        if chat.tools:
            return checks  # a call of a tool is no text that could be compared or judged
        if wanted.logprobs is not None:
            checks.append(LogprobCheck(wanted.logprobs))
        if self._command is not None and (wanted.command is None or pattern in wanted.command):
            checks.append(self._command)
        # At temperature 0 a model repeats itself, right or wrong.
        if wanted.agreement is not None and chat.temperature != 0:
            checks.append(AgreementCheck(wanted.agreement))
        if wanted.judge is not None:
            checks.append(JudgeCheck(wanted.judge))
        return checks

    def _candidates(
        self,
        analyzed: AnalyzedRequest,
        wanted: CascadeOptions,
        checks: list[Check],
        singles: list[Single],
    ) -> list[Cascade]:
        """Return the cascades whose checks apply: not all models report probabilities."""
        first = {one.ref for one in singles if wanted.cheap is None or one.ref in wanted.cheap}
        if wanted.judge is not None:
            first.discard(wanted.judge)  # none judges itself
        names = tuple(check.name for check in checks)
        groups = [(names, first)]
        if LogprobCheck.name in names:
            sure = {ref for ref in first if self._gives_logprobs(analyzed, ref)}
            others = tuple(name for name in names if name != LogprobCheck.name)
            groups = [(names, sure), (others, first - sure)]
        analysis = analyzed.analysis
        return [
            cascade
            for named, cheap in groups
            for cascade in cascades(
                singles,
                self._outcomes.learned,
                self._checking(analyzed, wanted, named),
                pattern=analysis.pattern,
                tier=analysis.tier,
                cheap=cheap,
                strong=wanted.strong,
            )
        ]

    def _gives_logprobs(self, analyzed: AnalyzedRequest, ref: ModelRef) -> bool:
        if analyzed.request.streamed and not analyzed.request.chat.logprobs:
            return False  # they could not be taken out of a stream again
        return features.LOGPROBS in self._options.features(*ref)

    def _checking(
        self, analyzed: AnalyzedRequest, wanted: CascadeOptions, names: tuple[str, ...]
    ) -> Checking:
        cost = _ZERO
        if JudgeCheck.name in names and wanted.judge is not None:
            judge = self._option(wanted.judge)
            read = analyzed.analysis.token_count + analyzed.request.max_tokens + _JUDGE_READS
            priced = judge.expected_cost(read, _JUDGE_WRITES) if judge is not None else None
            if priced is None:
                return Checking(())
            cost = priced
        return Checking(names, more_calls=int(AgreementCheck.name in names), cost=cost)

    def _within_bounds(
        self,
        analyzed: AnalyzedRequest,
        decision: RoutingDecision,
        cascade: Cascade,
        alone: Single,
    ) -> bool:
        """Return whether the cascade keeps the limits of client, rules and guarantee."""
        request, effect = analyzed.request, analyzed.effect
        least = stricter(request.min_quality, effect.quality_target, max)
        if least is not None and cascade.quality_low < min(least, _low(alone)):
            return False
        longest = stricter(request.max_latency, effect.latency_cap, min)
        if longest is not None and (cascade.longest is None or cascade.longest > longest):
            return False
        cap = stricter(request.max_cost, effect.cost_cap, min)
        if cap is not None and not self._fits(analyzed, cascade, cap):
            return False
        guarantee = decision.metadata.get("guarantee")
        if guarantee is None or "outside" in guarantee:
            return True
        threshold = guarantee["threshold"]
        return threshold is not None and cascade.quality >= threshold

    def _fits(self, analyzed: AnalyzedRequest, cascade: Cascade, cap: Decimal) -> bool:
        """Return whether the cap (USD) holds even if all calls are made at their longest."""
        size = analyzed.analysis.token_count, analyzed.request.max_tokens
        total = cascade.checking.cost
        for ref in (cascade.cheap.ref,) * (1 + cascade.checking.more_calls) + (cascade.strong.ref,):
            option = self._option(ref)
            worst = option.expected_cost(*size) if option is not None else None
            if worst is None:
                return False
            total += worst
        return total <= cap

    def _option(self, ref: ModelRef) -> ModelOption | None:
        return next(iter(self._options.named(frozenset({ref}))), None)


def _low(single: Single) -> float:
    return single.quality - Z * single.deviation


def _singles(decision: RoutingDecision) -> list[Single]:
    """Return the candidates of a decision whose quality and cost are known."""
    return [
        Single(
            candidate["provider"],
            candidate["model"],
            candidate["expected_quality"],
            (candidate["quality_high"] - candidate["quality_low"]) / (2 * Z),
            candidate["expected_cost"],
            candidate.get("expected_latency"),
            candidate.get("effort", ""),
        )
        for candidate in decision.metadata.get("candidates", ())
        if candidate["expected_quality"] is not None and candidate["expected_cost"] is not None
    ]


def _plan(
    analyzed: AnalyzedRequest,
    decision: RoutingDecision,
    cascade: Cascade,
    alone: Single,
    checks: list[Check],
) -> CascadePlan:
    made = tuple(check for check in checks if check.name in cascade.checking.names)
    judge = next((check.model for check in made if isinstance(check, JudgeCheck)), None)
    after = [cascade.strong.ref, decision.ref] + [
        ModelRef(model["provider"], model["model"]) for model in decision.metadata["fallback_chain"]
    ]
    return CascadePlan(
        cascade,
        alone,
        (EndingCheck(), *made),
        tuple(ref for ref in dict.fromkeys(after) if ref != cascade.cheap.ref),
        judge,
        asks_logprobs=LogprobCheck.name in cascade.checking.names
        and not analyzed.request.chat.logprobs,
    )
