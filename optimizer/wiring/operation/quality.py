"""All that judges answers, and the baseline, as the environment and operators set them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError

from analytics.access.audit import Actor
from analytics.autopilot.steps import autopilot_on
from analytics.operation.runtime_settings import (
    runtime_settings_change,
    runtime_settings_stored,
    runtime_settings_version,
)
from optimizer.domain.model_names import ModelNames
from optimizer.gateway.follow_ups import Watchers
from optimizer.pricing.baseline_choice import COMPLEXITY, BaselineChoice
from optimizer.quality.guarantee import ActiveGuarantee, GuaranteeInForce
from optimizer.shared.snapshot import Snapshot
from optimizer.wiring.autopilot import Autopilot
from optimizer.wiring.operation.errors import SetElsewhere
from optimizer.wiring.operation.settings import (
    RUNTIME_SETTINGS,
    SettingStanding,
    setting_standings,
    with_stored,
)
from optimizer.wiring.product_settings import ProductSettings
from optimizer.wiring.quality import configured_guarantee, default_baseline, find_judge
from providers.catalogue import Catalogue
from providers.pricing import PriceBook
from providers.resilience import ResilientCaller
from routing.adjustments.guarantee import Guarantee

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Models:
    """What names of models are checked against."""

    names: ModelNames
    catalogue: Catalogue
    caller: ResilientCaller
    prices: PriceBook


@dataclass(frozen=True, slots=True)
class JudgingInForce:
    """All that judges answers, built together: by one set of settings and one guarantee."""

    watchers: Watchers
    autopilot: Autopilot


Build = Callable[[ProductSettings, ActiveGuarantee | None], JudgingInForce]


class ActiveQuality:
    """Keeps judge, guarantee and baseline as they are set; ``refresh`` reads the database.

    ``product`` are the settings without the operators'. ``build`` makes what judges, ``watch`` puts
    it into force.
    """

    def __init__(
        self,
        product: ProductSettings,
        environment: Mapping[str, str],
        models: Models,
        baselines: BaselineChoice,
        guarantee: GuaranteeInForce,
        build: Build,
    ) -> None:
        self._base = product
        self._environment = environment
        self._models = models
        self._baselines = baselines
        self._guarantee = guarantee
        self._build = build
        self._stored = Snapshot(runtime_settings_stored, runtime_settings_version)
        self._stored_in_force: dict[str, str] | None = None
        self._lock = threading.Lock()
        self.product = product
        """The settings in force."""
        self.judging = build(product, guarantee.active)
        self._built_for = self._inputs(product)
        self._changes = models.caller.changes
        self.watch: Callable[[Watchers], None] = lambda watchers: None

    def refresh(self) -> None:
        """Put into force what operators have changed: settings, keys of providers, models.

        What an error prevents is tried again by the next call.
        """
        with self._lock:
            self._stored.refresh()
            stored, changes = self._stored.value, self._models.caller.changes
            if stored is self._stored_in_force and changes == self._changes:
                return
            product = self._with_stored(self._stored.value or {})
            self._set_baseline(product)
            self._set_judging(product)
            self.product = product
            self._stored_in_force, self._changes = stored, changes

    def standings(self) -> list[SettingStanding]:
        """Return the settings in force, each with where it comes from. Reads the database."""
        self.refresh()
        return setting_standings(self.product, self._environment, self._stored.value or {})

    def change(self, values: Mapping[str, str | None], *, who: Actor) -> list[str]:
        """Set the settings with these names, all or none; ``None`` returns one to its default.

        Return the variables that changed. Raises :class:`SetElsewhere`, and ``ValidationError``
        by the name of the setting.
        """
        self.refresh()
        new = dict(self._stored.value or {})
        for name, value in values.items():
            spec = RUNTIME_SETTINGS[name]
            if self._environment.get(spec.variable, "").strip():
                raise SetElsewhere(f"{name} is set by {spec.variable}, which wins.")
            if value is None:
                new.pop(spec.variable, None)
                continue
            try:
                new[spec.variable] = str(spec.read(value))
            except ValueError as error:
                raise ValidationError({name: str(error)}) from None
        self._check(with_stored(self._base, self._environment, new), values)
        changes = {RUNTIME_SETTINGS[name].variable: None for name in values}
        changed = runtime_settings_change(
            {variable: new.get(variable) for variable in changes}, who=who
        )
        self.refresh()
        return changed

    def refresh_guarantee(self) -> None:
        """Calibrate the guarantee again if there are new comparisons."""
        self._guarantee.refresh()

    def guarantee_now(self) -> Guarantee | None:
        """Return the guarantee in force, read anew: maybe in a process that reads nothing else."""
        self.refresh()
        self._guarantee.refresh()
        return self._guarantee.guarantee()

    def write_counts(self) -> None:
        """Write what shadow evaluation has counted."""
        shadow = self.judging.watchers.shadow
        if shadow is not None:
            shadow.write_counts()

    def refresh_trials(self) -> None:
        """Read the trials of the autopilot."""
        active = self.judging.watchers.autopilot
        if active is not None:
            active.refresh()

    def run_autopilot(self) -> object:
        """Run the autopilot's periodic task, maybe in a process that reads nothing else."""
        self.refresh()
        return self.judging.autopilot.run()

    def _with_stored(self, stored: Mapping[str, str]) -> ProductSettings:
        try:
            return with_stored(self._base, self._environment, stored)
        except ValueError as error:
            logger.error("The settings that operators have set cannot be read: %s", error)
            return self.product

    def _set_baseline(self, product: ProductSettings) -> None:
        try:
            default = default_baseline(product, *self._all_models())
        except ImproperlyConfigured as error:
            logger.error("The baseline stays as it was. %s", error)
            return
        complexity = product.baseline_model == COMPLEXITY
        self._baselines.change(default, complexity=complexity)

    def _set_judging(self, product: ProductSettings) -> None:
        """Rebuild what judges if it would be another; it is complete before it is in force."""
        inputs = self._inputs(product)
        if inputs == self._built_for:
            return
        guarantee = self._guarantee.active
        if inputs[:3] != self._built_for[:3]:
            try:
                guarantee = configured_guarantee(product, self._models.names, self._models.caller)
            except ImproperlyConfigured as error:
                logger.error("The guarantee stays as it was. %s", error)
            if guarantee is not None:
                guarantee.refresh()
        judging = self._build(product, guarantee)
        if judging.watchers.autopilot is not None:
            judging.watchers.autopilot.refresh()
        self.write_counts()
        self._guarantee.active = guarantee
        self.judging = judging
        self.watch(judging.watchers)
        self._built_for = inputs

    def _inputs(self, product: ProductSettings) -> tuple[Any, ...]:
        """Return what decides how answers are judged: the first three are the guarantee's."""
        models = self._models
        judge, _ = find_judge(product, models.names, models.caller, models.prices)
        return (
            product.guarantee_reference,
            product.guarantee_tolerance,
            product.guarantee_confidence,
            judge,
            product.judge_rate,
            product.judge_daily_budget,
            *(getattr(product, name) for name in _OF_TRIALS),
        )

    def _check(self, product: ProductSettings, changed: Mapping[str, Any]) -> None:
        """Raise ``ValidationError`` if a changed setting could not be put into force."""
        models = self._models
        if "baseline_model" in changed:
            try:
                default_baseline(product, *self._all_models())
            except ImproperlyConfigured as error:
                raise ValidationError({"baseline_model": _without_name(error)}) from None
        if changed.get("guarantee_reference"):
            if autopilot_on(by_default=product.autopilot):
                words = "The autopilot is on, and would take requests from the guarantee."
                raise ValidationError({"guarantee_reference": words})
            try:
                configured_guarantee(product, models.names, models.caller)
            except ImproperlyConfigured as error:
                raise ValidationError({"guarantee_reference": _without_name(error)}) from None
        if changed.get("shadow_rate") and product.shadow_rate and not product.judge_model:
            raise ValidationError({"shadow_rate": "Without judge_model, nothing is judged."})
        if changed.get("judge_model"):
            _, problem = find_judge(product, models.names, models.caller, models.prices)
            if problem:
                raise ValidationError({"judge_model": problem})

    def _all_models(self) -> tuple[ModelNames, Catalogue, ResilientCaller, PriceBook]:
        models = self._models
        return models.names, models.catalogue, models.caller, models.prices


_OF_TRIALS = tuple(name for name in RUNTIME_SETTINGS if name.startswith(("shadow_", "autopilot_")))
"""Settings of shadow evaluation and of the autopilot."""


def _without_name(error: Exception) -> str:
    return str(error).partition(": ")[2] or str(error)
