"""Damage an answer as broken servers, proxies and networks do: any value, any event, any byte."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.fakes.recordings import Event, Recording
from tests.fakes.server import Reply

# Nested so deep that Python's own functions might not write it: the text is put in later.
_NESTED = {f"nested {n} deep": "[" * n + "]" * n for n in (100, 300, 600, 900)}
VALUES = [
    None, "", "text", 0, 7, -1, 1e30, 10**40, 0.5, True, False, [], [None], ["a"], [[]], {},
    {"a": 1}, [{}], *_NESTED,
    float("nan"), float("inf"), "\ud83d", "\0",
]  # fmt: skip
_KINDS = ["application/json", "text/html", "text/plain", "text/event-stream", "", "a/b; charset=x"]
_STATUSES = [200, 200, 200, 200, 200, 200, 200, 400, 418, 500, 503]
_TEXTS = ["{", "null", "[]", "7", '"text"', "{}", "NaN", '{"a": NaN}', "[" * 5000]
Path = tuple[Any, ...]


def written(value: Any) -> str:
    """JSON, with NaN as some servers write it, and a number beyond all floats."""
    if isinstance(value, str):
        return value
    text = json.dumps(value).replace("Infinity", "1e400")
    for name, nested in _NESTED.items():
        text = text.replace(f'"{name}"', nested)
    return text


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place within ``value``."""
    if path:
        yield path
    for key, inner in (
        value.items() if isinstance(value, dict)
        else enumerate(value) if isinstance(value, list) else ()
    ):  # fmt: skip
        yield from paths(inner, (*path, key))


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """``value`` without one of its fields, or with another value there."""
    found = list(paths(value))
    if not found:
        return draw(st.sampled_from(VALUES))
    value = copy.deepcopy(value)
    *way, last = draw(st.sampled_from(found))
    holder = value
    for step in way:
        holder = holder[step]
    if draw(st.integers(0, 4)) == 0:
        del holder[last]
    else:
        holder[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    return value


@st.composite
def whole_replies(draw: st.DrawFn, recording: Recording) -> Reply:
    """The answer in one piece, damaged."""
    body: Any = recording.whole
    for _ in range(draw(st.integers(0, 3))):
        body = draw(changed(body))
    raw = written(body).encode()
    how = draw(st.sampled_from(["", "", "", "", "", "", "raw", "cut", "bom", "lost", "kind"]))
    if how == "raw":
        raw = draw(st.sampled_from([b"", b" ", b"\xff\xfe", *map(str.encode, _TEXTS)]))
    elif how == "cut":
        raw = raw[: draw(st.integers(0, len(raw)))]
    elif how == "bom":
        raw = b"\xef\xbb\xbf" + raw
    headers = {"content-type": draw(st.sampled_from(_KINDS))} if how == "kind" else {}
    return Reply(raw, draw(st.sampled_from(_STATUSES)), headers, drop=how == "lost")


@st.composite
def _rearranged(draw: st.DrawFn, events: list[Event]) -> list[Event]:
    events = list(events)
    if not events:
        return events
    place = draw(st.integers(0, len(events) - 1))
    name, data = events[place]
    how = draw(
        st.sampled_from(["change", "change", "change", "name", "raw", "bom",
                         "drop", "twice", "swap", "cut"])
    )  # fmt: skip
    if how == "change":
        events[place] = name, draw(changed(data)) if isinstance(data, dict) else data
    elif how == "name":
        events[place] = draw(st.sampled_from(["", "error", "other", events[0][0]])), data
    elif how == "raw":
        events[place] = name, draw(st.sampled_from([*_TEXTS, "", "[DONE]"]))
    elif how == "bom":
        events[place] = name, "\ufeff" + written(data)
    elif how == "drop":
        del events[place]
    elif how == "twice":
        events.insert(place, events[place])
    elif how == "swap":
        other = draw(st.integers(0, len(events) - 1))
        events[place], events[other] = events[other], events[place]
    else:
        del events[place + 1 :]
    return events


@st.composite
def streamed_replies(draw: st.DrawFn, recording: Recording) -> Reply:
    """The answer as a stream of events, damaged."""
    events = recording.events
    for _ in range(draw(st.integers(0, 3))):
        events = draw(_rearranged(events))
    raw = b"".join(
        (f"event: {name}\n" if name else "").encode() + f"data: {written(data)}\n\n".encode()
        for name, data in events
    )
    how = draw(st.sampled_from(["", "", "", "", "", "", "bytes", "lost", "kind", "bom", "whole"]))
    if how == "whole":
        return draw(whole_replies(recording))
    if how in {"bytes", "lost"}:
        raw = raw[: draw(st.integers(0, len(raw)))]
    elif how == "bom":
        raw = b"\xef\xbb\xbf" + raw
    headers = {"content-type": draw(st.sampled_from(_KINDS))} if how == "kind" else {}
    half = len(raw) // 2
    return Reply(chunks=[raw[:half], raw[half:]], headers=headers, drop=how == "lost")
