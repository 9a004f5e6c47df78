"""Estimate the tokens of a text, where no provider reports a count."""

from __future__ import annotations

import re

# Thousandths of a token for each character of ASCII, by its kind, and for those of long words
# that are no words, such as base64 and hexadecimal numbers. They are a fit to the mean of
# o200k_base and cl100k_base over prose, questions, code, JSON, tables, logs and HTML, each of
# which is then estimated within a fifth; four characters a token had JSON at 0.7 and tables at
# 0.4 of what they are.
_LETTER, _DIGIT, _SIGN, _SPACE, _LINE, _OF_NO_WORD = 250, 760, 600, 0, 500, 660
_NO_WORD = b"w" * 48
_LETTERS_OF_ASCII = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_OF_WORDS = bytes(
    ord("w") if byte in _LETTERS_OF_ASCII + _DIGITS + b"+/=_-" else ord(" ") for byte in range(256)
)
# The same for other characters, by their length in UTF-8: Latin accents, Greek, Cyrillic,
# Hebrew and Arabic; Chinese, Japanese, Korean and symbols; emoji. Each lies between what
# o200k_base and older tokenizers need for prose of these scripts.
_PER_TWO_BYTES, _PER_THREE_BYTES, _PER_FOUR_BYTES = 400, 900, 1500
# The scripts of three bytes that are letters: Devanagari to Georgian, and Khmer.
_LETTERS = re.compile("[\u0900-\u10ff\u1780-\u17ff]+")
_LESS_PER_LETTER = _PER_THREE_BYTES - 600
# One call that counts keeps the interpreter from other threads for less than a millisecond.
_PIECE = 1 << 18


def estimate_tokens(text: str) -> int:
    """Return the estimated number of tokens, by kinds of characters and scripts, rounded up."""
    return (estimate_thousandths(text) + 999) // 1000


def estimate_thousandths(text: str) -> int:
    """Return the estimated thousandths of a token; those of pieces of a text add up."""
    if len(text) > _PIECE:
        pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
        return sum(map(estimate_thousandths, pieces))
    if text.isascii():
        return _of_ascii(text.encode())
    characters = len(text)
    raw = text.encode("ascii", "ignore")
    size = len(text.encode("utf-8", "surrogatepass"))
    # UTF-16 has two units for a character of four bytes in UTF-8, and one for all others.
    four = len(text.encode("utf-16-le", "surrogatepass")) // 2 - characters
    three = size - 2 * characters + len(raw) - 2 * four
    two = characters - len(raw) - three - four
    tokens = _of_ascii(raw) + _PER_TWO_BYTES * two + _PER_THREE_BYTES * three
    tokens += _PER_FOUR_BYTES * four
    if three:
        tokens -= _LESS_PER_LETTER * sum(map(len, _LETTERS.findall(text)))
    return tokens


def _of_ascii(raw: bytes) -> int:
    """Return the estimated thousandths of a token."""
    tokens = 0
    words = raw.translate(_OF_WORDS)
    if _NO_WORD in words:
        raw, left_out = _without_no_words(raw, words)
        tokens = _OF_NO_WORD * left_out
    spaces, lines = raw.count(b" "), raw.count(b"\n")
    digits = len(raw) - len(raw.translate(None, _DIGITS))
    letters = len(raw) - len(raw.translate(None, _LETTERS_OF_ASCII))
    signs = len(raw) - letters - digits - spaces - lines
    tokens += _LETTER * letters + _DIGIT * digits + _SIGN * signs
    return tokens + _SPACE * spaces + _LINE * lines


def _without_no_words(raw: bytes, words: bytes) -> tuple[bytes, int]:
    """Return ``raw`` without long words with digits, and how many characters these have."""
    kept, at = [], 0
    while (begin := words.find(_NO_WORD, at)) >= 0:
        end = words.find(b" ", begin)
        end = len(raw) if end < 0 else end
        long = raw[begin:end]
        has_digits = len(long.translate(None, _DIGITS)) < len(long) * 15 // 16
        kept.append(raw[at:begin] if has_digits else raw[at:end])
        at = end
    kept.append(raw[at:])
    rest = b"".join(kept)
    return rest, len(raw) - len(rest)
