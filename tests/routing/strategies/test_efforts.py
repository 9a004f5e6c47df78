"""The effort of reasoning that a request states: each effort of a model has a place of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.learning.artifact import SHIPPED, load_artifact
from routing.learning.places import place_at_effort
from routing.models import ModelOption
from tests.routing.catalogue import HARD, Fixed, context, engine_over, option

PREDICTOR = load_artifact(SHIPPED).predictor
MODEL = replace(
    option("a", "thinker", "moderate", 0, "1"),
    place=1.4, place_width=0.25, efforts={"low": (1.3, 0.2), "high": (1.9, 0.2)},
)  # fmt: skip
OTHER = replace(option("b", "other", "moderate", 1, "2"), place=1.5, place_width=0.25)


def candidates(effort: str, *options: ModelOption) -> dict[str, dict]:
    engine = engine_over(Fixed(options or (MODEL, OTHER)), predictor=PREDICTOR)
    decision = engine.route(context(HARD, effort=effort), strategy="learning")
    return {c["model"]: c for c in decision.metadata["candidates"]}


def test_more_effort_is_another_quality() -> None:
    qualities = [candidates(e)["thinker"]["expected_quality"] for e in ("low", "", "high")]
    assert qualities == sorted(set(qualities))


def test_where_an_effort_is_not_known_the_usual_place_counts_and_is_wider() -> None:
    plain, stated = candidates("")["other"], candidates("high")["other"]
    assert stated["expected_quality"] == plain["expected_quality"]
    assert stated["quality_low"] < plain["quality_low"]
    assert stated["quality_high"] > plain["quality_high"]


@pytest.mark.parametrize("strategy", ["complexity", "learning", "cheapest", "best"])
def test_candidates_carry_the_effort_only_if_there_is_one(strategy: str) -> None:
    engine = engine_over(Fixed((MODEL, OTHER)), predictor=PREDICTOR)
    for effort in ("", "high"):
        decision = engine.route(context(HARD, effort=effort), strategy=strategy)
        carried = {c.get("effort", "") for c in decision.metadata["candidates"]}
        assert carried == {effort}


@given(st.floats(-1, 3), st.floats(0, 2), st.sampled_from(["low", "medium", "max"]))
def test_an_effort_that_is_not_known_is_never_surer(at, width, effort) -> None:
    place = place_at_effort({"low": (0.5, 0.1)}, effort, at, width)
    if effort == "low":
        assert place[:2] == (0.5, 0.1)
    else:
        assert place.at == at
        assert place.width > width
