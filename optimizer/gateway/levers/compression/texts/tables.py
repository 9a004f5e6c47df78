"""Writes the tables of Markdown shorter: without what only lines the cells up."""

from __future__ import annotations

import re

_ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$")
_RULE = re.compile(r"^[ \t]*\|?[ \t:|-]*-{3,}[ \t:|-]*\|?[ \t]*$")
_PADDING = re.compile(r"[ \t]*(?<!\\)\|[ \t]*")
_DASHES = re.compile(r"-{4,}")


def without_padding(text: str) -> str:
    """Return ``text`` with the cells of its tables as narrow as they can be.

    A table is at least a head, a rule of dashes and a row, each between bars. Lines with code
    in backticks stay as they are: a bar in there separates no cells.
    """
    lines = text.split("\n")
    for start in [n for n, line in enumerate(lines) if n and _RULE.match(line)]:
        if not (_ROW.match(lines[start]) and _ROW.match(lines[start - 1])):
            continue
        end = start + 1
        while end < len(lines) and _ROW.match(lines[end]):
            end += 1
        for number in range(start - 1, end):
            lines[number] = _narrow(lines[number])
    return "\n".join(lines)


def _narrow(row: str) -> str:
    if "`" in row:
        return row
    narrow = _PADDING.sub("|", row).strip(" \t")
    return _DASHES.sub("---", narrow) if _RULE.match(row) else narrow
