"""Numbers in CSV files: which of point and comma begins the decimals, and which groups thousands.

"1,234" is a thousand and something in one file and little more than one in another. So each
number of a file is read in both ways, and only a way in which all of them can be read counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from providers.statements.lines import StatementError, bounded

SEPARATORS = {"point": ".", "comma": ","}
"""What may begin the decimals, by its name."""
_SIGNED = re.compile(r"^([+-]?)\s*\$?\s*([+-]?)(.*)$", re.DOTALL)
_EXPONENT = re.compile(r"^\d+(\.\d*)?[eE][+-]?\d{1,3}$")
_PLAIN = {
    mark: re.compile(rf"^(?=.*\d)\d*({re.escape(mark)}\d*)?$") for mark in SEPARATORS.values()
}
_GROUPED = {
    mark: re.compile(rf"^[1-9]\d{{0,2}}({re.escape(other)}\d{{3}})+({re.escape(mark)}\d*)?$")
    for mark, other in ((".", ","), (",", "."))
}


class Written(NamedTuple):
    """A number as a file has it, with its line; ``whole`` if it counts something."""

    line: int
    text: str
    whole: bool = False


def decimal_mark(numbers: Iterable[Written], chosen: str = "") -> str:
    """Return what begins the decimals of all ``numbers``: "." or ",".

    ``chosen`` is the mark that the user names. Raises :class:`StatementError` if a number cannot
    be read, if two of them are written in different ways, or if nothing decides.
    """
    proof: dict[str, Written] = {}
    unclear: Written | None = None
    for number in numbers:
        readings = {mark: _read(number, mark) for mark in SEPARATORS.values()}
        known = {mark for mark, value in readings.items() if value is not None}
        if not known or (chosen and chosen not in known):
            raise StatementError(f"Line {number.line}: {number.text[:40]!r} is no {_kind(number)}.")
        if len(known) == 1:
            proof.setdefault(known.pop(), number)
        elif readings["."] != readings[","] and unclear is None:
            unclear = number
    if chosen:
        return chosen
    if len(proof) > 1:
        point, comma = proof["."], proof[","]
        raise StatementError(
            f"Line {point.line} has a decimal point ({point.text[:40]!r}) and line {comma.line} a "
            f"decimal comma ({comma.text[:40]!r})."
        )
    if not proof and unclear is not None:
        raise StatementError(
            f"Line {unclear.line}: {unclear.text[:40]!r} has two meanings, and no other number of "
            "the file decides. Say what begins the decimals with --decimal point or comma."
        )
    return next(iter(proof), ".")


def number_of(number: Written, mark: str) -> Decimal:
    """Return the number; its decimals begin with ``mark``. Raises :class:`StatementError`."""
    value = _read(number, mark)
    if value is None:
        raise StatementError(f"{number.text[:40]!r} is no {_kind(number)}.")
    return bounded(value, number.text)


def _read(number: Written, mark: str) -> Decimal | None:
    match = _SIGNED.match(number.text.strip())
    if match is None or (match[1] and match[2]):
        return None
    digits = match[3]
    if _EXPONENT.match(digits):
        # Programs write these, always with a point.
        value = Decimal(digits) if mark == "." or "." not in digits else None
    elif digits.isascii() and (_PLAIN[mark].match(digits) or _GROUPED[mark].match(digits)):
        other = "," if mark == "." else "."
        value = Decimal(digits.replace(other, "").replace(mark, "."))
    else:
        value = None
    if value is None or (number.whole and value != value.to_integral_value()):
        return None
    return -value if "-" in (match[1], match[2]) else value


def _kind(number: Written) -> str:
    return "count" if number.whole else "amount"
