"""The data types of routing: its input, the candidates, and the decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Protocol

from routing.answer_speed import AnswerSpeed
from routing.prompt_text import PromptText
from routing.rules import NO_EFFECT, Effect
from routing.values import frozen
from routing.variants import VariantSource, Way

Tier = Literal["simple", "moderate", "complex"]
Confidence = Literal["high", "medium", "low"]
StrategyName = Literal[
    "complexity", "learning", "hybrid", "hybrid_fallback", "cached", "cheapest", "best", "named"
]

TIERS: tuple[Tier, ...] = ("simple", "moderate", "complex")
CONFIDENCES: tuple[Confidence, ...] = ("high", "medium", "low")
STRATEGIES: tuple[StrategyName, ...] = (
    "complexity",
    "learning",
    "hybrid",
    "hybrid_fallback",
    "cached",
    "cheapest",
    "best",
    "named",
)


_MILLION = Decimal(1_000_000)


class RoutingError(Exception):
    """Routing could not choose a model."""


class NoEligibleModel(RoutingError):
    """No configured model satisfies the request's hard constraints.

    ``excluded`` maps "provider/model" to the reason for the exclusion; ``missing`` are the
    capabilities that the models lack. ``too_long`` is whether the length of the request alone
    excludes every model.
    """

    def __init__(
        self,
        excluded: dict[str, str],
        missing: frozenset[str] = frozenset(),
        *,
        too_long: bool = False,
    ) -> None:
        self.excluded = excluded
        self.missing = missing
        self.too_long = too_long
        reasons = "; ".join(f"{ref}: {reason}" for ref, reason in sorted(excluded.items()))
        super().__init__(
            f"No model can serve this request ({reasons})." if reasons else "No model is available."
        )


class ModelRef(NamedTuple):
    """A model of a provider; its text form is "provider/model"."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """Read "provider/model"; the model's own name may contain slashes.

        Raises ``ValueError`` if the provider or the model is missing.
        """
        provider, _, model = text.partition("/")
        if not (provider and model):
            raise ValueError(f"{text!r} is not of the form provider/model")
        return cls(provider, model)


class LongInputPrices(NamedTuple):
    """A model's prices for requests of more than ``above`` input tokens.

    Prices are USD per million tokens and apply to all tokens of such a request;
    ``cache_read`` is ``None`` if unknown.
    """

    above: int
    input: Decimal
    output: Decimal
    cache_read: Decimal | None


@dataclass(frozen=True, slots=True)
class ModelOption:
    """A model that routing may choose, as the catalogue describes it.

    Prices are USD per million tokens, ``None`` if unknown. ``cache_read_price`` is for input
    that the provider has in its prompt cache, ``cache_write_price`` for input that it puts
    there, ``None`` where that costs what all input does. ``long_input`` are the prices of longer
    requests, shortest first. ``rank`` is the model's place in its tier's fallback chain,
    0 first. ``snapshot_of`` is the model that this is a dated edition of, else empty; rules
    for that model are for this one too. ``place`` is how able the model is, 0 as the predictor's
    weak model and 1 as its strong one, with the standard deviation ``place_width``; ``None`` if
    it is to be taken from the tier. ``efforts`` has the place and its width for each effort of
    reasoning at which the model's results are known. ``place_by_domain`` is how far the model lies
    above its place in each of :data:`routing.learning.domains.DOMAINS`; empty if nothing tells.
    ``max_output`` are the most tokens that the model may be asked for, ``None`` if not known.
    """

    provider: str
    model: str
    tier: Tier
    rank: int
    input_price: Decimal | None
    output_price: Decimal | None
    context_window: int
    capabilities: frozenset[str] = frozenset()
    cache_read_price: Decimal | None = None
    long_input: tuple[LongInputPrices, ...] = ()
    snapshot_of: str = ""
    cache_write_price: Decimal | None = None
    place: float | None = None
    place_width: float = 0.0
    efforts: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    place_by_domain: tuple[float, ...] = ()
    max_output: int | None = None

    @property
    def ref(self) -> ModelRef:
        """The model as "provider/model"."""
        return ModelRef(self.provider, self.model)

    def expected_cost(
        self, input_tokens: int, output_tokens: int, cached_tokens: int = 0
    ) -> Decimal | None:
        """Return the cost in USD of a call of this size, or ``None`` if a price is unknown.

        ``cached_tokens`` of the input are read from the provider's prompt cache.
        """
        if self.input_price is None or self.output_price is None:
            return None
        uncached, output, cached = self.input_price, self.output_price, self.cache_read_price
        for longer in self.long_input:
            if input_tokens > longer.above:
                _, uncached, output, cached = longer
        cost = uncached * input_tokens + output * output_tokens
        if cached_tokens and cached is not None:
            cost -= (uncached - cached) * min(cached_tokens, input_tokens)
        return cost / _MILLION

    def turn_cost(self, cached: int, written: int, output_tokens: int) -> Decimal | None:
        """Return the cost in USD of one turn of a long conversation, ``None`` without a price.

        Of its input, ``cached`` tokens are read from the provider's prompt cache, and
        ``written`` ones are put there.
        """
        if self.input_price is None or self.output_price is None:
            return None
        uncached, output, read = self.input_price, self.output_price, self.cache_read_price
        for longer in self.long_input:
            if cached + written > longer.above:
                _, uncached, output, read = longer
        write = uncached
        if self.cache_write_price is not None and self.input_price:
            write = uncached * self.cache_write_price / self.input_price
        read = uncached if read is None else read
        return (read * cached + write * written + output * output_tokens) / _MILLION


@dataclass(frozen=True, slots=True)
class CachedConversation:
    """The model that answered this conversation last.

    ``cached_tokens`` of the conversation are still in the prompt cache of its provider, for turns
    at the same ``effort`` of reasoning in the same ``service_tier``.
    """

    provider: str
    model: str
    cached_tokens: int
    effort: str = ""
    service_tier: str = ""


@dataclass(frozen=True, slots=True)
class SessionState:
    """What is known of the session that a request goes on with.

    ``provider`` and ``model`` answered its last turn, whose prompt had ``tier``.
    ``cached_tokens`` of the conversation are still in that provider's prompt cache.
    ``expected_turns`` are expected after this one; each adds about ``turn_input`` tokens and
    has ``turn_output``. ``sealed`` is whether the conversation needs that model's reasoning,
    ``stalled`` whether its agent goes round in circles, ``moved_up`` whether it was given a
    stronger model for that before. Moves to the models in ``unhelpful`` have not helped. A
    session that is ``held_back`` is not moved, so that moves can be compared with it. ``effort``
    and ``service_tier`` are those of its last turn.
    """

    provider: str
    model: str
    tier: Tier
    cached_tokens: int = 0
    expected_turns: float = 0.0
    turn_input: int = 0
    turn_output: int = 0
    sealed: bool = False
    stalled: bool = False
    moved_up: bool = False
    unhelpful: frozenset[ModelRef] = frozenset()
    held_back: bool = False
    effort: str = ""
    service_tier: str = ""

    @property
    def ref(self) -> ModelRef:
        """The model as "provider/model"."""
        return ModelRef(self.provider, self.model)


@frozen
class RoutingContext:
    """One request, with everything that routing needs to know about it.

    ``max_cost`` is USD for the whole call, ``min_quality`` is 0-1, ``max_tokens`` limits
    the completion; ``output_limit`` is the limit that the model is sent, 0 for none.
    ``available_providers`` can be called now; ``None`` means all of them. ``explore`` allows a
    choice for exploration, within the exploration budget.
    ``only`` are the (provider, model) pairs that may serve, if the client named a model.
    ``cached_conversation`` is the model that answered the conversation so far, ``effect``
    the effect of the operators' rules on this request. ``over_budget`` maps each
    (provider, model) pair that a budget excludes to the reason, ``cooling`` each one whose
    provider limits the rate of calls to how many seconds that lasts. ``session`` is what is
    known of its session, ``turn`` the kind of turn that it is there. ``output_tokens`` returns
    the usual length of such an answer of a model, ``speed`` how fast a model answers, ``None``
    where too little is known. ``max_latency`` are the seconds that the answer may take until it
    is complete. ``effort`` is how much the model is asked to reason, empty if the request does
    not say. ``variants`` are the other ways in which levers allow to ask models, ``None`` for none.
    """

    prompt: str
    user_id: str | None = None
    session_id: str | None = None
    available_providers: frozenset[str] | None = None
    max_cost: Decimal | None = None
    min_quality: float | None = None
    max_tokens: int = 1000
    output_limit: int = 0
    required_capabilities: frozenset[str] = frozenset()
    explore: bool = False
    only: frozenset[ModelRef] | None = None
    cached_conversation: CachedConversation | None = None
    effect: Effect = NO_EFFECT
    over_budget: Mapping[ModelRef, str] = field(default_factory=dict)
    cooling: Mapping[tuple[str, str], float] = field(default_factory=dict)
    session: SessionState | None = None
    turn: str = ""
    output_tokens: Callable[[ModelRef, Tier], int | None] | None = None
    speed: Callable[[ModelRef], AnswerSpeed | None] | None = None
    max_latency: float | None = None
    effort: str = ""
    variants: VariantSource | None = None


@frozen
class PromptAnalysis:
    """The analysis of a prompt, computed once per request for all strategies.

    ``complexity`` is 0-1, ``token_count`` the estimated input tokens. ``text`` is the prompt
    as it was read; the trained predictor needs it.
    """

    pattern: str
    complexity: float
    tier: Tier
    token_count: int
    text: PromptText | None = field(default=None, repr=False, compare=False)


class Candidate(NamedTuple):
    """A model that was considered, and the reason why it was or was not chosen.

    ``expected_quality`` and its interval are 0-1, and ``None`` if the strategy does not
    estimate quality. ``expected_cost`` is USD or ``None``. ``propensity`` is the model's
    probability of being chosen, 0-1, if the request was open to exploration.
    ``expected_latency`` is how long the whole answer is expected to take, in seconds, ``None``
    if that is not known. ``effort`` is how much the model is to reason, empty if the request
    does not say, and ``service_tier`` the tier in which it is called first, empty for the
    standard one.
    """

    provider: str
    model: str
    tier: Tier
    expected_quality: float | None
    quality_low: float | None
    quality_high: float | None
    sample_size: int
    expected_cost: Decimal | None
    chosen: bool
    reason: str
    propensity: float | None = None
    expected_latency: float | None = None
    effort: str = ""
    service_tier: str = ""

    def in_way(self, way: Way | None) -> Candidate:
        """Return the candidate as it is asked in ``way``, if any."""
        if way is None:
            return self
        return self._replace(
            expected_cost=way.cost,
            expected_latency=way.latency,
            effort=way.effort,
            service_tier=way.variant.service_tier,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, without those of the last four that say nothing."""
        # Mostly none of the last four says anything.
        fields: dict[str, Any] = dict(zip(_ALWAYS, self, strict=False))
        if self.propensity is not None:
            fields["propensity"] = self.propensity
        if self.expected_latency is not None:
            fields["expected_latency"] = self.expected_latency
        if self.effort:
            fields["effort"] = self.effort
        if self.service_tier:
            fields["service_tier"] = self.service_tier
        return fields


_ALWAYS = Candidate._fields[:-4]


@frozen
class RoutingDecision:
    """The model that is to answer, and everything needed to explain the choice later."""

    provider: str
    model: str
    confidence: Confidence
    strategy_used: StrategyName
    reasoning: str
    fallback_used: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def ref(self) -> ModelRef:
        """The model that is to answer."""
        return ModelRef(self.provider, self.model)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Recorded outcomes of one model on one kind of prompt.

    ``count`` is the number of outcomes, ``weight`` their number after older ones have lost
    weight. ``quality_sum`` and ``expected_sum`` are the weighted sums of the scores and of
    the scores that were expected, each 0-1.
    """

    count: int
    weight: float
    quality_sum: float
    expected_sum: float


NO_EVIDENCE = Evidence(0, 0.0, 0.0, 0.0)

EvidenceKey = tuple[str, Tier, str, str]
"""(pattern, tier of the prompt, provider, model)."""


class OptionSource(Protocol):
    """Where routing reads which models exist now."""

    def options(self) -> tuple[ModelOption, ...]:
        """Return the models that can be chosen."""
        ...

    def named(self, models: frozenset[ModelRef]) -> tuple[ModelOption, ...]:
        """Return those of ``models`` that can be called, also if routing would not choose them."""
        ...
