"""Lines from published indices to the scale of abilities."""

from __future__ import annotations

import math
import random

import pytest

from optimizer.lab.ability_lines import FEWEST_MODELS, IndexValue, fit_line, fit_lines
from providers.abilities import Ability


def test_a_line_is_recovered_with_the_error_of_its_residuals() -> None:
    draw = random.Random(1)
    xs = [40 + number / 4 for number in range(100)]
    known = [Ability(1 + 0.2 * (x - 50) + draw.gauss(0, 0.4)) for x in xs]

    line = fit_line(xs, known)

    assert line is not None
    assert line.models == 100
    assert line.slope == pytest.approx(0.2, abs=0.02)
    assert line.error == pytest.approx(0.4, abs=0.06)
    assert line.ability(50).mean == pytest.approx(1.0, abs=0.1)


def test_the_error_grows_outside_the_models_of_the_fit() -> None:
    xs = [1.0, 2.0, 3.0, 4.0, 5.0]
    line = fit_line(xs, [Ability(x + (-1) ** round(x)) for x in xs])

    assert line is not None
    assert line.ability(3).width < line.ability(6).width < line.ability(20).width


@pytest.mark.parametrize(
    ("xs", "means"),
    [
        ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]),
        ([2.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 4.0, 3.0, 2.0, 1.0]),
    ],
)
def test_no_line_through_few_or_equal_values_or_one_that_falls(
    xs: list[float], means: list[float]
) -> None:
    assert fit_line(xs, [Ability(mean) for mean in means]) is None


def test_uncertain_abilities_widen_the_error() -> None:
    xs = [float(x) for x in range(8)]
    sure = fit_line(xs, [Ability(x) for x in xs])
    unsure = fit_line(xs, [Ability(x, 0.7) for x in xs])

    assert sure is not None
    assert unsure is not None
    assert unsure.error == pytest.approx(0.7)
    assert sure.error < unsure.error


def test_an_index_of_new_models_is_fitted_through_the_first_index() -> None:
    recorded = {f"old-{n}": n / 2 for n in range(FEWEST_MODELS)}
    values = [IndexValue("old", f"old-{n}", float(n)) for n in range(FEWEST_MODELS)]
    for n in range(10, 10 + FEWEST_MODELS):
        values += [IndexValue("old", f"new-{n}", float(n)), IndexValue("new", f"new-{n}", 3.0 * n)]

    lines = fit_lines(values, recorded)

    assert lines["old"].models == FEWEST_MODELS
    assert lines["new"].ability(3.0 * 12).mean == pytest.approx(6.0)
    assert lines["new"].error > lines["old"].error


def test_an_index_that_no_known_model_has_gets_no_line() -> None:
    values = [IndexValue("alone", f"m-{n}", float(n)) for n in range(9)]

    assert fit_lines(values, {"other": 1.0}) == {}


def test_widths_are_numbers() -> None:
    line = fit_line([0.0, 1.0, 2.0, 3.0, 4.0], [Ability(float(n)) for n in range(5)])

    assert line is not None
    assert math.isfinite(line.ability(1e6).width)
