"""The tasks that one process at a time runs for the whole installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

from analytics.alerts.digest_issues import digests_issue
from analytics.budgets.marking import budgets_mark
from analytics.experiments import stop_on_harm
from analytics.ledger.lost_calls import lost_calls_settle
from analytics.ledger.rollups import totals_update
from analytics.proof.day_roots import days_close
from analytics.shortened import shortened_expire
from optimizer.monitoring.alerts import limits_watch
from optimizer.monitoring.notifications import notifications_send
from optimizer.wiring.installation.folders import begun_calls_folder, journal
from optimizer.wiring.periodic import PeriodicTask, PeriodicTasks
from routing.adjustments.guarantee import Guarantee


def sum_some_hours() -> None:
    """Sum up to eight steps of hourly totals.

    After an upgrade there may be years of hours to sum, and other work must not wait for all.
    """
    for _ in islice(totals_update(), 8):
        pass


def periodic_tasks_of_installation(
    note_prices: Callable[[], object],
    check_objects: Callable[[], object] = lambda: None,
    judge_moves: Callable[[], object] = lambda: None,
    run_autopilot: Callable[[], object] = lambda: None,
    stop_harmful_levers: Callable[[], object] = lambda: None,
    measure_levers: Callable[[], object] = lambda: None,
    circuits: Callable[[], Mapping[str, str]] = dict,
    guarantee: Callable[[], Guarantee | None] = lambda: None,
) -> PeriodicTasks:
    """Return the tasks that one process at a time runs for the whole installation.

    ``circuits`` gives the states of the providers' circuits, ``guarantee`` the one in force.
    """
    return PeriodicTasks(
        [
            PeriodicTask("Summing the hours", 60, sum_some_hours),
            PeriodicTask("Looking for harm in experiments", 60, stop_on_harm),
            PeriodicTask("Watching limits", 60, lambda: limits_watch(circuits(), guarantee())),
            PeriodicTask("Making digests", 60, digests_issue),
            PeriodicTask("Sending notifications", 30, notifications_send),
            PeriodicTask("Marking how budgets are used up", 60, budgets_mark),
            PeriodicTask("Writing down changed prices", 600, note_prices),
            PeriodicTask("Signing the roots of days", 600, days_close),
            PeriodicTask("Forgetting how old conversations were sent", 600, shortened_expire),
            PeriodicTask(
                "Settling what dead workers held",
                10,
                lambda: lost_calls_settle(begun_calls_folder(), journal()),
            ),
            PeriodicTask("Recording batches that have ended", 60, check_objects),
            PeriodicTask("Judging sessions that were moved up", 60, judge_moves),
            PeriodicTask("Running the autopilot", 60, run_autopilot),
            PeriodicTask("Looking for harm in levers", 60, stop_harmful_levers),
            PeriodicTask("Measuring what levers saved", 3600, measure_levers),
        ]
    )
