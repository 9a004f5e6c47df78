"""Which arm of the running experiment a request belongs to, and how it is routed there."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from analytics.cache import scoped_cache_key
from analytics.models import Experiment
from optimizer.domain.analyzed_request import Assignment
from optimizer.domain.model_names import ModelNames
from optimizer.domain.request import GatewayRequest, stricter
from optimizer.policies.policy import PolicyError, PolicySpec, leaves_choice, read_arm
from routing.rules import Rule

logger = logging.getLogger(__name__)

_BUCKETS = 2**64


@dataclass(frozen=True, slots=True)
class _Running:
    name: str
    unit: str
    share: float
    arms: dict[str, PolicySpec]


def arm_of(experiment: str, unit: str, share: float) -> str:
    """The same unit has the same arm for ever, whatever it has in other experiments."""
    digest = hashlib.sha256(f"{experiment}\0{unit}".encode()).digest()
    return "treatment" if int.from_bytes(digest[:8]) < share * _BUCKETS else "control"


class Experiments:
    """``load`` reads the running experiment, if any. ``refresh`` is not for the event loop."""

    def __init__(self, names: ModelNames, load: Callable[[], Experiment | None]) -> None:
        self._names = names
        self._load = load
        self.running: _Running | None = None
        self._left_out = ""

    def refresh(self) -> None:
        """Take over what has begun or ended; one with a policy that cannot be read is left out."""
        found = self._load()
        if found is None:
            self.running = None
            return
        try:
            arms = {
                "control": read_arm(found.control, self._names),
                "treatment": read_arm(found.treatment, self._names),
            }
        except PolicyError as error:
            if found.name != self._left_out:  # said once, not at every refresh
                logger.error("The experiment %s is left out: %s", found.name, error)
            self._left_out, self.running = found.name, None
            return
        self.running = _Running(found.name, found.unit, found.share, arms)

    def assign(self, request: GatewayRequest) -> tuple[GatewayRequest, Assignment | None]:
        """``request`` as its arm has it, where it takes part: it leaves the choice to us, and says
        whose it is.
        """
        running = self.running
        if (
            running is None
            or not leaves_choice(request.requested_model)
            or request.only is not None
        ):
            return request, None
        unit = {"user": request.user_id, "session": request.session_id}.get(
            running.unit, str(request.request_id)
        )
        if not unit:
            return request, None
        arm = arm_of(running.name, unit, running.share)
        policy = running.arms[arm]
        asked = replace(
            request,
            strategy="complexity" if policy.only else policy.strategy,
            min_quality=stricter(request.min_quality, policy.quality_target, max),
            max_cost=stricter(request.max_cost, policy.cost_cap, min),
            # Neither arm is given answers of the other, or of before.
            cache_key=scoped_cache_key(request.cache_key, running.name, arm),
            semantic_key=scoped_cache_key(request.semantic_key, running.name, arm),
        )
        return asked, Assignment(running.name, arm, _preference(running.name, policy))


def _preference(experiment: str, policy: PolicySpec) -> Rule | None:
    if policy.only is None:
        return None
    models = tuple(f"{provider}/{model}" for provider, model in sorted(policy.only))
    return Rule(f"experiment {experiment}", action="prefer", models=models)


def running_experiment() -> Experiment | None:
    """From the database."""
    return Experiment.objects.filter(status=Experiment.Status.RUNNING).first()
