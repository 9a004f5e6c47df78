"""Estimate the tokens of a text, where no provider reports a count."""

from __future__ import annotations

import re

# Thousandths of a token for each character, by its length in UTF-8: ASCII; Latin accents,
# Greek, Cyrillic, Hebrew and Arabic; Chinese, Japanese, Korean and symbols; emoji. Each lies
# between what o200k_base and older tokenizers need for prose of these scripts.
_PER_ASCII, _PER_TWO_BYTES, _PER_THREE_BYTES, _PER_FOUR_BYTES = 250, 400, 900, 1500
# The scripts of three bytes that are letters: Devanagari to Georgian, and Khmer.
_LETTERS = re.compile("[\u0900-\u10ff\u1780-\u17ff]+")
_LESS_PER_LETTER = _PER_THREE_BYTES - 600


def estimate_tokens(text: str) -> int:
    """Return the estimated number of tokens: characters / 4 in ASCII, more in other scripts.

    It is rounded up.
    """
    characters = len(text)
    if text.isascii():
        return (characters + 3) // 4
    ascii_only = len(text.encode("ascii", "ignore"))
    size = len(text.encode("utf-8", "surrogatepass"))
    # UTF-16 has two units for a character of four bytes in UTF-8, and one for all others.
    four = len(text.encode("utf-16-le", "surrogatepass")) // 2 - characters
    three = size - 2 * characters + ascii_only - 2 * four
    two = characters - ascii_only - three - four
    tokens = _PER_ASCII * ascii_only + _PER_TWO_BYTES * two + _PER_THREE_BYTES * three
    tokens += _PER_FOUR_BYTES * four
    if three:
        tokens -= _LESS_PER_LETTER * sum(map(len, _LETTERS.findall(text)))
    return (tokens + 999) // 1000
