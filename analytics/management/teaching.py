"""Commands whose --help shows its examples as they are written."""

from __future__ import annotations

import textwrap
from typing import Any

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter


class _Formatter(DjangoHelpFormatter):
    """Wraps paragraphs and leaves lines that are indented alone."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = (
            line if line.startswith(" ") else textwrap.fill(line, width, initial_indent=indent)
            for line in text.splitlines()
        )
        return "\n".join(lines)


class TeachingCommand(BaseCommand):
    """``help`` is paragraphs, one a line, and examples, each on an indented line."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name, subcommand, **{"formatter_class": _Formatter, **kwargs}
        )
