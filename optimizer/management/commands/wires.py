"""manage.py wires: print the page that says what becomes of each field on each wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from analytics.management.teaching import TeachingCommand
from optimizer.presentation.wires_page import wires_page
from providers.wire_table import BadTable


class Command(TeachingCommand):
    """Print docs/wires.md, or check that it is up to date."""

    help = (
        "Print the page that says what becomes of each field of a client's request: carried, "
        "adapted, dropped or binding. It is made from providers/wires.toml; run this after each "
        "change of that file.\n"
        "  manage.py wires > docs/wires.md\n"
        "  manage.py wires --check docs/wires.md"
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument(
            "--check", type=Path, metavar="FILE", help="fail if FILE is not the page as it is now"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the page, or compare it with a file."""
        try:
            page = wires_page()
        except BadTable as error:
            raise CommandError(str(error)) from None
        path: Path | None = options["check"]
        if path is None:
            self.stdout.write(page, ending="")
            return
        try:
            current = path.read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from None
        if current != page:
            raise CommandError(f"{path} is not up to date: manage.py wires > {path}")
        self.stdout.write(f"{path} is up to date.")
