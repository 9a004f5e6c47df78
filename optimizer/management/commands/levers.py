"""manage.py levers: list levers, switch them, and show what each one saved."""

from __future__ import annotations

import getpass
import json
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rich.table import Table

from analytics.exports.terminal import TerminalConsole
from analytics.levers import lever_save
from analytics.management.teaching import TeachingCommand
from analytics.models import Lever
from analytics.reports.levers import TOGETHER, results_now
from optimizer.domain.levers import LEVERS
from optimizer.gateway.levers.option_check import lever_options_check
from optimizer.presentation.levers import lever_row, together_lines
from optimizer.presentation.mistakes import validation_message
from optimizer.wiring.build import get_services
from optimizer.wiring.levers import TRIAL_READING

_SWITCHES = {
    "on": "use it for all eligible requests; its saving cannot be measured",
    "off": "do not use it",
    "prove": "use it, but leave a random share alone to measure its saving and its quality",
}


class Command(TeachingCommand):
    """List levers, switch them, and show what each one saved."""

    help = (
        "A lever is a way to spend less on a request beside the choice of its model. Each is off, "
        "on, or being proven: a random share of eligible requests is then left alone, and the "
        "others' saving and quality are measured against it.\n"
        "  manage.py levers                              the levers and their modes\n"
        "  manage.py levers prove compression            use it and measure it\n"
        "  manage.py levers prove effort --control 0.1   leave 10 % of requests alone\n"
        "  manage.py levers prove effort --ramp --budget 200\n"
        "                                                leave half alone until harm is ruled out\n"
        "  manage.py levers off compression\n"
        "  manage.py levers results --days 30            what each lever saved, with intervals\n"
        "  manage.py levers results --days 30 --json\n"
        "LEVERS in the environment counts for more than these modes, except that a lever that was "
        "stopped because of harm stays off. docs/levers.md explains the figures."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        commands = parser.add_subparsers(dest="do", metavar="ACTION")
        commands.add_parser("list", help="list all levers (the default)")
        for name, description in _SWITCHES.items():
            switch = commands.add_parser(name, help=description)
            switch.add_argument("name", choices=LEVERS, metavar="NAME", help=", ".join(LEVERS))
            if name == "prove":
                switch.add_argument(
                    "--control", type=float, metavar="SHARE",
                    help="share of eligible requests left alone; LEVER_CONTROL_SHARE by default",
                )  # fmt: skip
                switch.add_argument(
                    "--ramp", action="store_true",
                    help="leave half alone until harm beyond the budget is ruled out",
                )  # fmt: skip
            if name != "off":
                switch.add_argument(
                    "--budget", type=float, metavar="ANSWERS",
                    help="answers that it may spoil in all before it is stopped",
                )  # fmt: skip
                switch.add_argument(
                    "--options",
                    metavar="JSON",
                    help="the lever's own settings, a JSON object such as "
                    "'{\"gather_seconds\": 60}' for batch; see docs/levers.md",
                )
        results = commands.add_parser("results", help="show what each lever saved")
        results.add_argument("--days", type=int, default=7, help="1-365 (%(default)s)")
        results.add_argument("--json", action="store_true", help="write the figures as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what was asked."""
        action = options["do"] or "list"
        if action == "list":
            self._list()
        elif action == "results":
            self._results(options["days"], options["json"])
        else:
            self._switch(action, options)

    def _list(self) -> None:
        levers = get_services().levers
        levers.refresh()
        rows = {row.name: row for row in Lever.objects.all()}
        table = Table("lever", "mode", "left alone", "what it does")
        for name, what in LEVERS.items():
            state, row = levers.states[name], rows.get(name)
            mode = f"{state.mode} (by a setting)" if state.fixed else state.mode
            if row is not None and row.stopped_at is not None:
                mode = f"stopped: {row.stop_reason}"
            left = f"{state.control_share:.0%}" if state.mode == "prove" else ""
            table.add_row(name, mode, left, what)
        TerminalConsole(file=self.stdout, highlight=False).print(table)  # type: ignore[arg-type]

    def _switch(self, mode: str, options: dict[str, Any]) -> None:
        name = options["name"]
        row = Lever.objects.filter(pk=name).first() or Lever(name=name)
        row.mode = mode
        if options.get("control") is not None:
            row.control_share = options["control"]
        if options.get("budget") is not None:
            row.harm_budget = options["budget"]
        row.ramping = bool(options.get("ramp"))
        if options.get("options"):
            row.options = _json_object(options["options"])
            try:
                lever_options_check(name, row.options)
            except ValueError as error:
                raise CommandError(f"--options: {error}") from None
        try:
            lever_save(row, who=getpass.getuser())
        except ValidationError as error:
            raise CommandError(validation_message(error)) from None
        levers = get_services().levers
        levers.refresh()
        state = levers.states[name]
        if state.mode != mode:
            self.stderr.write(f"A setting of the environment keeps {name} {state.mode}.")
        else:
            alone = f"{state.control_share:.0%} of eligible requests are left alone to measure it"
            self.stdout.write(
                f"{name} is being proven: {alone}." if mode == "prove" else f"{name} is {mode}."
            )

    def _results(self, days: int, as_json: bool) -> None:
        if not 1 <= days <= 365:
            raise CommandError("--days must be between 1 and 365")
        figures = results_now(TRIAL_READING, timezone.now() - timedelta(days=days))
        together = figures.pop(TOGETHER)
        if as_json:
            self.stdout.write(
                json.dumps({"days": days, "levers": figures, "together": together}, indent=2)
            )
            return
        if not figures:
            self.stdout.write(
                f"No lever could act on a request in the last {days} days. Switch one on with: "
                "manage.py levers prove NAME"
            )
            return
        console = TerminalConsole(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        for name, of_lever in figures.items():
            row = lever_row(name, of_lever)
            table = Table(name, row["verdict"])
            table.add_row("eligible requests", f"{row['eligible']}, {row['treated']} treated")
            table.add_row("saving", row["saving"])
            table.add_row("saving per treated request", row["per_request"])
            table.add_row("share of the cost", row["share_saved"])
            table.add_row("quality, points of 0-1", f"{row['quality']}; {row['scored']} scores")
            table.add_row("cost of the control", row["control_cost"])
            if row["left_out"]:
                table.add_row("left out", row["left_out"])
            console.print(table)
        total = Table("all levers", "USD, with 95 % intervals")
        for label, text in together_lines(together):
            total.add_row(label, text)
        console.print(total)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(f"--options is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise CommandError('--options must be a JSON object such as {"level": "low"}')
    return value
