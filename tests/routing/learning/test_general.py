"""What is expected of prompts of a kind that nobody trained on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.analysis import analyze_prompt
from routing.learning.artifact import SHIPPED, load_artifact
from routing.learning.general import General, everyday_quality, hardness
from routing.learning.posterior import expit
from routing.learning.predictor import mixed, quality_gap

GENERAL = General(weak=(0.6, -0.1), lead=(0.12, 0.04), usual=(0.0, 1.0))
PREDICTOR = load_artifact(SHIPPED).predictor
NUMBERS = st.floats(-20, 20)


@given(NUMBERS, NUMBERS)
def test_the_harder_the_prompt_the_greater_the_lead(a: float, b: float) -> None:
    easier, harder = sorted((a, b))
    gaps = []
    for hard in (easier, harder):
        weak, strong = GENERAL.qualities(hard)
        assert 0 < weak < strong < 1
        gaps.append(strong - weak)
    assert gaps[0] <= gaps[1] + 1e-12


@given(NUMBERS, NUMBERS, st.floats(0, 1), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_a_strong_model_is_never_expected_to_do_worse(
    weak: float, strong: float, nearness: float, a: float, b: float
) -> None:
    general = (min(a, b), max(a, b))
    expected = mixed((weak, strong), general, nearness, hard=0.0)
    assert expected.anchors[0] <= expected.anchors[1]
    assert expected.everyday[0] <= expected.everyday[1]


@given(NUMBERS, NUMBERS, st.floats(0, 0.9))
def test_everyday_work_is_done_worse_the_harder_it_is_and_the_lead_is_kept(
    a: float, b: float, lead: float
) -> None:
    easier, harder = sorted((a, b))
    easy, hard = everyday_quality(easier, lead), everyday_quality(harder, lead)
    assert hard[0] <= easy[0]
    for weak, strong in (easy, hard):
        assert strong - weak == pytest.approx(lead)
        assert 0 < weak <= strong < 1


def test_people_are_content_with_more_than_benchmarks_count_as_right() -> None:
    """What strict graders rarely count tells which model is better, not whether people like it."""
    expected = mixed((-1.6, -1.5), (0.5, 0.6), 1.0, hard=-2.0)
    assert expit(expected.anchors[1]) < 0.2
    assert expit(expected.everyday[0]) > 0.9
    assert 0 < quality_gap(expected.everyday) < 0.1


def test_a_lead_that_only_a_benchmark_shows_counts_half() -> None:
    """Half on the scale of ratios: it and the general rule's lead have the same part in it."""
    compared = mixed((-2.2, 0.0), (0.5, 0.54), 1.0, hard=-2.0)
    assert quality_gap(compared.anchors) == pytest.approx(0.4, abs=0.01)
    assert quality_gap(compared.everyday) == pytest.approx((0.4 * 0.04) ** 0.5, abs=0.01)


def test_far_from_what_was_trained_on_only_the_general_rule_counts() -> None:
    expected = mixed((3.0, -3.0), (0.4, 0.7), 0.0, hard=0.0)
    assert [expit(value) for value in expected.anchors] == pytest.approx([0.4, 0.7])


def test_work_and_doubt_make_a_prompt_harder() -> None:
    assert hardness(0.5, "code") > hardness(0.5, "general") > hardness(0.5, "factual")
    assert hardness(0.6, "general") > hardness(0.5, "general")
    assert GENERAL.harder(0.0, weak_logit=-1.0) > 0 > GENERAL.harder(0.0, weak_logit=1.0)
    assert GENERAL.harder(0.0, weak_logit=-100.0) == GENERAL.harder(0.0, weak_logit=-3.0)


WORD_PROBLEM = (
    "A baker sells {n} loaves of bread each morning and half as many in the afternoon. Each loaf "
    "costs {p} dollars. How much money does she take in over {d} days?"
)
NOVEL = "Übersetze das Märchen in ein Libretto; achte auf Reime und nenne die Tonarten der Arien."


def nearness(prompt: str) -> float:
    analysis = analyze_prompt(prompt)
    assert analysis.text is not None
    return PREDICTOR.expectation(analysis.text, analysis.pattern).nearness


def test_prompts_like_those_trained_on_are_near_and_others_are_not() -> None:
    near = np.mean([nearness(WORD_PROBLEM.format(n=n, p=n % 7 + 2, d=n % 5 + 3)) for n in range(9)])
    assert near > 0.5
    assert nearness(NOVEL) < 0.2
    assert PREDICTOR.strength(0.0) == PREDICTOR.far_strength < PREDICTOR.near_strength


def test_a_far_prediction_has_a_wider_interval() -> None:
    """It weighs fewer ratings, so the same rating counts for more."""
    assert PREDICTOR.strength(0.2) < PREDICTOR.strength(0.9)


def test_the_gap_is_that_of_the_anchors() -> None:
    analysis = analyze_prompt(WORD_PROBLEM.format(n=12, p=3, d=4))
    assert analysis.text is not None
    anchors = PREDICTOR.anchors(analysis.text, analysis.pattern, analysis.complexity)
    assert anchors == PREDICTOR.anchors(analysis.text, analysis.pattern)
    assert 0 <= quality_gap(anchors) < 1


@pytest.mark.parametrize(
    "prompt",
    ["Write a haiku about a dog.", "Draft a reply to my neighbour.", "How do I sleep better?"],
)
def test_everyday_requests_belong_to_no_benchmark(prompt: str) -> None:
    """They begin as the tasks of a benchmark of code or of questions do."""
    assert nearness("Write a function to find the shared elements of two lists.") > 0.8
    assert nearness(prompt) < 0.5
