"""The ways in which a request's levers allow to ask each model: less effort, a cheaper tier.

Effort: turns that an agent makes by itself are asked to reason little. A person's turn is asked
for what it says; where it says nothing and leaves the model to this service, an effort below the
model's usual one is weighed like another model, if its results at that effort are published.

Tier: a request with a deadline may wait for a provider's cheaper tier, as long as there is time
left to ask the standard tier if the cheaper one does not answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from optimizer.domain.request import GatewayRequest
from optimizer.domain.turns import TOOL_RESULT
from optimizer.gateway.learned.answer_speeds import LearnedSpeeds
from optimizer.gateway.learned.output_lengths import OutputLengths
from optimizer.gateway.levers.way_options import EffortOptions, FlexOptions, WayOptionError
from optimizer.gateway.model_options import AvailableModels
from optimizer.gateway.session_states import needs_reasoning
from optimizer.policies.levers import ActiveLevers
from optimizer.policies.policy import leaves_choice
from optimizer.shared.log_once import LogOnce
from providers.effort_levels import is_below
from providers.less_effort import with_less_effort
from providers.resilience import ResilientCaller
from routing.models import ModelOption
from routing.variants import Variant, VariantOffer

logger = logging.getLogger(__name__)
EFFORT, FLEX = "effort", "flex"
Read = TypeVar("Read", EffortOptions, FlexOptions)
_UNKNOWN_RESERVE, _LEAST_RESERVE = 60.0, 20.0
"""Seconds left for the standard tier where its speed is unknown, and at least."""
_OWN_CHOICE = ("", "auto", None)


def levers_used(variant: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the levers that a decision's ``variant`` uses."""
    used = (("effort", EFFORT), ("service_tier", FLEX))
    return tuple(lever for field, lever in used if field in variant)


class LeverWays:
    """Knows which models take which efforts and have which tiers, for all requests."""

    def __init__(
        self,
        active: ActiveLevers,
        caller: ResilientCaller,
        options: AvailableModels,
        lengths: OutputLengths | None = None,
        speeds: LearnedSpeeds | None = None,
    ) -> None:
        self.active = active
        self.caller = caller
        self.options = options
        self.lengths = lengths
        self.speeds = speeds
        self._read: dict[str, tuple[Mapping[str, Any], Any]] = {}
        self._wrong = {EFFORT: LogOnce(logger), FLEX: LogOnce(logger)}

    def of(self, request: GatewayRequest) -> RequestWays | None:
        """Return the ways of a request, ``None`` if no lever can offer any."""
        effort = self._options(EFFORT, EffortOptions.of) if self._on(EFFORT) else None
        flex = self._options(FLEX, FlexOptions.of) if self._on(FLEX) else None
        if flex is not None and not self._may_wait(request, flex):
            flex = None
        return RequestWays(self, request, effort, flex) if effort or flex else None

    def _on(self, lever: str) -> bool:
        return self.active.mode(lever) != "off"

    def _options(self, lever: str, read: Callable[[Mapping[str, Any]], Read]) -> Read | None:
        """Return the lever's options, ``None`` if they are wrong: it then does nothing."""
        options = self.active.options(lever)
        known = self._read.get(lever)
        if known is not None and known[0] is options:
            wanted: Read | None = known[1]
            return wanted
        wanted = None
        try:
            wanted = read(options)
            self._wrong[lever].resolved()
        except WayOptionError as error:
            self._wrong[lever].log("The lever “%s” does nothing: its option %s", lever, error)
        self._read[lever] = options, wanted
        return wanted

    def seconds_in_tier(
        self, request: GatewayRequest, option: ModelOption, effort: str, least: float = 1.0
    ) -> float:
        """Return how many seconds a call in a cheaper tier may take, 0 for less than ``least``.

        What is left of the deadline, and of the time that any request may take, less what an
        answer of the standard tier takes.
        """
        if request.deadline is None:
            return 0.0
        passed = (datetime.now(UTC) - request.asked_at).total_seconds()
        left = min(request.deadline, self.caller.policy.deadline) - passed
        speed = self.speeds.at(effort)(option.ref) if self.speeds is not None else None
        reserve = _UNKNOWN_RESERVE
        if speed is not None:
            reserve = max(_LEAST_RESERVE, 2 * speed.seconds(min(request.max_tokens, 4096)))
        seconds = left - reserve
        return seconds if seconds >= least else 0.0

    @staticmethod
    def _may_wait(request: GatewayRequest, options: FlexOptions) -> bool:
        if request.deadline is None or request.max_latency is not None:
            return False
        if is_named(request) and not options.named:
            return False
        source = request.chat.source
        body: Mapping[str, Any] = source.body if source is not None else {}
        asked = (request.chat.service_tier, *map(body.get, ("service_tier", "serviceTier")))
        return all(tier in _OWN_CHOICE for tier in asked)


class RequestWays:
    """The ways of one request. A :class:`routing.variants.VariantSource`."""

    def __init__(
        self,
        ways: LeverWays,
        request: GatewayRequest,
        effort: EffortOptions | None = None,
        flex: FlexOptions | None = None,
    ) -> None:
        self._ways = ways
        self._request = request
        self._effort = effort
        self._flex = flex
        reasoning = request.chat.reasoning
        self._asked = "" if reasoning is None else reasoning.level

    def only(self, levers: frozenset[str]) -> RequestWays | None:
        """Return the ways of these levers alone, ``None`` if there are none."""
        effort = self._effort if EFFORT in levers else None
        flex = self._flex if FLEX in levers else None
        return RequestWays(self._ways, self._request, effort, flex) if effort or flex else None

    def offers(self, option: ModelOption) -> Sequence[VariantOffer]:
        """Return the other ways to ask ``option``."""
        efforts = self._efforts(option, self._effort) if self._effort is not None else []
        tiers: list[tuple[str, ModelOption]] = []
        if self._flex is not None and (cheaper := self._in_flex(option, self._flex)) is not None:
            tiers = [(FLEX, cheaper)]
        return [
            self._offer(effort, as_good, tier, priced)
            for effort, as_good in [*efforts, ("", True)]
            for tier, priced in [*tiers, ("", option)]
            if effort or tier
        ]

    def _offer(self, effort: str, as_good: bool, tier: str, priced: ModelOption) -> VariantOffer:
        lengths, speeds, level = self._ways.lengths, self._ways.speeds, effort or self._asked
        return VariantOffer(
            Variant(effort, tier),
            priced,
            lengths.usual_of(self._request.turn, level)
            if lengths is not None and lengths.known
            else None,
            speeds.at(level) if speeds is not None and speeds.known else None,
            as_good,
        )

    def _efforts(self, option: ModelOption, options: EffortOptions) -> list[tuple[str, bool]]:
        """Return the efforts below what is asked for, each with whether it counts as good."""
        taken = self._ways.options.efforts(option)
        asked = self._asked or taken.usual
        if not asked or not self._may_change(option, options):
            return []
        level = options.level
        if self._request.turn in options.turns:
            lowers = level in taken.levels and is_below(level, asked)
            return [(level, True)] if lowers and self._can_ask(level, option) else []
        if self._asked and not options.choose:
            return []
        # Only results at an effort tell how much worse its answers are.
        return [
            (one, False)
            for one in taken.levels
            if one != "none" and one in option.efforts and is_below(one, asked)
            if self._can_ask(one, option)
        ]

    def _may_change(self, option: ModelOption, options: EffortOptions) -> bool:
        request = self._request
        mechanical = request.turn in options.turns
        named = is_named(request) and not options.named
        if named and (self._asked or not mechanical):
            return False  # a client that names its model and its effort gets both
        if request.strict and self._asked:
            return False  # a strict client gets what it asks for, or nothing
        if self._ways.caller.providers[option.provider].wire != "anthropic":
            return True
        # A loop of tools is one turn of the assistant, with one configuration of thinking:
        # https://platform.claude.com/docs/en/build-with-claude/thinking-tool-workflows
        return request.turn != TOOL_RESULT and not needs_reasoning(request.chat)

    def _can_ask(self, effort: str, option: ModelOption) -> bool:
        return with_less_effort(self._request.chat, effort, option.model) is not None

    def _in_flex(self, option: ModelOption, options: FlexOptions) -> ModelOption | None:
        if self._ways.caller.tiers.cooldowns.remaining(*option.ref):
            return None
        least = options.least_seconds
        if not self._ways.seconds_in_tier(self._request, option, self._asked, least):
            return None
        return self._ways.options.at_tier(option, FLEX)


def is_named(request: GatewayRequest) -> bool:
    """Return whether the client named the model."""
    return request.only is not None or not leaves_choice(request.requested_model)
