"""Experiments: how they start and stop, and their results so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Avg, Count, F, FloatField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Cast
from django.utils import timezone

from analytics.models import Experiment, Feedback, RequestRecord
from routing.evaluation.sequential import ArmsCompared, ArmSums, compare

ARMS = ("control", "treatment")
UNIT_FIELDS = {"user": "user_id", "session": "session_id", "request": "pk"}


class ExperimentError(ValueError):
    """An operation that this experiment does not allow; the message says why."""


@dataclass(frozen=True, slots=True)
class Results:
    """Results of an experiment by arm, and their comparisons.

    ``cost`` is USD per request, ``quality`` 0-1 per rated answer, ``failures`` 0-1 per request.
    """

    units: dict[str, int]
    requests: dict[str, int]
    cost: ArmsCompared
    quality: ArmsCompared
    failures: ArmsCompared


def experiment_start(experiment: Experiment) -> None:
    """Start ``experiment``.

    Raises :class:`ExperimentError` if it has begun before or another experiment runs.
    """
    if experiment.status != Experiment.Status.DRAFT:
        raise ExperimentError(
            f"{experiment.name} has begun before; a second start would mix the units of both runs. "
            "Create a new experiment."
        )
    experiment.status, experiment.started_at = Experiment.Status.RUNNING, timezone.now()
    try:
        with transaction.atomic():
            experiment.save()
    except IntegrityError:
        experiment.status, experiment.started_at = Experiment.Status.DRAFT, None
        raise ExperimentError("Another experiment is running. End it first.") from None


def experiment_stop(experiment: Experiment, reason: str) -> bool:
    """End ``experiment``; return whether it was running."""
    ended = Experiment.objects.filter(pk=experiment.pk, status=Experiment.Status.RUNNING).update(
        status=Experiment.Status.STOPPED, ended_at=timezone.now(), end_reason=reason
    )
    experiment.refresh_from_db()
    return bool(ended)


def harm_reason(experiment: Experiment, results: Results) -> str:
    """Return why ``experiment`` must end now; empty if the results show no harm."""
    if results.quality.high is not None and results.quality.high < -experiment.quality_harm:
        return f"its quality is significantly lower, by more than {experiment.quality_harm:g}"
    if results.failures.low is not None and results.failures.low > experiment.failure_harm:
        return f"it significantly fails more often, by more than {experiment.failure_harm:g}"
    return ""


def stop_on_harm() -> Experiment | None:
    """End the running experiment if it does harm; return it if it was ended."""
    running = Experiment.objects.filter(status=Experiment.Status.RUNNING).first()
    if running is None:
        return None
    reason = harm_reason(running, experiment_results(running))
    stopped = reason and experiment_stop(running, f"Stopped automatically: {reason}.")
    return running if stopped else None


def experiment_results(experiment: Experiment) -> Results:
    """Compare the arms of ``experiment`` on all requests so far."""
    arms = {arm: _requests(experiment, arm) for arm in ARMS}
    unit = UNIT_FIELDS[experiment.unit]
    failures = {arm: _failures(rows, unit) for arm, rows in arms.items()}

    def comparison(sums: dict[str, ArmSums]) -> ArmsCompared:
        return compare(sums["control"], sums["treatment"], experiment.planned_units)

    return Results(
        units={arm: sums.units for arm, sums in failures.items()},
        requests={arm: int(sums.count) for arm, sums in failures.items()},
        cost=comparison({arm: _costs(rows, unit) for arm, rows in arms.items()}),
        quality=comparison({arm: _ratings(rows, unit) for arm, rows in arms.items()}),
        failures=comparison(failures),
    )


def failures_compared(name: str, since: datetime) -> ArmsCompared:
    """Compare how often the requests of two arms failed since then, each request alone."""
    control, treatment = (_failures_alone(name, arm, since) for arm in ARMS)
    return compare(control, treatment)


def _failures_alone(name: str, arm: str, since: datetime) -> ArmSums:
    rows = RequestRecord.objects.filter(experiment=name, arm=arm, created_at__gte=since)
    failed = Count("pk", filter=Q(status=RequestRecord.Status.ERROR))
    sums = rows.aggregate(n=Count("pk"), failed=failed)
    n, bad = float(sums["n"]), float(sums["failed"])
    return ArmSums(int(n), bad, n, bad, n, bad)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Sums over recent requests by unit, from which an experiment's size is planned."""

    sums: ArmSums
    units_a_day: float


def traffic(unit: str, metric: str, days: int, now: datetime | None = None) -> Traffic:
    """Return the traffic of the last ``days`` by ``unit``, for one metric.

    ``metric`` is "cost", "quality" or "failures".
    """
    since = (now or timezone.now()) - timedelta(days=days)
    requests = RequestRecord.objects.admitted().filter(created_at__gte=since, replayed=False)
    field = UNIT_FIELDS[unit]
    if unit != "request":
        requests = requests.exclude(**{field: ""})
    sums = {"cost": _costs, "quality": _ratings, "failures": _failures}[metric](requests, field)
    return Traffic(sums, sums.units / days)


def _requests(experiment: Experiment, arm: str) -> QuerySet[RequestRecord]:
    return RequestRecord.objects.filter(experiment=experiment.name, arm=arm)


def _costs(requests: QuerySet[RequestRecord], unit: str) -> ArmSums:
    return _by_unit(requests.filter(cost__isnull=False), unit, Sum("cost"))


def _failures(requests: QuerySet[RequestRecord], unit: str) -> ArmSums:
    failed = Q(status=RequestRecord.Status.ERROR)
    return _by_unit(requests, unit, Count("pk", filter=failed))


def _ratings(requests: QuerySet[RequestRecord], unit: str) -> ArmSums:
    """Sum the ratings by unit; a request's rating is the mean of its verdicts."""
    verdicts = Feedback.objects.filter(request=OuterRef("pk")).order_by().values("request")
    rated = requests.annotate(rating=Subquery(verdicts.annotate(mean=Avg("score")).values("mean")))
    return _by_unit(rated.filter(rating__isnull=False), unit, Sum("rating"))


def _by_unit(requests: Any, unit: str, total: Any) -> ArmSums:
    units = requests.order_by().values(unit)
    return _arm_sums(units.annotate(t=Cast(total, FloatField()), n=Cast(Count("pk"), FloatField())))


def _arm_sums(units: Any) -> ArmSums:
    sums = units.aggregate(
        units=Count("*"),
        total=Sum("t", default=0.0),
        count=Sum("n", default=0.0),
        total_squared=Sum(F("t") * F("t"), default=0.0),
        count_squared=Sum(F("n") * F("n"), default=0.0),
        product=Sum(F("t") * F("n"), default=0.0),
    )
    return ArmSums(**sums)
