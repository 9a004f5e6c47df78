"""What a prompt asks for, and a model that is better at some of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.analysis import analyze_prompt
from routing.learning.artifact import SHIPPED, load_artifact
from routing.learning.domains import DOMAINS, Loadings, loadings_of, with_tools
from routing.learning.places import place_between, place_on
from routing.models import ModelOption
from tests.routing.catalogue import Fixed, context, engine_over, option

PREDICTOR = load_artifact(SHIPPED).predictor
PATTERNS = ("code", "analysis", "creative", "explanation", "factual", "reasoning", "general")


def loadings(prompt: str) -> dict[str, float]:
    analysis = analyze_prompt(prompt)
    assert analysis.text is not None
    expected = PREDICTOR.expectation(analysis.text, analysis.pattern, analysis.complexity)
    return dict(zip(DOMAINS, expected.loadings, strict=True))


@pytest.mark.parametrize(
    ("prompt", "domain"),
    [
        ("Write a function to find the longest common prefix of a list of strings.", "code"),
        ("Refactor this class so that its methods can be tested: class A { int b; }", "code"),
        ("Tom has 12 apples and gives a third of them away. How many are left?", "maths"),
        ("Who was the first woman to win a Nobel Prize?", "knowledge"),
        ("Write a song about the sea at night.", "language"),
    ],
)
def test_a_prompt_loads_most_on_what_it_asks_for(prompt: str, domain: str) -> None:
    shares = loadings(prompt)
    assert max(shares, key=lambda name: shares[name]) == domain


@given(st.sampled_from(PATTERNS), st.floats(0, 1), st.integers(0, len(DOMAINS) - 1))
def test_loadings_are_shares(pattern: str, nearness: float, kind: int) -> None:
    known = [float(place == kind) for place in range(len(DOMAINS))]
    shares = loadings_of(pattern, known, nearness)
    for found in (shares, with_tools(shares)):
        assert sum(found) == pytest.approx(1)
        assert all(share >= 0 for share in found)
    assert with_tools(shares)[DOMAINS.index("tools")] >= 0.5


def test_on_known_ground_the_kind_counts_and_elsewhere_the_work() -> None:
    maths: Loadings = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert loadings_of("factual", maths, 1.0)[0] == 1.0
    assert loadings_of("factual", maths, 0.0)[0] == 0.0


def test_a_model_is_expected_to_be_better_where_it_is_known_to_be() -> None:
    coder = place_between(-0.3, 1.6, 1.0, 0.4, (0.0, 0.5, -0.5, 0.0, 0.0, 0.0))
    code, knowledge = ((0.0, 1.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
    assert place_on(coder.at, coder.by_domain, code) > coder.at
    assert place_on(coder.at, coder.by_domain, knowledge) < coder.at
    assert place_on(coder.at, (), code) == coder.at


def test_routing_takes_the_model_that_is_better_at_the_kind_of_work() -> None:
    coder = option("a", "coder", "simple", 0, "1", place=0.8)
    scholar = option("b", "scholar", "simple", 1, "1", place=0.8)
    able = 0.6
    coder = replace(coder, place_by_domain=(0.0, able, -able, 0.0, 0.0, 0.0))
    scholar = replace(scholar, place_by_domain=(0.0, -able, able, 0.0, 0.0, 0.0))

    assert best((coder, scholar), "Refactor the class below: class Queue { int size; }") == "coder"
    assert best((coder, scholar), "Which treaty of 1648 ended the war?") == "scholar"


def best(options: tuple[ModelOption, ...], prompt: str) -> str:
    engine = engine_over(Fixed(options), predictor=PREDICTOR)
    decision = engine.route(context(prompt), strategy="learning")
    rated = {c["model"]: c["expected_quality"] for c in decision.metadata["candidates"]}
    return max(rated, key=lambda model: rated[model])
