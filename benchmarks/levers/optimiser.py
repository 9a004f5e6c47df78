"""python -m benchmarks.levers.optimiser: one choice of model, effort, tier and cascade together.

The product's own routing decides over a world whose truth is known (benchmarks/levers/world.py).
It learns from the quarter of the answers that are rated. It is compared with policies that know
the truth and never change: the best choice for each kind of request, and each lever alone on the
model that suits it best. All of these may fall short of the quality floor by as much as the
optimiser did, so that no one is cheaper by being worse.
"""

from __future__ import annotations

import argparse
import math
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from statistics import NormalDist
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from benchmarks.levers.world import (
    EFFORTS,
    FLEX_SERVED,
    MODELS,
    SHARED,
    Drawn,
    SimulatedModel,
    World,
)
from routing.answer_speed import AnswerSpeed
from routing.cascades import CascadeLearning, CascadeOutcome, Checking, Single, cascades
from routing.engine import RoutingEngine
from routing.learning.exploration import Explorer
from routing.learning.posterior import NO_EVIDENCE, Posterior, Z, learn
from routing.models import (
    Evidence,
    EvidenceKey,
    ModelOption,
    ModelRef,
    PromptAnalysis,
    RoutingContext,
    Tier,
)
from routing.policies import CheapestAboveTarget
from routing.strategies.complexity import ComplexityStrategy
from routing.strategies.learning import LearningStrategy
from routing.variants import Variant, VariantOffer

FLOOR = 0.7
LEVERS = frozenset({"effort", "flex", "cascade"})
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_NORMAL = NormalDist()
_RELEARN_EVERY = 50
_PRIOR_STRENGTH, _NEAR_STRENGTH = 9.5, 37.0
_CERTAIN = 1e9
_NEVER_SHORT = 1e6
"""USD for a request whose quality is 1 below the floor: more than any answer costs."""
_HALF = Decimal("0.5")
_JUDGE = next(model for model in MODELS if model.name == "flash")
_BY_NAME = {model.name: model for model in MODELS}


class Choice(NamedTuple):
    """A way to answer: a model at an effort, in the cheaper tier or not, or a cascade of two."""

    model: str
    effort: str = ""
    flex: bool = False
    strong: str = ""
    strong_effort: str = ""


@dataclass
class Outcome:
    """What a policy did over all requests: USD, the true quality of its answers, its shortfall."""

    name: str
    cost: float
    quality: float
    shortfall: float
    by_part: tuple[float, ...] = ()


# --- the truth --------------------------------------------------------------------


class Truth:
    """The expected cost and quality of each choice for each kind of request."""

    def __init__(self, world: World) -> None:
        self.world = world

    def quality(self, kind: int, choice: Choice) -> float:
        first = self.world.truth[kind, choice.model, choice.effort]
        if not choice.strong:
            return first
        good, bad = self.world.kinds[kind].power
        strong = self.world.truth[kind, choice.strong, choice.strong_effort]
        both = self.both(first, strong)
        return first * good + both * (1 - good) + (strong - both) * (1 - bad)

    @staticmethod
    def both(first: float, second: float) -> float:
        """Return how often both models are right, by a shared difficulty (a normal copula)."""
        return float(np.sum(_WEIGHTS * _right(first, _NODES) * _right(second, _NODES)))

    def cost(self, kind: int, choice: Choice, length: float = 1.0) -> float:
        cost = self.call(kind, choice.model, choice.effort, length)
        if choice.strong:
            good, bad = self.world.kinds[kind].power
            first = self.world.truth[kind, choice.model, choice.effort]
            passes = first * good + (1 - first) * bad
            cost += self.check(kind) + (1 - passes) * self.call(
                kind, choice.strong, choice.strong_effort, length
            )
        return cost * (1 - 0.5 * FLEX_SERVED) if choice.flex else cost

    def call(self, kind: int, model: str, effort: str, length: float = 1.0) -> float:
        spec, sizes = _BY_NAME[model], self.world.kinds[kind]
        written = self.world.length(kind, model, effort) * length
        return (spec.input * sizes.tokens_in + spec.output * written) / 1e6

    def check(self, kind: int) -> float:
        sizes = self.world.kinds[kind]
        if sizes.check != "judge":
            return 0.0
        read = sizes.tokens_in + sizes.tokens_out + 250
        return (_JUDGE.input * read + _JUDGE.output * 120) / 1e6

    def seconds(self, kind: int, choice: Choice) -> float:
        first = _BY_NAME[choice.model].speed.seconds(
            self.world.length(kind, choice.model, choice.effort)
        )
        if not choice.strong:
            return first
        return first + _BY_NAME[choice.strong].speed.seconds(
            self.world.length(kind, choice.strong, choice.strong_effort)
        )

    def choices(self, kind: int, drawn: tuple[bool, float | None], levers: frozenset[str],
                models: Iterable[SimulatedModel] = MODELS) -> list[Choice]:  # fmt: skip
        """Return what a policy with ``levers`` may do; ``drawn`` is (can wait, limit in s)."""
        waits, limit = drawn
        models = tuple(models)
        singles = [Choice(m.name, e) for m in models for e in efforts_of(m, levers)]
        made = list(singles)
        if "cascade" in levers:
            made += [
                Choice(c.model, c.effort, strong=s.model, strong_effort=s.effort)
                for c in singles
                for s in singles
                if _BY_NAME[c.model].output < _BY_NAME[s.model].output
            ]
        if limit is not None:
            within = [one for one in made if self.seconds(kind, one) <= limit]
            made = within or [min(made, key=lambda one: self.seconds(kind, one))]
        if "flex" in levers and waits and limit is None:
            made += [one._replace(flex=True) for one in singles if _BY_NAME[one.model].flex]
        return made


def efforts_of(model: SimulatedModel, levers: frozenset[str]) -> tuple[str, ...]:
    """Return the efforts at or below the usual one; "" is the usual one."""
    if not model.usual or "effort" not in levers:
        return ("",)
    return ("", *EFFORTS[: EFFORTS.index(model.usual)])


def _right(quality: float, latent: np.ndarray) -> np.ndarray:
    bound = _NORMAL.inv_cdf(min(0.999, max(0.001, quality)))
    x = (bound - math.sqrt(SHARED) * latent) / math.sqrt(1 - SHARED)
    return np.array([_NORMAL.cdf(value) for value in x])


# --- policies that know the truth -------------------------------------------------


Group = tuple[int, bool, float | None]


def best_fixed(
    truth: Truth, requests: Sequence[Drawn], allowed: Callable[[Group], list[Choice]]
) -> tuple[float, float, float]:  # fmt: skip
    """Return cost, quality and shortfall per request of the cheapest choice for each group.

    It reaches the floor wherever a choice does, and else comes as near as any.
    """
    groups: dict[Group, int] = {}
    for one in requests:
        group = (one.kind, one.waits, one.limit)
        groups[group] = groups.get(group, 0) + 1
    tables = {
        group: np.array(
            [(truth.cost(group[0], c), truth.quality(group[0], c)) for c in allowed(group)]
        )
        for group in groups
    }

    def at(price: float) -> tuple[float, float, float]:
        sums = np.zeros(3)
        for group, count in groups.items():
            costs, qualities = tables[group].T
            short = np.maximum(0.0, FLOOR - qualities)
            pick = int(np.lexsort((costs, costs + price * short))[0])
            sums += count * np.array([costs[pick], qualities[pick], short[pick]])
        cost, quality, short_sum = sums / len(requests)
        return float(cost), float(quality), float(short_sum)

    return at(_NEVER_SHORT)


def best_of(
    truth: Truth, requests: Sequence[Drawn], shortfall: float, levers: frozenset[str],
    sets: Iterable[tuple[SimulatedModel, ...]], *, pairs_only: bool = False,
) -> tuple[float, float, float]:  # fmt: skip
    """Return the cheapest of the policies that use one set of models; else the least short."""
    found = []
    for models in sets:

        def allowed(group: Group, models: tuple[SimulatedModel, ...] = models) -> list[Choice]:
            made = truth.choices(group[0], group[1:], levers, models)
            if not pairs_only:
                return made
            return [one for one in made if one.strong] or made[-1:]

        found.append(best_fixed(truth, requests, allowed))
    enough = [one for one in found if one[2] <= shortfall + 1e-9]
    return min(enough) if enough else min(found, key=lambda one: (one[2], one[0]))


# --- the optimiser ----------------------------------------------------------------


@dataclass
class SimulatedWays:
    """Offers what the levers allow for one request, with what a service knows of lengths."""

    world: World
    drawn: Drawn
    levers: frozenset[str]

    def offers(self, option: ModelOption) -> list[VariantOffer]:
        spec = _BY_NAME[option.model]
        tiers: list[tuple[str, ModelOption]] = [("", option)]
        if "flex" in self.levers and spec.flex and self.drawn.waits and self.drawn.limit is None:
            tiers.insert(0, ("flex", _halved(option)))
        made = []
        for effort in efforts_of(spec, self.levers):
            for tier, priced in tiers:
                if effort or tier:
                    made.append(
                        VariantOffer(
                            Variant(effort, tier), priced, self.lengths(effort), speed_of,
                            as_good=not effort,
                        )
                    )  # fmt: skip
        return made

    def lengths(self, effort: str) -> Callable[[ModelRef, Tier], int | None]:
        kind, world = self.drawn.kind, self.world
        return lambda ref, tier: world.length(kind, ref.model, effort)


def _halved(option: ModelOption) -> ModelOption:
    assert option.input_price is not None
    assert option.output_price is not None
    return replace(
        option, input_price=option.input_price * _HALF, output_price=option.output_price * _HALF
    )


def speed_of(ref: ModelRef) -> AnswerSpeed:
    """Return the speed of a model; it is the same at all efforts."""
    return _BY_NAME[ref.model].speed


@dataclass
class Optimiser:
    """The product's routing with some levers, which learns from the ratings of its answers."""

    world: World
    truth: Truth
    levers: frozenset[str]
    name: str = ""
    knows: bool = False
    explore: float = 0.0
    evidence: dict[EvidenceKey, Evidence] = field(default_factory=dict)
    recorded: list[CascadeOutcome] = field(default_factory=list)
    current: Posterior = field(default_factory=lambda: Posterior({}, _PRIOR_STRENGTH))
    learned: CascadeLearning = field(default_factory=CascadeLearning)

    def __post_init__(self) -> None:
        complexity = ComplexityStrategy()
        # The weights of the shipped predictor, far from and near to what it was trained on.
        strength = _CERTAIN if self.knows else _NEAR_STRENGTH
        predictor = SimpleNamespace(expectation=self._expected, strength=lambda nearness: strength)
        strategy = LearningStrategy(
            self,
            CheapestAboveTarget(FLOOR),
            complexity,
            explorer=Explorer(self.explore, self.world.seed),
            predictor=predictor,  # type: ignore[arg-type]
        )
        options = tuple(self.world.options)
        self.by_kind = (
            [
                tuple(self._known(kind, one) for one in options)
                for kind in range(len(self.world.kinds))
            ]
            if self.knows
            else []
        )
        self.offered = options
        source = SimpleNamespace(options=lambda: self.offered, named=None)
        self.engine = RoutingEngine(source, {"learning": strategy})  # type: ignore[arg-type]

    def posterior(self) -> Posterior:
        return self.current

    def _known(self, kind: int, option: ModelOption) -> ModelOption:
        """Return the model with the places that make its expected qualities the true ones."""
        weak, strong = self.world.believed[kind]

        def place(effort: str) -> float:
            quality = self.world.truth[kind, option.model, effort]
            return (math.log(quality / (1 - quality)) - weak) / (strong - weak)

        efforts = {effort: (place(effort), 0.0) for effort in option.efforts}
        return replace(option, place=place(""), place_width=0.0, efforts=efforts)

    def _expected(self, text: object, pattern: str, complexity: float) -> SimpleNamespace:
        anchors = self.world.believed[int(complexity)]
        return SimpleNamespace(everyday=anchors, nearness=1.0, loadings=())

    def run(self, requests: Sequence[Drawn]) -> Outcome:
        costs, qualities, short = [], [], []
        for number, drawn in enumerate(requests):
            if number % _RELEARN_EVERY == 0 and not self.knows:
                self.current = Posterior(dict(self.evidence), _PRIOR_STRENGTH)
                self.learned = CascadeLearning.of(self.recorded)
            choice, expected = self._choose(drawn)
            quality = self.truth.quality(drawn.kind, choice)
            costs.append(self._answer(drawn, choice, expected))
            qualities.append(quality)
            short.append(max(0.0, FLOOR - quality))
        parts = tuple(float(np.mean(part)) for part in np.array_split(costs, 4))
        return Outcome(
            self.name, float(np.mean(costs)), float(np.mean(qualities)), float(np.mean(short)),
            parts,
        )  # fmt: skip

    def _choose(self, drawn: Drawn) -> tuple[Choice, dict[str, float]]:
        kind = self.world.kinds[drawn.kind]
        if self.knows:
            self.offered = self.by_kind[drawn.kind]
        analysis = PromptAnalysis(
            kind.pattern,
            float(drawn.kind),
            kind.tier,
            kind.tokens_in,
            text=SimpleNamespace(),  # type: ignore[arg-type]
        )
        ways = SimulatedWays(self.world, drawn, self.levers)
        context = RoutingContext(
            "", max_tokens=100_000, max_latency=drawn.limit, speed=speed_of,
            output_tokens=ways.lengths(""),
            explore=True,
            variants=ways if self.levers & {"effort", "flex"} else None,
        )  # fmt: skip
        decision = self.engine.route(context, strategy="learning", analysis=analysis)
        candidates = decision.metadata["candidates"]
        chosen = next(c for c in candidates if c["model"] == decision.model)
        expected = {"quality": chosen["expected_quality"]}
        alone = Choice(
            decision.model, chosen.get("effort", ""), chosen.get("service_tier") == "flex"
        )
        if "cascade" not in self.levers or alone.flex:
            return alone, expected
        return self._cascade(drawn, candidates, chosen, alone, expected)

    def _cascade(
        self, drawn: Drawn, candidates: list[dict], chosen: dict, alone: Choice,
        expected: dict[str, float],
    ) -> tuple[Choice, dict[str, float]]:  # fmt: skip
        """Return the cheapest cascade that is as good as the model alone (as the lever chooses)."""
        kind = self.world.kinds[drawn.kind]
        singles = [
            Single(
                "p", c["model"], c["expected_quality"],
                (c["quality_high"] - c["quality_low"]) / (2 * Z), c["expected_cost"],
                c.get("expected_latency"), c.get("effort", ""),
            )
            for c in candidates
            if c["expected_quality"] is not None
            if c.get("effort", "") == chosen.get("effort", "")
        ]  # fmt: skip
        checking = Checking((kind.check,), cost=Decimal(repr(self.truth.check(drawn.kind))))
        better = [
            one
            for one in cascades(
                singles, self.learned, checking, pattern=kind.pattern, tier=kind.tier
            )
            if one.cost < chosen["expected_cost"]
            and one.quality_low >= min(FLOOR, chosen["quality_low"])
            and (drawn.limit is None or (one.longest is not None and one.longest <= drawn.limit))
        ]
        if not better:
            return alone, expected
        best = min(better, key=lambda one: one.cost)
        choice = Choice(
            best.cheap.model, best.cheap.effort, False, best.strong.model, best.strong.effort
        )
        return choice, {"passes": best.passes, "kept": best.kept, "escalated": best.escalated}

    def _answer(self, drawn: Drawn, choice: Choice, expected: dict[str, float]) -> float:
        """Return what the answer cost, and learn from its rating if it has one."""
        truth, kind = self.truth, drawn.kind
        cost = truth.call(kind, choice.model, choice.effort, drawn.length)
        latent = math.sqrt(SHARED) * drawn.latent
        own = math.sqrt(1 - SHARED)
        first = self.world.truth[kind, choice.model, choice.effort]
        good = latent + own * drawn.luck < _NORMAL.inv_cdf(first)
        if not choice.strong:
            if drawn.rated:
                self._rate(kind, choice.model, float(good), expected["quality"])
            return cost * (0.5 if choice.flex and drawn.served else 1.0)
        power = self.world.kinds[kind].power
        passed = drawn.passing < power[0 if good else 1]
        cost += truth.check(kind)
        if not passed:
            cost += truth.call(kind, choice.strong, choice.strong_effort, drawn.length)
            strong = self.world.truth[kind, choice.strong, choice.strong_effort]
            # Another model has other luck beside the difficulty that both share.
            other = _NORMAL.inv_cdf((drawn.passing * 7919.0) % 1.0 or 0.5)
            good = latent + own * other < _NORMAL.inv_cdf(strong)
        sizes = self.world.kinds[kind]
        self.recorded.append(
            CascadeOutcome(
                sizes.pattern, sizes.tier, ModelRef("p", choice.model),
                ModelRef("p", choice.strong), sizes.check, passed, expected["passes"],
                expected["kept"], expected["escalated"], float(good) if drawn.rated else None,
                choice.effort, choice.strong_effort,
            )
        )  # fmt: skip
        return cost

    def _rate(self, kind: int, model: str, score: float, expected: float) -> None:
        sizes = self.world.kinds[kind]
        key = (sizes.pattern, sizes.tier, "p", model)
        self.evidence[key] = learn(self.evidence.get(key, NO_EVIDENCE), score, expected)


# --- the comparison ---------------------------------------------------------------


def compare(seed: int, count: int, explore: float) -> list[Outcome]:
    """Return what the optimiser and each other policy did in one world."""
    world = World(seed)
    truth, requests = Truth(world), world.requests(count)
    whole = Optimiser(world, truth, LEVERS, "optimiser: all levers", explore=explore)
    all_levers = whole.run(requests)
    allowed_short = all_levers.shortfall
    made = [all_levers]
    for name, levers in (
        ("the same, knowing the qualities", LEVERS),
        ("the same, knowing, without cascades", LEVERS - {"cascade"}),
    ):
        made.append(Optimiser(world, truth, levers, name, knows=True).run(requests))
    for name, levers in (
        ("routing alone", frozenset()),
        ("routing with effort", frozenset({"effort"})),
        ("routing with flex", frozenset({"flex"})),
        ("routing with cascades", frozenset({"cascade"})),
    ):
        made.append(Optimiser(world, truth, levers, name, explore=explore).run(requests))
    alone = [(model,) for model in MODELS]
    pairs = [(a, b) for a in MODELS for b in MODELS if a.output < b.output]
    for name, levers, sets, pairs_only in (
        ("hindsight: best choice by kind", LEVERS, [MODELS], False),
        ("hindsight: the same without cascades", LEVERS - {"cascade"}, [MODELS], False),
        ("hindsight: one model", frozenset(), alone, False),
        ("hindsight: one model, effort by kind", frozenset({"effort"}), alone, False),
        ("hindsight: one model, flex", frozenset({"flex"}), alone, False),
        ("hindsight: one cascade", frozenset({"cascade"}), pairs, True),
    ):
        found = best_of(truth, requests, allowed_short, levers, sets, pairs_only=pairs_only)
        made.append(Outcome(name, *found))
    return made


def main() -> None:
    """Print the table, with the mean over worlds and the standard error of each ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=4)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--explore", type=float, default=0.05)
    arguments = parser.parse_args()
    worlds = [
        compare(seed, arguments.requests, arguments.explore) for seed in range(arguments.worlds)
    ]
    print(f"Python {platform.python_version()}, {arguments.worlds} worlds of {arguments.requests}")
    print(f"requests, floor {FLOOR}; cost in USD per thousand requests; ratio: optimiser / policy")
    print(f"{'policy':40}{'cost':>8}{'ratio':>8}{'±':>7}{'quality':>9}{'short':>8}")
    for place, first in enumerate(worlds[0]):
        runs = [world[place] for world in worlds]
        ratios = [world[0].cost / world[place].cost for world in worlds]
        error = np.std(ratios, ddof=1) / math.sqrt(len(ratios)) if len(ratios) > 1 else math.nan
        cost, quality, short = (
            float(np.mean([getattr(run, name) for run in runs]))
            for name in ("cost", "quality", "shortfall")
        )
        print(
            f"{first.name:40}{1000 * cost:8.3f}{np.mean(ratios):8.3f}{error:7.3f}"
            f"{quality:9.3f}{short:8.4f}"
        )
    quarters = np.mean([world[0].by_part for world in worlds], axis=0)
    print("optimiser's cost by quarter of the requests:", *(f"{1000 * q:.3f}" for q in quarters))


if __name__ == "__main__":
    main()
