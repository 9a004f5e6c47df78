"""Where a command's findings go: to a file that is named, else to the screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError


def put_out(command: BaseCommand, output: Path | None, write: Callable[[Any], None]) -> None:
    """``write`` is given the file. Raises ``CommandError`` where it cannot be written."""
    if output is None:
        write(command.stdout)
        return
    try:
        with output.open("w", encoding="utf-8") as file:
            write(file)
    except OSError as error:
        raise CommandError(f"Cannot write {output}: {error.strerror}") from None
    command.stderr.write(f"Wrote {output}")
