"""Recorded outcomes in memory, and the score expected of a model before there are ratings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

from django.db import Error, connection

from optimizer.quality.model_places import place_of
from optimizer.shared.log_once import LogOnce
from optimizer.shared.snapshot import Snapshot
from providers.abilities import AbilityTable
from providers.known_models import KnownModels
from routing.analysis import analyze_prompt
from routing.learning.places import place_on
from routing.learning.posterior import PRIOR_STRENGTH, Posterior, expit, tier_prior
from routing.learning.predictor import QualityPredictor, logit_at, logit_of_tier
from routing.models import Evidence, EvidenceKey, Tier

logger = logging.getLogger(__name__)


class EvidenceTable:
    """A snapshot of all outcomes, replaced as a whole at each refresh.

    ``load`` reads the database; it runs on a thread, never on the event loop.
    ``strength`` is the weight of an expectation against outcomes, in ratings.
    """

    def __init__(
        self,
        load: Callable[[], dict[EvidenceKey, Evidence]],
        strength: float = PRIOR_STRENGTH,
    ) -> None:
        self._empty = Posterior({}, strength)
        self._outcomes = Snapshot(lambda: Posterior(load(), strength))
        self._unreadable = LogOnce(logger)

    def posterior(self) -> Posterior:
        """Return the current snapshot."""
        return self._outcomes.value or self._empty

    def refresh(self) -> None:
        """Replace the snapshot with the current outcomes.

        If the database cannot be read, the last snapshot stays and a warning is logged once.
        """
        try:
            self._outcomes.refresh()
        except Error as error:
            connection.close()  # the next refresh opens a new one
            kind = type(error).__name__
            self._unreadable.log("Outcomes cannot be read (%s); the last ones stay", kind)
        else:
            self._unreadable.resolved()


class Expectations:
    """Expected scores from the trained predictor; without it or the prompt, from the tiers."""

    def __init__(
        self,
        models: KnownModels,
        predictor: QualityPredictor | None,
        abilities: AbilityTable | None = None,
    ) -> None:
        self._models = models
        self._predictor = predictor
        self._abilities = abilities

    def expected(
        self, prompt: str, tier: str, provider: str, model: str, effort: str = ""
    ) -> float:
        """Return the score, 0-1, expected of ``model`` on ``prompt`` of ``tier``.

        ``prompt`` is empty if it is not stored, ``effort`` if the request did not state how much
        the model is to reason.
        """
        spec = self._models.find(provider, model)
        strength = cast(Tier, spec.tier if spec else "moderate")
        if self._predictor is None or not prompt:
            return tier_prior(strength, cast(Tier, tier))
        analysis = analyze_prompt(prompt)
        assert analysis.text is not None
        expected = self._predictor.expectation(analysis.text, analysis.pattern, analysis.complexity)
        if spec is None or self._abilities is None:
            return expit(logit_of_tier(expected.everyday, strength))
        place = place_of(spec, self._abilities, effort)
        at = place_on(place.at, place.by_domain, expected.loadings)
        return expit(logit_at(expected.everyday, at))
