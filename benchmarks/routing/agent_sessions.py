"""python -m benchmarks.routing.agent_sessions: a simulated month of agents' sessions, routed.

Each session is drawn from a class: how many turns people take, how hard they are, how many
calls the agent makes for each, how much tools return, how long people pause, how many
sub-agents it starts. The same sessions are then answered

- by one strong model, with its prompt cache,
- by `auto`: each turn routed by this service with the session in mind,
- by routing each call for itself, without a thought for prompt caches: by the person's words
  (as `auto` weighs them), and by all the text of the call, tools' results included.

A provider's prompt cache is simulated for each model and conversation: it is found if the model
saw the conversation within five minutes, what is new is written to it, and its prices are those
of the catalogue. Qualities are assumed, not measured: the chance that a turn of a person is done
well is 1 / (1 + exp(hardness - ability)), by the weakest model that worked on it.

Distributions (ASSUMED; all can be read below): turns of people and calls of a turn are
geometric, tokens of tools' results and answers log-normal, pauses of people exponential, calls
follow each other within seconds. The router errs about one turn in ten by one tier.
"""

from __future__ import annotations

import argparse
import platform
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import exp, log

from routing.engine import RoutingEngine
from routing.learning.posterior import Posterior
from routing.models import (
    TIERS,
    CachedConversation,
    ModelOption,
    ModelRef,
    PromptAnalysis,
    RoutingContext,
    SessionState,
    Tier,
)
from routing.strategies.cheapest import CheapestStrategy
from routing.strategies.complexity import ComplexityStrategy
from routing.strategies.learning import LearningStrategy

_STRONG = ModelRef("claude", "claude-sonnet-5-5")
_PROVIDERS = ("claude", "openai", "gemini", "openrouter")
"""Those with a key; all their models of the catalogue may be chosen."""
_ABILITY = {"simple": 2.3, "moderate": 2.9, "complex": 3.2}
"""By the tier of the model (ASSUMED)."""
_HARDNESS = {"simple": -2.0, "moderate": 0.2, "complex": 1.4}
"""By the tier of the turn (ASSUMED)."""
_SYSTEM_TOKENS, _TITLE_TOKENS, _COMPACT_AT, _COMPACTED = 16_000, 400, 150_000, 6_000
_CACHE_SECONDS, _ERRS, _SLIP = 300.0, 0.1, 0.2
_MAX_TOKENS = 8_000


POLICIES = ("strong", "auto", "words", "text")


@dataclass(frozen=True)
class SessionClass:
    """A kind of session, and its ``share`` of all.

    Means: turns of people, calls of a turn, tokens of a result, seconds of a pause.
    """

    name: str
    share: float
    turns: float
    calls: float
    hard: tuple[float, float, float]
    result: float = 700.0
    pause: float = 180.0
    sub_agents: float = 0.0


CLASSES = (
    SessionClass("question", 0.30, 1.6, 2.0, (0.7, 0.25, 0.05)),
    SessionClass("small fix", 0.30, 3.0, 8.0, (0.5, 0.4, 0.1)),
    SessionClass("feature", 0.22, 7.0, 14.0, (0.3, 0.45, 0.25), result=1_000),
    SessionClass("hard bug", 0.10, 6.0, 18.0, (0.15, 0.35, 0.5), result=1_200, pause=400),
    SessionClass("research", 0.08, 3.0, 8.0, (0.3, 0.5, 0.2), result=2_000, sub_agents=3.0),
)


@dataclass(frozen=True)
class Call:
    """One call: of which conversation, when, how hard its turn is, and what it reads and writes."""

    conversation: str
    at: float
    tier: Tier
    weighed: Tier
    text_tier: Tier
    tokens: int
    new: int
    output: int
    turn: str
    goal: int


@dataclass
class Run:
    """What some sessions cost, and how well they went, by class."""

    cost: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    quality: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    switches: int = 0
    calls: int = 0

    @property
    def total(self) -> float:
        """Return the cost of all sessions in USD."""
        return sum(self.cost.values())

    @property
    def mean_quality(self) -> float:
        """Return the mean quality of all turns of people."""
        values = [value for part in self.quality.values() for value in part]
        return sum(values) / len(values)


def draw(kind: SessionClass, chance: random.Random) -> list[Call]:
    """Return the calls of one session, in the order of time."""
    now, calls = 0.0, [_side("title", 0.0)]
    context = _SYSTEM_TOKENS
    for goal in range(1, _geometric(kind.turns, chance) + 1):
        now += chance.expovariate(1 / kind.pause) if goal > 1 else 0.0
        tier: Tier = chance.choices(TIERS, kind.hard)[0]
        weighed = _slipped(tier, _ERRS, chance)
        for number in range(_geometric(kind.calls, chance)):
            new = int(_lognormal(250 if number == 0 else kind.result, 1.1, chance))
            output = min(_MAX_TOKENS, int(_lognormal(220, 0.9, chance)))
            if context + new > _COMPACT_AT:
                calls.append(_call("main", now, tier, weighed, context, 300, 1_500, "compaction", 0,
                                   chance))  # fmt: skip
                context = _SYSTEM_TOKENS + _COMPACTED
            context += new
            turn = "tool_result" if number else "human"
            calls.append(
                _call("main", now, tier, weighed, context, new, output, turn, goal, chance)
            )
            context += output
            now += 3 + output / 60
        for agent in range(_geometric(kind.sub_agents, chance) if kind.sub_agents else 0):
            calls += _sub_agent(f"{goal}.{agent}", now, tier, goal, kind, chance)
    return sorted(calls, key=lambda call: call.at)


def _sub_agent(
    name: str, at: float, tier: Tier, goal: int, kind: SessionClass, chance: random.Random
) -> Iterator[Call]:
    context, weighed = 8_000, _slipped(tier, _ERRS, chance)
    for number in range(_geometric(7, chance)):
        new = int(_lognormal(kind.result, 1.1, chance))
        output = int(_lognormal(180, 0.8, chance))
        context += new
        yield _call(name, at + number * 6, tier, weighed, context, new, output, "sub_agent", goal,
                    chance)  # fmt: skip
        context += output


def _call(
    conversation: str, at: float, tier: Tier, weighed: Tier, tokens: int, new: int, output: int,
    turn: str, goal: int, chance: random.Random,
) -> Call:  # fmt: skip
    text = _slipped(weighed, _SLIP, chance) if turn == "human" else chance.choice(TIERS)
    return Call(conversation, at, tier, weighed, text, tokens, new, output, turn, goal)


def _side(turn: str, at: float) -> Call:
    tokens = _TITLE_TOKENS
    return Call("title", at, "simple", "simple", "simple", tokens, tokens, 15, turn, 0)


def _geometric(mean: float, chance: random.Random) -> int:
    return 1 + int(log(1 - chance.random()) / log(1 - 1 / mean)) if mean > 1 else 1


def _lognormal(median: float, sigma: float, chance: random.Random) -> float:
    return min(chance.lognormvariate(log(median), sigma), 30_000)


def _slipped(tier: Tier, share: float, chance: random.Random) -> Tier:
    if chance.random() >= share:
        return tier
    place = TIERS.index(tier) + chance.choice((-1, 1))
    return TIERS[min(max(place, 0), len(TIERS) - 1)]


class Options:
    """The models of the study, at the catalogue's prices."""

    def __init__(self, providers: tuple[str, ...]) -> None:
        from providers.catalogue import load_catalogue
        from providers.known_models import KnownModels
        from providers.pricing import PriceBook

        catalogue = load_catalogue(None)
        prices = PriceBook(catalogue, KnownModels(catalogue))
        self._options = []
        for spec in catalogue.models:
            rates = prices.rates(spec.provider, spec.id)
            if spec.provider not in providers or rates is None:
                continue
            read, write = rates.cache_read or rates.input, rates.cache_write or rates.input
            self._options.append(ModelOption(
                spec.provider, spec.id, spec.tier, spec.rank, rates.input.base,  # type: ignore[arg-type]
                rates.output.base, spec.context_window, cache_read_price=read.base,
                cache_write_price=write.base,
            ))  # fmt: skip
        self.by_ref = {option.ref: option for option in self._options}

    def options(self) -> tuple[ModelOption, ...]:
        """Return the models."""
        return tuple(self._options)

    def named(self, models: frozenset[ModelRef]) -> tuple[ModelOption, ...]:
        """Return the models of these names."""
        return tuple(option for option in self._options if option.ref in models)

    def posterior(self) -> Posterior:
        """Return that nothing was learned."""
        return Posterior({})


class Study:
    """Answers sessions under a policy: "strong", "auto", "words" or "text"."""

    def __init__(self, policy: str, lengths: object, providers: tuple[str, ...]) -> None:
        self.policy, self.run = policy, Run()
        self._options, self._lengths = Options(providers), lengths
        from routing.policies import CheapestAboveTarget

        complexity = ComplexityStrategy()
        learning = LearningStrategy(self._options, CheapestAboveTarget(), complexity)
        strategies = {"complexity": complexity, "cheapest": CheapestStrategy(learning)}
        self._engine = RoutingEngine(self._options, strategies, complexity=complexity)  # type: ignore[arg-type]

    def answer(self, kind: SessionClass, calls: list[Call]) -> None:
        """Answer all calls of one session."""
        caches: dict[tuple[str, ModelRef], tuple[float, int]] = {}
        last: dict[str, tuple[ModelRef, Tier, float, int]] = {}
        done: dict[str, int] = defaultdict(int)
        written: dict[str, int] = defaultdict(int)
        weakest: dict[int, tuple[float, Tier]] = {}
        for call in calls:
            ref = self._choose(call, last.get(call.conversation), done, written)
            option = self._options.by_ref[ref]
            seen_at, held = caches.get((call.conversation, ref), (float("-inf"), 0))
            cached = held if call.at - seen_at < _CACHE_SECONDS else 0
            cached = min(cached, call.tokens) if call.turn != "title" else 0
            written_now = call.tokens - cached
            cost = option.turn_cost(cached, written_now, call.output)
            assert cost is not None
            self.run.cost[kind.name] += float(cost)
            self.run.calls += 1
            before = last.get(call.conversation)
            self.run.switches += before is not None and before[0] != ref
            kept = 0 if call.turn == "compaction" else call.tokens
            caches[call.conversation, ref] = (call.at, kept)
            if call.turn == "compaction":
                caches = {k: v for k, v in caches.items() if k[0] != call.conversation}
            if call.turn != "title":
                last[call.conversation] = (ref, call.weighed, call.at, kept)
                done[call.conversation] += 1
                written[call.conversation] += call.output
            if call.goal:
                ability = _ABILITY[option.tier]
                worst = weakest.get(call.goal, (ability, call.tier))
                weakest[call.goal] = (min(worst[0], ability), call.tier)
        self.run.quality[kind.name] += [
            1 / (1 + exp(_HARDNESS[tier] - ability)) for ability, tier in weakest.values()
        ]

    def _choose(
        self, call: Call, last: tuple[ModelRef, Tier, float, int] | None, done: dict[str, int],
        written: dict[str, int],
    ) -> ModelRef:  # fmt: skip
        if self.policy == "strong":
            return _STRONG
        tier = call.text_tier if self.policy == "text" else call.weighed
        analysis = PromptAnalysis("code", 0.1 + 0.4 * TIERS.index(tier), tier, call.tokens)
        session = None
        if self.policy == "auto" and last is not None and call.turn != "title":
            ref, last_tier, at, held = last
            calls = max(done[call.conversation], 1)
            session = SessionState(
                ref.provider, ref.model, last_tier,
                held if call.at - at < _CACHE_SECONDS else 0,
                self._lengths.expected_after("agent", calls),  # type: ignore[attr-defined]
                call.tokens // (calls + 1), written[call.conversation] // calls,
            )  # fmt: skip
        cheap = call.turn == "title" and self.policy == "auto"
        context = RoutingContext(
            "", max_tokens=_MAX_TOKENS, session=session, turn=call.turn,
            cached_conversation=CachedConversation(
                session.provider, session.model, session.cached_tokens
            ) if session else None,
        )  # fmt: skip
        strategy = "cheapest" if cheap else "complexity"
        decision = self._engine.route(context, strategy=strategy, analysis=analysis)
        return decision.ref


def study_month(sessions: int, seed: int, providers: tuple[str, ...]) -> dict[str, Study]:
    """Draw sessions, and answer them under each policy."""
    from analytics.ledger.session_states import SessionLengths

    chance = random.Random(seed)
    # The month before teaches how long sessions are.
    before = [calls for _, calls in _month(500, chance)]
    own = [sum(call.conversation == "main" for call in calls) for calls in before]
    drawn, lengths = _month(sessions, chance), SessionLengths({"agent": own})
    studies = {name: Study(name, lengths, providers) for name in POLICIES}
    for study in studies.values():
        for kind, calls in drawn:
            study.answer(kind, calls)
    return studies


def _month(count: int, chance: random.Random) -> list[tuple[SessionClass, list[Call]]]:
    kinds = chance.choices(CLASSES, [kind.share for kind in CLASSES], k=count)
    return [(kind, draw(kind, chance)) for kind in kinds]


def main() -> None:
    """Draw the sessions, answer them under each policy, and compare."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.routing.agent_sessions", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--sessions", type=int, default=2_000, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    parser.add_argument(
        "--providers", nargs="+", default=_PROVIDERS, metavar="NAME",
        help=f"providers with a key; claude must be one (default: {' '.join(_PROVIDERS)})",
    )  # fmt: skip
    options = parser.parse_args()
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "optimizer.settings")
    django.setup()
    studies = study_month(options.sessions, options.seed, tuple(options.providers))
    report(studies, options.sessions)


def report(studies: dict[str, Study], sessions: int) -> None:
    """Print cost and quality by class, each compared with the strong model's."""
    strong = studies["strong"].run
    print(f"Python {platform.python_version()}, {sessions} sessions, {strong.calls} calls, "
          f"strong: {_STRONG}")  # fmt: skip
    for name, study in studies.items():
        run = study.run
        total, all_quality = run.total, run.mean_quality
        print(
            f"\n{name}: ${total:.2f} ({_change(total, strong.total)}), quality "
            f"{all_quality:.4f} ({100 * (all_quality - strong.mean_quality):+.2f} points), "
            f"{run.switches} switches"
        )
        for kind in CLASSES:
            cost = run.cost[kind.name]
            quality = sum(run.quality[kind.name]) / len(run.quality[kind.name])
            other = strong.quality[kind.name]
            print(
                f"  {kind.name:10} ${cost:9.2f} {_change(cost, strong.cost[kind.name]):>8} "
                f"{100 * (quality - sum(other) / len(other)):+6.2f} points"
            )


def _change(cost: float, other: float) -> str:
    return f"{100 * (cost / other - 1):+.1f} %"


if __name__ == "__main__":
    main()
