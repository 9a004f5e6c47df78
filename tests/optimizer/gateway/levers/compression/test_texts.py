"""Texts written shorter: nothing that JSON or a table says changes, and errors in logs stay."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.gateway.levers.compression.places import TextPlace, is_exact, pasted
from optimizer.gateway.levers.compression.texts.forms import Limits, form_of, short_text
from optimizer.gateway.levers.compression.texts.json_text import (
    as_objects,
    is_json,
    with_columns,
    without_whitespace,
)
from optimizer.gateway.levers.compression.texts.logs import is_log, shortened
from optimizer.gateway.levers.compression.texts.tables import without_padding

_SPACES = st.text(" \t\r\n", max_size=3)
_NUMBERS = st.sampled_from(
    ["0", "-0", "1.10", "1e400", "-1E-7", "100000000000000000000000000000001", "0.1000", "NaN"]
)
_STRINGS = st.text(max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False)) | (
    st.text(max_size=8).map(json.dumps)
)
_LITERALS = _NUMBERS | _STRINGS | st.sampled_from(["true", "false", "null"])


@st.composite
def _values(draw: st.DrawFn, depth: int = 3) -> str:
    """JSON as texts: with any spaces, numbers in any form, and keys that come twice."""
    kind = draw(st.sampled_from("llltoar" if depth else "l"))
    space = lambda: draw(_SPACES)  # noqa: E731
    if kind == "l":
        return draw(_LITERALS)
    count = draw(st.integers(0, 4))
    if kind == "r":  # a list of like objects
        keys = draw(st.lists(_STRINGS, max_size=3))
        rows = (
            "{" + ",".join(f"{space()}{k}{space()}:{draw(_values(depth - 1))}" for k in keys) + "}"
            for _ in range(count)
        )
        return f"[{space()}{','.join(rows)}{space()}]"
    if kind in "to":
        members = (
            f"{space()}{draw(_STRINGS)}{space()}:{space()}{draw(_values(depth - 1))}{space()}"
            for _ in range(count)
        )
        return "{" + ",".join(members) + "}"
    elements = (f"{space()}{draw(_values(depth - 1))}{space()}" for _ in range(count))
    return f"[{','.join(elements)}]"


def _read(text: str) -> Any:
    """Every token of a JSON text: numbers as they are written, all pairs of keys and values."""
    pairs: Any = lambda found: ["object", *found]  # noqa: E731
    return json.loads(
        text, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=pairs
    )


@given(_values().map(lambda value: f"[{value}]"))
def test_json_says_the_same(text: str) -> None:
    assert is_json(text)
    plain = without_whitespace(text)
    assert _read(plain) == _read(text)
    assert len(plain) <= len(text)
    columns = with_columns(plain)
    assert as_objects(columns) == plain
    json.loads(columns)


@given(_values().map(lambda value: f"[{value}]"))
def test_without_whitespace_keeps_every_other_character(text: str) -> None:
    strings = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
    assert strings.findall(without_whitespace(text)) == strings.findall(text)
    bare = strings.sub('""', text)
    assert strings.sub('""', without_whitespace(text)) == re.sub(r"[ \t\r\n]", "", bare)


def test_like_objects_name_their_keys_once() -> None:
    text = (
        '{"items":[{"a":1.10,"b":[{"c":"ü"},{"c":"v"},{"c":1e400}]},{"a":2,"b":[]},{"a":3,"b":0}]}'
    )
    assert with_columns(text) == (
        '{"items":{"@columns":["a","b"],"@rows":'
        '[[1.10,{"@columns":["c"],"@rows":[["ü"],["v"],[1e400]]}],[2,[]],[3,0]]}}'
    )
    assert as_objects(with_columns(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        '[{"a":1,"a":2},{"a":1,"a":2},{"a":1,"a":2}]',  # a key twice
        '[{"a":1,"b":2},{"b":1,"a":2},{"a":1,"b":2}]',  # another order
        '[{"@columns":1},{"@columns":2},{"@columns":3}]',  # the names of the form itself
        "[{},{},{}]",
        '[{"a":1},{"a":2}]',
    ],
)
def test_other_lists_stay(text: str) -> None:
    assert with_columns(text) == text


@pytest.mark.parametrize("text", ["", "{", "[1,]", "null", '"text"', "{'a': 1}", "[1] tail"])
def test_what_is_no_json(text: str) -> None:
    assert not is_json(text)


def test_tables_lose_their_padding_alone() -> None:
    head, tail = "Words |  not a table\n\n", "| `p |  q` | 2|\nend  |"
    table = "| a    | b  |\n|------|:--:|\n| x  y |  1 |\n"
    assert without_padding(head + table + tail) == f"{head}|a|b|\n|---|:--:|\n|x  y|1|\n{tail}"


_BUILD = "\n".join(f"Compiling crate-{n} v1.{n}.0" for n in range(400))
_PYTEST = "\n".join(f"tests/test_{n}.py::test_it PASSED [ {n % 100}%]" for n in range(300))
_CODE = "\n".join(f"def function_{n}(a, b):\n    return a + b * {n}\n" for n in range(200))
_CONFIG = "\n".join(f'name_{n} = "value {n}"' for n in range(300))
_NUMBERED = "\n".join(f"{n:6}→2026-01-01 10:00:00 INFO line" for n in range(300))
_DIFF = "diff --git a/x b/x\n@@ -1,3 +1,3 @@\n" + "\n".join(f"+2026-01-01 {n}" for n in range(300))
_WORDS = ("many", "things", "of", "old", "people", "remember", "well", "and", "nobody", "knows")
_PROSE = "\n".join(" ".join(_WORDS[n % 7 :: n % 5 + 1]) + f" word{n}x" * (n % 9) for n in range(80))
_ROWS = "\n".join(f"{n},name {n},{n * 7},2026-01-0{n % 9}" for n in range(300))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (_BUILD, True), (_PYTEST, True), (_CODE, False), (_CONFIG, False), (_NUMBERED, False),
        (_DIFF, False), (_ROWS, False), ("2026-01-01 10:00:00 INFO a\n" * 20, False),
    ],
)  # fmt: skip
def test_what_is_a_log(text: str, expected: bool) -> None:
    assert is_log(text) is expected


def test_a_log_keeps_its_beginning_its_end_and_its_errors() -> None:
    lines = _PYTEST.split("\n")
    lines[150] = "tests/test_150.py::test_it FAILED [ 50%]"
    lines[151] = "E   AssertionError: 1 != 2"
    short, left_out = shortened("\n".join(lines), 300) or ("", 0)
    kept = short.split("\n")
    assert kept[0] == lines[0]
    assert kept[-1] == lines[-1]
    assert lines[150] in kept
    assert lines[151] in kept
    omitted = [line for line in kept if line.startswith("[…")]
    assert sum(int(line.split()[1]) for line in omitted) == left_out
    assert left_out + len(kept) - len(omitted) == len(lines)


@given(st.text(max_size=400), st.integers(1, 200))
def test_what_is_kept_of_a_log_stands_in_it(text: str, keep: int) -> None:
    found = shortened(text, keep)
    if found is not None:
        lines = set(text.split("\n"))
        kept = [line for line in found[0].split("\n") if not re.match(r"\[… \d+ lines? left", line)]
        assert all(line in lines or " characters left out …]" in line for line in kept)


LIMITS, PLAIN = Limits(200, True), Limits(200, False)
_JSON = json.dumps([{"a": n, "b": [n]} for n in range(200)], indent=1)


@pytest.mark.parametrize(
    ("text", "limits", "how", "form"),
    [
        (_JSON, LIMITS, {}, "columns.1"),
        (_JSON, PLAIN, {}, "columns.1"),
        (_JSON, LIMITS, {"exact": True}, ""),
        (json.dumps(list(range(900)), indent=1), LIMITS, {}, "json.1"),
        (_BUILD, LIMITS, {}, "log.1:120"),
        (_BUILD, PLAIN, {}, ""),
        (_BUILD, LIMITS, {"exact": True}, "log.1:120"),
        (_CODE, LIMITS, {}, ""),
        (_CODE, LIMITS, {"exact": True, "repeated": True}, "same.1"),
        (_CODE, PLAIN, {"exact": True, "repeated": True}, "same.1"),
        ("short", LIMITS, {"repeated": True}, ""),
        (_BUILD[:400], LIMITS, {}, ""),
        (_PROSE, LIMITS, {}, ""),
    ],
)
def test_which_form_fits(text: str, limits: Limits, how: dict[str, bool], form: str) -> None:
    asked = {"exact": False, "repeated": False, **how}
    assert form_of(text, limits, **asked) == form


@pytest.mark.parametrize("form", ["json.9", "log.1", "log.1:many", "", "other"])
def test_a_form_that_is_not_known_is_not_written(form: str) -> None:
    assert short_text("text", form, "") is None


@pytest.mark.parametrize(
    ("name", "arguments", "exact"),
    [
        ("Read", "{}", True), ("view_file", "{}", True), ("bash", '{"command": "cat a.py"}', True),
        ("bash", '{"command": "git show HEAD"}', True), ("bash", '{"cmd": "npm test"}', False),
        ("bash", '{"cmd": "npm test | tail -5"}', False), ("run", '{"cmd": "make"}', False),
    ],
)  # fmt: skip
def test_which_results_are_files(name: str, arguments: str, exact: bool) -> None:
    assert is_exact(name, arguments) is exact


@given(st.lists(st.sampled_from(["```\n", "~~~\n", "a" * 90 + "\n", "words\n", "\n"]), max_size=12))
def test_of_a_persons_words_only_fenced_blocks_change(pieces: list[str]) -> None:
    text = "".join(pieces)
    blocks: list[str] = []

    def change(place: TextPlace) -> str:
        blocks.append(place.text)
        return "short\n"

    assert pasted(text, True, lambda place: place.text) is text
    changed = pasted(text, True, change)
    for block in blocks:
        assert f"\n{block}" in f"\n{text}"
    assert changed.count("words") == text.count("words") - sum(b.count("words") for b in blocks)
