"""Large JSON is read and written piece by piece, with the same result as at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import large_json
from providers.large_json import (
    DENSE_BYTES,
    LARGE_BYTES,
    is_large,
    json_pieces,
    read_large,
    write_large,
)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=60
)
ODD = [
    '{"a": 123456789012345678901234567890}',
    '{"a": "\\ud800", "b": [1, {"c": [[[[[[[[1]]]]]]]]}]}',
    '[{"a": 1, "a": 2}, -0, 1e999, "\\u0000"]',
    " \n[ ] ",
    '{"a" : [ 1 , 2 ] , "b":{}}',
]
BROKEN = ["", "{", "[1,]", '{"a" 1}', '{"a": 1,}', "[1] 2", '{"a": [1, tru]}', '["\n"]', "[" * 99]


@given(VALUES)
def test_what_is_written_is_what_json_writes(value: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_json, "_VALUES_PER_PIECE", 3)
        assert write_large(value) == json.dumps(value).encode()


@given(VALUES)
def test_pieces_are_what_json_writes_in_order(value: Any) -> None:
    encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_json, "_VALUES_PER_PIECE", 3)
        pieces = list(json_pieces(value, encode, separators=(",", ":"), ordered=True))
    assert "".join(pieces) == encode(value)


@pytest.mark.parametrize("orjson_reads", [True, False])
@given(VALUES)
def test_what_is_read_is_what_json_reads(orjson_reads: bool, value: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if not orjson_reads:
            patch.setattr(large_json, "_MOST_AT_ONCE", -1)
        assert repr(read_large(json.dumps(value))) == repr(json.loads(json.dumps(value)))


@pytest.mark.parametrize("text", ODD)
def test_odd_values_are_read_as_json_reads_them(text: str) -> None:
    assert repr(read_large(text)) == repr(json.loads(text))


@pytest.mark.parametrize("text", BROKEN)
def test_what_json_refuses_is_refused_in_the_same_words(text: str) -> None:
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(text)
    with pytest.raises(json.JSONDecodeError) as raised:
        read_large(text)
    assert str(raised.value) == str(expected.value)


def test_no_piece_is_large_wherever_the_values_are(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [{"role": "user", "content": "a"} for _ in range(20_000)]
    parts = [{"role": "user", "content": [{"type": "text", "text": "a"}] * 20_000}]
    mapping = {"tools": {str(number): [number] for number in range(20_000)}}
    for value in (messages, parts, mapping):
        seen: list[int] = []
        list(json_pieces(value, _measured(seen), separators=(", ", ": ")))
        assert max(seen) < 100_000


def _measured(seen: list[int]) -> Callable[[Any], str]:
    def dumps(value: Any) -> str:
        text = json.dumps(value)
        seen.append(len(text))
        return text

    return dumps


def test_ordinary_large_bodies_are_read_by_orjson(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orjson, "loads", lambda raw: "read")
    assert read_large('{"a": 1234567890123}') == "read"


@pytest.mark.parametrize(
    ("raw", "large"),
    [
        (b'"' + b"x" * LARGE_BYTES + b'"', True),
        (b'"' + b"x" * (LARGE_BYTES - 2) + b'"', False),
        (b"[" + b",".join([b'{"parts":[{"text":"x"}]}'] * 1_500) + b"]", True),
        (
            b"[" + b",".join([b'{"role":"user","content":"' + b"x" * 300 + b'"}'] * 500) + b"]",
            False,
        ),
    ],
    ids=["long", "one text", "many parts", "a conversation"],
)
def test_what_has_many_values_is_large_though_it_is_short(raw: bytes, large: bool) -> None:
    assert len(raw) > DENSE_BYTES
    assert is_large(raw) is large
