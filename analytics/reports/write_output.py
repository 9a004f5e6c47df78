"""Write a command's output to a file or to the screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError


def write_output(command: BaseCommand, output: Path | None, write: Callable[[Any], None]) -> None:
    """Call ``write`` with the file ``output``, or with the screen without one.

    Raises ``CommandError`` if the file cannot be written.
    """
    if output is None:
        write(command.stdout)
        return
    try:
        with output.open("w", encoding="utf-8") as file:
            write(file)
    except OSError as error:
        raise CommandError(f"Cannot write {output}: {error.strerror}") from None
    command.stderr.write(f"Wrote {output}")
