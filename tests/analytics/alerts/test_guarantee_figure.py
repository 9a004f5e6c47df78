"""The alert on the guarantee: which calibrations raise it, and what people read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from analytics.alerts.guarantee_figure import guarantee_reading
from analytics.alerts.metrics import read_rule
from analytics.alerts.raising import alerts_raise
from analytics.models import Alert, AlertRule
from routing.adjustments.guarantee import Guarantee
from routing.guarantee.calibration import (
    NO_EVIDENCE,
    Calibration,
    Promise,
    calibrate_now,
    window_of,
)
from routing.models import ModelRef

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
PROMISE = Promise(0.05)
KEPT = Calibration(0.6, 0.03, 0.01, 0.7, 2000)
RULE = AlertRule(name="watched", metric="guarantee", limit=0)


def guarantee(calibration: Calibration) -> Guarantee:
    return Guarantee(ModelRef("claude", "claude-opus-5-5"), PROMISE, calibration)


@pytest.mark.parametrize(
    ("calibration", "passed", "words"),
    [
        (KEPT, False, "70% of requests are routed"),
        # A lower threshold is in doubt wherever one is chosen: no reason to alert.
        (replace(KEPT, doubt=True), False, "the loss was 0.0100"),
        (NO_EVIDENCE, False, "0 compared answers are too few yet"),
        (replace(NO_EVIDENCE, samples=30, doubt=True), True, "30 answers were compared since"),
        (replace(NO_EVIDENCE, samples=window_of(PROMISE)), True, "falls short"),
        (replace(KEPT, threshold=1.0, routed=0.0), True, "falls short"),
    ],
)
def test_which_calibrations_raise_it(calibration: Calibration, passed: bool, words: str) -> None:
    reading = guarantee_reading(RULE, NOW, guarantee(calibration))
    assert (reading.passed, reading.calm) == (passed, not passed)
    assert words in reading.text


def test_without_a_guarantee_it_is_silent() -> None:
    reading = read_rule(RULE, NOW)
    assert (reading.value, reading.passed) == (None, False)


def test_a_model_that_gets_worse_raises_it_and_one_that_is_well_does_not() -> None:
    random = np.random.default_rng(7)
    scores = random.uniform(0.5, 1, 3000)
    well = random.choice([-1.0, 0.0, 1.0], 3000, p=[0.1, 0.8, 0.1])
    worse = np.concatenate((well, random.choice([0.0, 1.0], 150, p=[0.2, 0.8])))
    more = np.concatenate((scores, random.uniform(0.5, 1, 150)))
    quiet = guarantee_reading(RULE, NOW, guarantee(calibrate_now(scores, well, PROMISE)))
    loud = guarantee_reading(RULE, NOW, guarantee(calibrate_now(more, worse, PROMISE)))
    assert not quiet.passed, quiet.text
    assert loud.passed, loud.text
    assert "quality has changed" in loud.text


@pytest.mark.django_db
def test_it_is_raised_once_and_over_once() -> None:
    AlertRule.objects.create(name="watched", metric="guarantee", limit=0)
    drifted = guarantee(replace(NO_EVIDENCE, samples=30, doubt=True))
    for minute in range(2):
        alerts_raise(NOW + timedelta(minutes=minute), guarantee=drifted)
    alert = Alert.objects.get()
    assert alert.text.startswith("watched: quality has changed")
    for minute in (10, 21):
        alerts_raise(NOW + timedelta(minutes=minute), guarantee=guarantee(KEPT))
    alert.refresh_from_db()
    assert alert.resolved_at is not None
    assert alert.end_text.startswith("Resolved: watched: quality is at most 0.05 below")
