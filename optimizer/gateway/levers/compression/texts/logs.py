"""Shortens logs and the output of commands: beginning, end and what looks like an error stay.

A log is known by its lines: times, levels, results of tests, progress, or the same line again
and again with other numbers. Code, diffs and prose are none, however long they are.
"""

from __future__ import annotations

import re
from collections import Counter

from providers.token_estimates import estimate_tokens

_LEAST_LINES = 30
_LIKE_A_LOG, _SURELY_A_LOG, _REPEATED, _LIKE_CODE = 0.4, 0.7, 0.6, 0.3
_OFTEN = 4
_LONG_LINE, _LINE_END = 600, 200
_HEAD, _TAIL, _ERRORS = 0.3, 0.35, 0.35
"""The shares of the kept tokens."""
_SAME_ERROR = 3
_MOST_LINES = 20_000
"""Lines that are looked at to tell a log: those of the beginning and the end."""

_OF_LOGS = re.compile(
    r"""^\W{0,3}(?:
        \d{4}-\d\d-\d\d[T ]\d\d:\d\d | \d\d:\d\d:\d\d
        | \d\d/\w{3}/\d{4}:\d\d | \w{3}\s+\d+\s\d\d:\d\d
        | \[?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)\b\]?
        | \[?(?:debug|info|warn|error)\b\]?
        | (?:npm|yarn|pnpm)\s | Step\s\d+/\d+ | \#\d+\s\[? | Get:\d+\s | Hit:\d+\s
        | (?:Collecting|Downloading|Downloaded|Installing|Installed|Building|Compiling|Compiled
            |Linking|Checking|Unpacking|Preparing|Processing|Copying|Generating|Fetching|Receiving|Resolving
            |Requirement\salready|Using\scached|Selecting|Setting\sup|remote:|Running|Finished)\b
        | \[\s*\d+/\d+\] | \[\s*\d+%\] | \d+(?:\.\d+)?%
        | (?:ok|not\sok)\s\d+ | (?:PASS|FAIL|SKIP|RUN|OK)\b | [✓✔✗✘●○×]
        | at\s\S+.*:\d+ | File\s".+",\sline\s\d+
    )|\b(?:PASSED|FAILED|SKIPPED|XFAIL)\b|\.\.\.\s(?:ok|FAILED|ignored|skipped|done)\b""",
    re.VERBOSE,
)
_OF_CODE = re.compile(
    r"""^\s*(?:
        (?:def|class|import|from|return|if|elif|else|for|while|try|except|with|async|await|yield
          |raise|const|let|var|function|export|public|private|protected|static|func|fn|impl|struct|enum
          |type|interface|package|use|mod|pub|switch|case|throw|new|template|namespace|using|end)\b
        | //|/\*|\*\s|\#include|\#define|@\w+|</?\w|[}\])]
        | -?\s*[\w."'-]+\s?[=:]\s | \[+[\w."-]+\]+\s*$ | [^,]*(?:,[^,]*){3}
    )|[{;]\s*$|^\s+\w.*[(,:]\s*$""",
    re.VERBOSE,
)
_NUMBERED = re.compile(r"^\s*\d+(?:→|\t|:\s|\s\|)")
_OF_DIFFS = re.compile(r"^(?:diff --git |@@ -\d|index [0-9a-f]{7,}\.\.)", re.MULTILINE)
_OF_ERRORS = re.compile(
    r"(?i:\b(?:error|err!|fail(?:ed|ure|ures|ing|s)?|exception|traceback|panic(?:ked)?|fatal"
    r"|warn(?:ing)?|assert(?:ion)?\w*|denied|cannot|can't|undefined|unresolved|not\sfound|no\ssuch|missing|invalid"
    r"|segfault|segmentation|killed|abort(?:ed)?|timed?\s?out|refused|unexpected|rejected|deprecated)\b)"
    r"|[a-z](?:Error|Exception|Warning)\b|^\s*E\s{2,}|✗|✘|✖|^\s*\^+\s*$"
)
_VARYING = re.compile(
    r"0x[0-9a-fA-F]+|[0-9a-fA-F]{7,}|\d+|(?<=[\s\"'(=])[\w.-]*/[\w./-]+|\"[^\"]*\""
)


def is_log(text: str, *, surely: bool = False) -> bool:
    """Return whether ``text`` is a log or the output of a command, ``surely`` beyond doubt."""
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > _MOST_LINES:
        lines = lines[: _MOST_LINES // 2] + lines[-_MOST_LINES // 2 :]
    if len(lines) < _LEAST_LINES or _OF_DIFFS.search(text):
        return False
    count = len(lines)
    if sum(1 for line in lines if _NUMBERED.match(line)) > count // 2:
        return False  # a file with the numbers of its lines
    like_log = sum(1 for line in lines if _OF_LOGS.search(line[:300])) / count
    if like_log >= (_SURELY_A_LOG if surely else _LIKE_A_LOG):
        return True
    if surely or sum(1 for line in lines if _OF_CODE.search(line[:300])) >= _LIKE_CODE * count:
        return False
    like = Counter(template(line) for line in lines)
    return sum(n for n in like.values() if n >= _OFTEN) >= _REPEATED * count


def template(line: str) -> str:
    """Return ``line`` with its numbers, addresses, paths and quoted words left out."""
    return _VARYING.sub("#", line[:300])


def shortened(text: str, keep: int) -> tuple[str, int] | None:
    """Return ``text`` in about ``keep`` tokens, and how many lines are left out.

    ``None`` if no line would be left out.
    """
    lines = text.split("\n")
    head = _fitting(lines, int(keep * _HEAD))
    tail = _fitting(lines[head:][::-1], int(keep * _TAIL))
    last = len(lines) - tail
    if last - head < 2:
        return None
    kept = set(range(head)) | set(range(last, len(lines)))
    kept |= _errors(lines, head, last, int(keep * _ERRORS))
    written: list[str] = []
    left_out = omitted = 0
    for number, line in enumerate(lines):
        if number not in kept:
            omitted += 1
            continue
        if omitted:
            written.append(_omission(omitted))
            left_out += omitted
            omitted = 0
        written.append(_cut(line))
    return ("\n".join(written), left_out) if left_out else None


def _omission(count: int) -> str:
    return f"[… {count} line{'s' if count > 1 else ''} left out …]"


def _fitting(lines: list[str], tokens: int) -> int:
    """Return how many of the first lines fit into ``tokens``; at least one."""
    for number, line in enumerate(lines):
        tokens -= estimate_tokens(_cut(line)) + 1
        if tokens < 0:
            return max(number, 1)
    return len(lines)


def _errors(lines: list[str], start: int, end: int, tokens: int) -> set[int]:
    """Return the lines between ``start`` and ``end`` that look like errors, with what is around.

    Of errors that differ in numbers alone, the first ones are kept.
    """
    kept: set[int] = set()
    seen: Counter[str] = Counter()
    for number in range(start, end):
        line = lines[number]
        if not _OF_ERRORS.search(line[:2000]):
            continue
        like = template(line)
        seen[like] += 1
        if seen[like] > _SAME_ERROR:
            continue
        for near in range(max(start, number - 1), min(end, number + 3)):
            if near in kept or not lines[near].strip():
                continue
            tokens -= estimate_tokens(_cut(lines[near])) + 1
            if tokens < 0:
                return kept
            kept.add(near)
    return kept


def _cut(line: str) -> str:
    if len(line) <= _LONG_LINE:
        return line
    left_out = len(line) - 2 * _LINE_END
    return f"{line[:_LINE_END]}[… {left_out} characters left out …]{line[-_LINE_END:]}"
