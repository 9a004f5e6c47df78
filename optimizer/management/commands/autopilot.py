"""manage.py autopilot: switch the autopilot, show its trials, and read what it did and why."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from analytics.access.audit import COMMAND_LINE, audit_changed
from analytics.autopilot.course import points_at_risk, trial_evidence, usd_spent
from analytics.autopilot.steps import autopilot_on, autopilot_switch, trial_release, trial_revert
from analytics.autopilot.uses import day_start, month_start
from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.models import AutopilotStep, AutopilotTrial
from analytics.money import dollars
from optimizer.presentation.autopilot import policy_line, step_line, trial_line
from optimizer.wiring.autopilot import autopilot_obstacle, autopilot_policy
from optimizer.wiring.operation.settings import settings_in_force


class Command(TeachingCommand):
    """Switch the autopilot on or off, show its trials, and list its steps."""

    help = (
        "The autopilot tries new models and cheaper ones, and moves traffic when that is proven:\n"
        "  manage.py autopilot status\n"
        "  manage.py autopilot on           noticed models are tried from now on\n"
        "  manage.py autopilot off          no effect any more: moved traffic returns to routing\n"
        "  manage.py autopilot log          every step with its evidence, the latest first\n"
        "  manage.py autopilot revert 12    end a trial, or take its move back\n"
        "  manage.py autopilot release 12   let routing choose a new model without a proof\n"
        "The switch takes precedence over the setting AUTOPILOT."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments of the command."""
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("status", help="show the switch, the budgets and the trials")
        actions.add_parser("on", help="switch it on")
        actions.add_parser("off", help="switch it off")
        log = actions.add_parser("log", help="list its steps")
        log.add_argument("--last", type=int, default=50, help="number of steps (%(default)s)")
        for name, words in (
            ("revert", "end a trial, or take its move back"),
            ("release", "let routing choose a new model of a tier without a proof"),
        ):
            action = actions.add_parser(name, help=words)
            action.add_argument("trial", type=int, help="its number, as status shows it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the action says."""
        console = TerminalConsole(file=self.stdout)  # type: ignore[arg-type]
        action = options["action"]
        if action == "status":
            self._status(console)
        elif action == "log":
            for step in AutopilotStep.objects.all()[: max(1, options["last"])]:
                console.print(step_line(step), soft_wrap=True)
        elif action in {"revert", "release"}:
            self._end(console, options["trial"], release=action == "release")
        else:
            self._switch(console, on=action == "on")

    @staticmethod
    def _status(console: TerminalConsole) -> None:
        product = settings_in_force()
        policy, now = autopilot_policy(product), datetime.now(UTC)
        on = autopilot_on(by_default=product.autopilot)
        console.print(f"The autopilot is {'on' if on else 'off'}. {policy_line(policy)}")
        if obstacle := autopilot_obstacle(product):
            console.print(f"It cannot work: {obstacle}.")
        today, month = day_start(now), month_start(now)
        console.print(
            f"Today {dollars(usd_spent(today))} and at most "
            f"{points_at_risk(policy.terms, today):.2f} points, this month "
            f"{dollars(usd_spent(month))} and at most "
            f"{points_at_risk(policy.terms, month):.2f} points."
        )
        trials = AutopilotTrial.objects.all()[:100]
        for trial in trials:
            line = trial_line(trial, trial_evidence(trial, policy.terms))
            console.print(line, soft_wrap=True)
        if not trials:
            console.print(
                "Nothing is on trial. A trial begins when, with the autopilot on, the catalogue "
                "has a new model or a price falls."
            )

    @staticmethod
    def _switch(console: TerminalConsole, *, on: bool) -> None:
        if on and (obstacle := autopilot_obstacle(settings_in_force())):
            raise CommandError(f"The autopilot cannot work: {obstacle}.")
        audit_changed(autopilot_switch(on=on, who=_who()), f"switched {'on' if on else 'off'}")
        console.print(f"The autopilot is {'on' if on else 'off'}; workers follow within seconds.")

    @staticmethod
    def _end(console: TerminalConsole, number: int, *, release: bool) -> None:
        trial = AutopilotTrial.objects.filter(pk=number).first()
        if trial is None:
            raise CommandError(f"There is no trial {number}.")
        step = (trial_release if release else trial_revert)(trial, who=_who())
        if step is None:
            why = "is not held back" if release else "has ended already"
            raise CommandError(f"Trial {number} {why}.")
        audit_changed(trial, f"now {step.after}")
        console.print(step_line(step), soft_wrap=True)


def _who() -> str:
    try:
        return f"{COMMAND_LINE} ({getpass.getuser()})"
    except (OSError, KeyError):  # a container without such a user
        return COMMAND_LINE
