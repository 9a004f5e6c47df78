"""Builds the levers from settings."""

from __future__ import annotations

import shlex

from django.core.exceptions import ImproperlyConfigured

from analytics.levers import HARM_BUDGET, levers_load
from analytics.models import Lever
from analytics.quality.lever_harm import HarmWatch
from analytics.reports.lever_rows import TrialReading
from analytics.reports.levers import results_update
from optimizer.domain.levers import DRAWN_BY_REQUEST, LEVERS
from optimizer.gateway.levers.cascade.checks.command_check import CommandCheck
from optimizer.gateway.levers.plans import RequestLever
from optimizer.gateway.levers.short_answers import ShortAnswersLever
from optimizer.gateway.levers.variants import EffortLever
from optimizer.policies.levers import JOINT_SHARE, ActiveLevers, LeverSettingError, read_modes
from optimizer.wiring.product_settings import ProductSettings

REQUEST_LEVERS: tuple[RequestLever, ...] = (EffortLever(), ShortAnswersLever())
"""The levers that change what is sent, in the order in which they do."""

_FIRST = ("cache_marks", "response_cache", "semantic_cache")
TRIAL_READING = TrialReading(
    (*_FIRST, *(name for name in LEVERS if name not in _FIRST)), DRAWN_BY_REQUEST, JOINT_SHARE
)
"""How the ledger's trials are read."""


def cascade_command(product: ProductSettings) -> CommandCheck | None:
    """Return the operator's command that checks answers, ``None`` if none is set.

    Raises ``ImproperlyConfigured`` if CASCADE_COMMAND cannot be read.
    """
    try:
        command = shlex.split(product.cascade_command)
    except ValueError as error:
        raise ImproperlyConfigured(f"CASCADE_COMMAND: {error}") from None
    return CommandCheck(command, product.cascade_command_seconds) if command else None


def active_levers(product: ProductSettings) -> ActiveLevers:
    """Return the levers as settings and operators use them.

    Raises ``ImproperlyConfigured`` if LEVERS cannot be read.
    """
    try:
        fixed = read_modes(product.levers)
    except LeverSettingError as error:
        raise ImproperlyConfigured(f"LEVERS: {error}") from None
    used = {
        "cache_marks": product.prompt_caching,
        "response_cache": product.response_cache,
        "semantic_cache": product.response_cache and product.semantic_cache,
    }
    return ActiveLevers(
        fixed,
        levers_load,
        control_share=product.lever_control_share,
        switched_off=[name for name, on in used.items() if not on],
    )


class LeverTasks:
    """What runs regularly about levers: stopping those that do harm, and measuring savings."""

    def __init__(self, levers: ActiveLevers) -> None:
        self._levers = levers
        self._watch = HarmWatch(DRAWN_BY_REQUEST)

    def stop_harmful(self) -> None:
        """Stop the levers that do harm."""
        if proven := self._proven():
            self._watch.stop_harmful(proven)

    def measure(self) -> None:
        """Compute anew what each lever saved."""
        harm = {}
        for name, control in self._proven():
            row = Lever.objects.filter(pk=name).first()
            budget = HARM_BUDGET if row is None else row.harm_budget
            harm[name] = self._watch.scores(name, control, row).as_json(budget)
        results_update(TRIAL_READING, harm)

    def _proven(self) -> list[tuple[str, float]]:
        """Return the levers that are being proven, with the share that each leaves alone."""
        self._levers.refresh()
        states = self._levers.states.items()
        return [(name, state.control_share) for name, state in states if state.mode == "prove"]
