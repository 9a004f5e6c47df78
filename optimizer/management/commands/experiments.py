"""manage.py experiments: plan, create, start, show and stop experiments."""

from __future__ import annotations

from math import ceil
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from analytics.access.audit import audit_added, audit_changed
from analytics.experiments import (
    ExperimentError,
    experiment_results,
    experiment_start,
    experiment_stop,
    traffic,
)
from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.models import Experiment
from optimizer.policies.policy import PolicyError, read_arm
from optimizer.presentation.experiments import result_rows, verdict
from optimizer.presentation.mistakes import validation_message
from optimizer.wiring.build import get_services
from routing.evaluation.sequential import units_needed

_UNITS = [unit.value for unit in Experiment.Unit]


class Command(TeachingCommand):
    """Plan, create, start, show and stop experiments."""

    help = (
        "Compare two policies (named as for manage.py whatif) on live traffic. Users, sessions or "
        "requests that leave the choice of the model to the service are split permanently between "
        "them. A sequential test compares cost, quality and failures; its results are valid "
        "whenever you look at them.\n"
        "  manage.py experiments plan --metric cost --effect 0.1\n"
        "  manage.py experiments create try-hybrid --control complexity --treatment hybrid\n"
        "  manage.py experiments start try-hybrid\n"
        "  manage.py experiments show try-hybrid\n"
        "  manage.py experiments stop try-hybrid\n"
        "Only one experiment runs at a time. It stops by itself if the treatment does harm."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        commands = parser.add_subparsers(dest="do", metavar="ACTION")
        commands.add_parser("list", help="list all experiments (the default)")
        for name, description in (
            ("show", "show the results so far"),
            ("start", "start the experiment"),
            ("stop", "stop it: traffic is no longer split"),
        ):
            commands.add_parser(name, help=description).add_argument("name")
        create = commands.add_parser("create", help="create an experiment, to be started later")
        create.add_argument("name")
        create.add_argument("--control", default="complexity", metavar="POLICY")
        create.add_argument("--treatment", default="hybrid", metavar="POLICY")
        create.add_argument("--unit", choices=_UNITS, default="user")
        create.add_argument("--share", type=float, default=0.5, help="share with the treatment")
        create.add_argument(
            "--planned", type=int, default=1000, help="planned number of units, see plan"
        )
        create.add_argument(
            "--quality-harm", type=float, default=0.05, help="loss of quality that stops it, 0 to 1"
        )
        create.add_argument(
            "--failure-harm", type=float, default=0.02,
            help="rise of the failure rate that stops it, 0 to 1",
        )  # fmt: skip
        create.add_argument("--note", default="")
        plan = commands.add_parser("plan", help="show how many units and days are needed")
        plan.add_argument("--metric", choices=("cost", "quality", "failures"), default="cost")
        plan.add_argument(
            "--effect", type=float, required=True,
            help="difference to detect: a share of the cost (0.1 for 10 %%), or points of quality "
            "or failures (0.02)",
        )  # fmt: skip
        plan.add_argument("--unit", choices=_UNITS, default="user")
        plan.add_argument("--share", type=float, default=0.5)
        plan.add_argument("--days", type=int, default=14, help="days of past traffic to plan from")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the chosen action; without one, list all experiments."""
        console = TerminalConsole(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        action = options["do"] or "list"
        try:
            getattr(self, f"_{action}")(console, options)
        except (ExperimentError, PolicyError) as error:
            raise CommandError(str(error)) from None

    def _list(self, console: Console, options: dict[str, Any]) -> None:
        table = Table("name", "status", "control", "treatment", "unit", "since", "ended")
        for experiment in Experiment.objects.all():
            since = f"{experiment.started_at:%Y-%m-%d}" if experiment.started_at else "–"
            table.add_row(
                experiment.name, experiment.get_status_display(), experiment.control,
                experiment.treatment, experiment.unit, since, experiment.end_reason or "–",
            )  # fmt: skip
        if table.row_count:
            console.print(table)
        else:
            console.print("No experiments. Create one: manage.py experiments create NAME")

    def _show(self, console: Console, options: dict[str, Any]) -> None:
        experiment = self._experiment(options["name"])
        results = experiment_results(experiment)
        console.print(f"{experiment.name}, {experiment.get_status_display()}", style="bold")
        if experiment.end_reason:
            console.print(f"  {experiment.end_reason}")
        console.print(f"  {verdict(experiment, results)}")
        console.print(
            f"  {sum(results.units.values())} {experiment.unit}s of {experiment.planned_units} "
            f"planned; {results.requests['control']} requests under {experiment.control}, "
            f"{results.requests['treatment']} under {experiment.treatment}."
        )
        table = Table("", "control", "treatment", "difference", "95 % at any time")
        for row in result_rows(results):
            table.add_row(*row)
        console.print(table)

    def _create(self, console: Console, options: dict[str, Any]) -> None:
        names = get_services().names
        for arm in ("control", "treatment"):
            read_arm(options[arm], names)
        experiment = Experiment(
            name=options["name"],
            note=options["note"],
            unit=options["unit"],
            control=options["control"],
            treatment=options["treatment"],
            share=options["share"],
            planned_units=options["planned"],
            quality_harm=options["quality_harm"],
            failure_harm=options["failure_harm"],
        )
        try:
            experiment.full_clean()
        except ValidationError as error:
            raise CommandError(validation_message(error)) from None
        experiment.save()
        audit_added(experiment, "planned")
        console.print(f"Created. Start it: manage.py experiments start {experiment.name}")

    def _start(self, console: Console, options: dict[str, Any]) -> None:
        experiment = self._experiment(options["name"])
        experiment_start(experiment)
        audit_changed(experiment, "started")
        console.print("Started. Every worker takes part within seconds.")

    def _stop(self, console: Console, options: dict[str, Any]) -> None:
        experiment = self._experiment(options["name"])
        if not experiment_stop(experiment, "Ended by hand."):
            raise CommandError(f"{experiment.name} is not running.")
        audit_changed(experiment, "ended by hand")
        console.print("Ended. Every worker returns to its usual routing within seconds.")

    def _plan(self, console: Console, options: dict[str, Any]) -> None:
        if options["effect"] <= 0 or not 0 < options["share"] < 1 or options["days"] < 1:
            raise CommandError(
                "--effect must be above 0, --share between 0 and 1, --days at least 1."
            )
        past = traffic(options["unit"], options["metric"], options["days"])
        mean, units = past.sums.mean, past.sums.units
        if mean is None or units < 2:
            raise CommandError(
                f"There is too little to plan from in the last {options['days']} days: "
                f"{units} {options['unit']}s."
            )
        effect = options["effect"] * (mean if options["metric"] == "cost" else 1)
        if effect <= 0:
            raise CommandError("Requests cost nothing, so there is no cost to save.")
        needed = units_needed(past.sums.variance * units, effect, options["share"])
        days = ceil(needed / past.units_a_day)
        console.print(
            f"{needed} {options['unit']}s, about {days} days at {past.units_a_day:.1f} new ones "
            f"per day, show a difference of {effect:.6g} in {options['metric']} (now {mean:.6g}) "
            "in four of five experiments, whenever you look at the results. "
            f"Use it: manage.py experiments create NAME --planned {max(needed, 100)}"
        )

    @staticmethod
    def _experiment(name: str) -> Experiment:
        try:
            return Experiment.objects.get(name=name)
        except Experiment.DoesNotExist:
            raise CommandError(f"There is no experiment {name!r}.") from None
