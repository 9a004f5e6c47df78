"""The base class of commands whose --help keeps the line breaks of its examples."""

from __future__ import annotations

import textwrap
from typing import Any

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter


class _Formatter(DjangoHelpFormatter):
    """Wraps paragraphs, and leaves indented lines as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = (
            line if line.startswith(" ") else textwrap.fill(line, width, initial_indent=indent)
            for line in text.splitlines()
        )
        return "\n".join(lines)


class TeachingCommand(BaseCommand):
    """A command whose ``help`` has one paragraph or one indented example per line."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return a parser that shows ``help`` with its line breaks."""
        return super().create_parser(
            prog_name, subcommand, **{"formatter_class": _Formatter, **kwargs}
        )
