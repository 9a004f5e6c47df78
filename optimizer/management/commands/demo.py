"""manage.py demo: make a demo to look at, or remove it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection, connections
from django.db.backends.signals import connection_created
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from optimizer.lab.demo.file import (
    BUILDING,
    DemoBusy,
    DemoPlan,
    DemoWriter,
    demo_begin,
    demo_remove,
    demo_state,
)
from optimizer.wiring.offline.demo import demo_write

_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
_MOST_REQUESTS, _MOST_DAYS = 50_000, 366
_NICENESS = 10


class Command(BaseCommand):
    """Make or remove the demo."""

    help = (
        "Make a demo for the admin: sixty days of a made-up company with teams, agents, a cache, "
        "failures, a dear night, budgets, an experiment and a judge. The prompts ship with the "
        "product; each is decided by the router, priced by today's prices and recorded by the "
        "ledger, and only the models' answers are simulated. It is a file of its own in DATA_DIR: "
        "no table, budget, report, metric or decision of the real service knows it. The admin "
        "shows it while there are no requests, or when a user switches it on.\n"
        "Example: manage.py demo --days 60 --requests 3000"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        plan = DemoPlan()
        parser.add_argument(
            "--requests", type=int, default=plan.requests, metavar="N",
            help="about how many requests to make (%(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--days", type=int, default=plan.days, metavar="N",
            help="over how many past days (%(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--seed", type=int, default=plan.seed, metavar="N",
            help="makes the same demo again for the same day (%(default)s)",
        )  # fmt: skip
        parser.add_argument("--remove", action="store_true", help="remove the demo")
        # How the command calls itself, with the demo's file as the only database.
        parser.add_argument("--write", action="store_true", help="used by the command itself")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make, write or remove the demo."""
        if options["remove"]:
            self._remove()
            return
        if not 100 <= options["requests"] <= _MOST_REQUESTS:
            raise CommandError(f"--requests must be from 100 to {_MOST_REQUESTS}")
        if not 2 <= options["days"] <= _MOST_DAYS:
            raise CommandError(f"--days must be from 2 to {_MOST_DAYS}")
        plan = DemoPlan(options["requests"], options["days"], options["seed"])
        if options["write"]:
            self._write(plan)
        else:
            self._make(plan)

    def _make(self, plan: DemoPlan) -> None:
        try:
            process = demo_begin(plan)
        except DemoBusy:
            raise CommandError("The demo is being made by another process.") from None
        console = Console(file=self.stderr)  # type: ignore[arg-type]
        with Progress(*_COLUMNS, console=console, transient=True) as progress:
            task = progress.add_task("Starting", total=None)
            while process.poll() is None:
                state = demo_state()
                progress.update(
                    task, description=state.step, completed=state.done, total=state.total or None
                )
                time.sleep(0.2)
        state = demo_state()
        if state.phase != "ready":
            raise CommandError(f"The demo could not be made. {state.error}")
        self.stdout.write(
            "The demo is ready: the admin shows it while there are no requests, or when it is "
            "switched on there. manage.py demo --remove deletes it."
        )

    def _remove(self) -> None:
        try:
            existed = demo_remove()
        except DemoBusy:
            raise CommandError("The demo is being made; it can be removed then.") from None
        self.stdout.write("Removed the demo." if existed else "There is no demo.")

    def _write(self, plan: DemoPlan) -> None:
        building = Path(settings.DATA_DIR)
        database = building / "db.sqlite3"
        if building.name != BUILDING or Path(connection.settings_dict["NAME"]) != database:
            raise CommandError("--write is for the command itself.")
        os.nice(_NICENESS)  # requests come first
        writer = DemoWriter(building.parent)
        try:
            self._write_database(plan, writer, database)
        except Exception as error:
            writer.failed(f"{type(error).__name__}: {error}"[:300])
            raise

    def _write_database(self, plan: DemoPlan, writer: DemoWriter, database: Path) -> None:
        # A power failure may cost the half-made file, so that no commit waits for the disk.
        connection_created.connect(_without_waiting)
        writer.progress("Making the tables", 0, 0)
        call_command("migrate", verbosity=0)
        demo_write(requests=plan.requests, days=plan.days, seed=plan.seed, progress=writer.progress)
        with connection.cursor() as cursor:
            # Without a log beside it, the file can be read as one that nobody changes.
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute("PRAGMA journal_mode=DELETE")
        connections.close_all()
        writer.done(database)
        shutil.rmtree(database.parent, ignore_errors=True)


def _without_waiting(connection: Any, **kwargs: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=OFF")
