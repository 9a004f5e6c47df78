"""Output for terminals, in which no text of a client is a command or markup."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from analytics.exports.printable import printable


class TerminalConsole(Console):
    """A console that takes strings as plain text; what is bold is said by ``style``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Return ``text`` without control sequences."""
        return super().render_str(printable(text, keep="\n\t"), **options)
