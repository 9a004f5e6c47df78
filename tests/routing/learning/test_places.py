"""Places between the weak and the strong model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.learning.places import ABOVE, BELOW, WIDE, place_between, tier_place
from routing.learning.predictor import logit_at, logit_of_tier
from routing.models import TIERS

ABILITIES = st.floats(-8, 8)


def test_the_anchors_are_0_and_1_and_between_them_places_are_even() -> None:
    places = [place_between(-0.4, 1.6, ability, 0.2) for ability in (-0.4, 0.6, 1.6)]

    assert [place.at for place in places] == pytest.approx([0.0, 0.5, 1.0])
    assert [place.width for place in places] == pytest.approx([0.1] * 3)


@given(ABILITIES, ABILITIES)
def test_a_more_able_model_never_has_a_lower_place(one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert place_between(-0.4, 1.6, low, 0.5).at <= place_between(-0.4, 1.6, high, 0.5).at


def test_places_of_todays_models_differ_beyond_the_strong_model() -> None:
    places = [place_between(-0.4, 1.6, ability, 0.5).at for ability in (1.8, 2.7, 4.5, 5.5, 6.0)]

    assert places == sorted(set(places))
    assert places[0] > 1
    assert places[-1] < 1 + ABOVE


@given(ABILITIES)
def test_places_are_bounded_and_widths_never_grow_beyond_the_line(ability: float) -> None:
    place = place_between(-0.4, 1.6, ability, 0.5)

    assert -BELOW <= place.at <= 1 + ABOVE
    assert 0 <= place.width <= 0.25 + 1e-9


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_has_the_place_that_its_logit_has_and_is_wide(tier: str) -> None:
    place = tier_place(tier)  # type: ignore[arg-type]

    assert place.width == WIDE
    assert logit_at((-1.0, 2.0), place.at) == logit_of_tier((-1.0, 2.0), tier)  # type: ignore[arg-type]
