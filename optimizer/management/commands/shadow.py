"""manage.py shadow: show what shadow evaluation found, move kinds of requests, and undo that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.table import Table

from analytics.access.audit import command_line_actor
from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.quality.shadow_moves import AlreadyMoved, NothingToMove, NothingToUndo, movable
from analytics.reports.report_formats import as_json
from optimizer.presentation.shadow import (
    NARROW_HEADINGS,
    PARTS,
    VERDICT_NAMES,
    funnel_lines,
    kind_name,
    moved_line,
    narrow_row,
    part_name,
    summary_line,
)
from optimizer.wiring.operation.shadow import move_ready, ready_kinds, shadow_now, undo_last


class Command(TeachingCommand):
    """Show shadow evaluation, move the kinds whose bound holds, or undo the last move."""

    help = (
        "Show what routing would have answered where clients named a model (SHADOW_RATE), by kind "
        "of request:\n"
        "  manage.py shadow                  the last thirty days\n"
        "  manage.py shadow --days 7 --json  for programs\n"
        "  manage.py shadow --preview        the kinds that --move would leave to routing\n"
        "  manage.py shadow --move           leave them to routing, by rules\n"
        "  manage.py shadow --undo           delete the rules of the last move\n"
        "A kind can be moved if its answers surely win at least half of the verdicts less "
        "SHADOW_MARGIN, with 95 % confidence, and cost less. Requests with tools are never moved."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument(
            "--days", type=int, default=30, help="length of the period, 1-365 (%(default)s)"
        )
        parser.add_argument("--json", action="store_true", help="print the report as JSON")
        actions = parser.add_mutually_exclusive_group()
        actions.add_argument("--preview", action="store_true", help="list what --move would do")
        actions.add_argument("--move", action="store_true", help="create and switch on the rules")
        actions.add_argument("--undo", action="store_true", help="undo the last move")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the report, or do what the options say."""
        if not 1 <= options["days"] <= 365:
            raise CommandError("--days must be between 1 and 365")
        console = TerminalConsole(file=self.stdout)  # type: ignore[arg-type]
        if options["undo"]:
            self._undo(console)
            return
        since = datetime.now(UTC) - timedelta(days=options["days"])
        report = shadow_now(since)
        if options["preview"] or options["move"]:
            self._move(console, report, preview=options["preview"])
        elif options["json"]:
            self.stdout.write(as_json(report))
        else:
            self._show(console, report)

    @staticmethod
    def _show(console: TerminalConsole, report: dict[str, Any]) -> None:
        console.print(summary_line(report))
        for line in funnel_lines(report):
            console.print(line)
        if not report["overall"]["pairs"]:
            return
        kinds = Table("Kind", *NARROW_HEADINGS[1:], "verdict")
        for kind in report["kinds"]:
            kinds.add_row(*narrow_row(kind_name(kind), kind), VERDICT_NAMES[kind["verdict"]])
        console.print(kinds)
        for name, title in PARTS.items():
            parts = Table(title, *NARROW_HEADINGS[1:])
            for part in report["by"][name]:
                parts.add_row(*narrow_row(part_name(name, part), part))
            console.print(parts)
        ready = len(movable(report))
        if ready:
            kinds_ready = "1 kind" if ready == 1 else f"{ready} kinds"
            console.print(f"{kinds_ready} can be moved: manage.py shadow --preview")

    @staticmethod
    def _move(console: TerminalConsole, report: dict[str, Any], *, preview: bool) -> None:
        try:
            if preview:
                kinds = ready_kinds(report)
            else:
                kinds = move_ready(report, who=command_line_actor()).evidence
        except NothingToMove as error:
            console.print(f"{error} The column “verdict” of manage.py shadow says why.")
            return
        except AlreadyMoved as error:
            raise CommandError(str(error)) from None
        console.print(
            "manage.py shadow --move would leave these to routing:"
            if preview
            else "Left to routing; every worker follows within seconds:"
        )
        for kind in kinds:
            console.print(f"  {moved_line(kind)}")
        if not preview:
            console.print("Undo it: manage.py shadow --undo")

    @staticmethod
    def _undo(console: TerminalConsole) -> None:
        try:
            move = undo_last(who=command_line_actor())
        except NothingToUndo as error:
            raise CommandError(str(error)) from None
        console.print(f"Undone: the move of {move.at:%Y-%m-%d %H:%M} UTC by {move.who}.")
        for name in move.rules:
            console.print(f"  deleted the rule {name}")
