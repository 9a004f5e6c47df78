"""The running experiment: assigns a request to an arm, and routes it by the arm's policy."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from analytics.cache import scoped_cache_key
from analytics.models import Experiment
from optimizer.domain.analyzed_request import Assignment
from optimizer.domain.model_names import ModelNames
from optimizer.domain.request import GatewayRequest
from optimizer.domain.request_bounds import stricter
from optimizer.policies.arms import place_of
from optimizer.policies.policy import PolicyError, PolicySpec, leaves_choice, read_arm
from optimizer.shared.log_once import LogOnce
from routing.rules import Rule

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Running:
    name: str
    unit: str
    share: float
    arms: dict[str, PolicySpec]


def arm_of(experiment: str, unit: str, share: float) -> str:
    """Return ``control`` or ``treatment``; ``share`` is the treatment's, 0-1.

    A unit always has the same arm in an experiment, independent of its arms in others.
    """
    return "treatment" if place_of(experiment, unit) < share else "control"


class Experiments:
    """Assigns requests to the arms of the running experiment, which ``load`` reads.

    ``refresh`` reads the database, so do not call it on the event loop.
    """

    def __init__(self, names: ModelNames, load: Callable[[], Experiment | None]) -> None:
        self._names = names
        self._load = load
        self.running: _Running | None = None
        self._unreadable = LogOnce(logger, logging.ERROR)

    def refresh(self) -> None:
        """Read the running experiment; one whose policies cannot be read is left out."""
        experiment = self._load()
        if experiment is None:
            self.running = None
            return
        try:
            arms = {
                "control": read_arm(experiment.control, self._names),
                "treatment": read_arm(experiment.treatment, self._names),
            }
        except PolicyError as error:
            name = experiment.name
            self._unreadable.log("The experiment %s is left out: %s", name, error, about=name)
            self.running = None
            return
        self.running = _Running(experiment.name, experiment.unit, experiment.share, arms)

    def assign(self, request: GatewayRequest) -> tuple[GatewayRequest, Assignment | None]:
        """Return ``request`` under the policy of its arm, and the assignment.

        A request takes part if it leaves the choice of the model to the service and has the
        experiment's unit (a user, a session or the request itself). Any other request is
        returned as it is, with ``None``.
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
        assigned = replace(
            request,
            strategy="complexity" if policy.only else policy.strategy,
            min_quality=stricter(request.min_quality, policy.quality_target, max),
            max_cost=stricter(request.max_cost, policy.cost_cap, min),
            # An arm gets no cached answers of the other arm, or from before the experiment.
            cache_key=scoped_cache_key(request.cache_key, running.name, arm),
            semantic_key=scoped_cache_key(request.semantic_key, running.name, arm),
        )
        return assigned, Assignment(running.name, arm, _preference(running.name, policy))


def _preference(experiment: str, policy: PolicySpec) -> Rule | None:
    if policy.only is None:
        return None
    models = tuple(f"{provider}/{model}" for provider, model in sorted(policy.only))
    return Rule(f"experiment {experiment}", action="prefer", models=models)


def running_experiment() -> Experiment | None:
    """Return the running experiment, read from the database."""
    return Experiment.objects.filter(status=Experiment.Status.RUNNING).first()
