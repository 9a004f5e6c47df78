"""Cells of Markdown tables: no text in them is markup, and none breaks the table."""

from __future__ import annotations

import re
from collections.abc import Iterable

from analytics.exports.printable import printable

_MARKUP = re.compile(r"[\\`*\[\]<>|!#~&]|(?<![^\W_])_|_(?![^\W_])")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|www|javascript|data)([:.])")
_ENTITIES = {":": "&#58;", ".": "&#46;"}


def markdown_cell(value: object) -> str:
    """Return ``value`` as the text of a cell: links, images, HTML and emphasis are plain text."""
    text = _MARKUP.sub(lambda match: f"\\{match[0]}", printable(str(value)).strip())
    # Addresses become links even without brackets.
    return _ADDRESS.sub(lambda match: match[1] + _ENTITIES[match[2]], text)


def markdown_row(values: Iterable[object]) -> str:
    """Return a row of a table, without a line break."""
    return f"| {' | '.join(map(markdown_cell, values))} |"
