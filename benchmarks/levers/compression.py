"""python -m benchmarks.levers.compression: what shortening saves, and the time that it takes.

Sessions of agents are drawn as in :mod:`benchmarks.routing.agent_sessions`: how many calls, how
large the results of tools are, how long people pause. The results are texts of this repository:
its files, read once or again, and what commands say about it. Each call is then priced on
Claude Sonnet with its prompt cache, found for what begins as the last request did and is at most
five minutes old, byte for byte:

- as the client sends it,
- shortened, where the model asks for the original of so many shortened logs in a hundred: each
  time, it reads its whole conversation again, and the original stays in it from then on,
- shortened with the tool added only when it is first needed, which the lever does not do: all
  that the provider has in its cache by then is lost.

The kinds of results and their shares are ASSUMED and printed. The tokens are estimates of
:mod:`providers.token_estimates`. Quality is not measured here.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.routing.agent_sessions import CLASSES, Call, draw
from optimizer.gateway.levers.compression.sending import Sending
from optimizer.gateway.levers.compression.texts.cache import ShortTexts
from optimizer.gateway.levers.compression.texts.forms import SAME, TOOL, Limits
from providers.catalogue import load_catalogue
from providers.chat import Chat, Message, Text, ToolCall, ToolResult
from providers.known_models import KnownModels
from providers.pricing import PriceBook
from providers.token_estimates import estimate_tokens

_ROOT = Path(__file__).resolve().parents[2]
_MODEL = ("claude", "claude-sonnet-5-5")
_SYSTEM_TOKENS, _CACHE_SECONDS, _CALL_TOKENS = 16_000, 300.0, 45
_TOOL_TOKENS, _LEAST_TIMED = 70, 5_000
_SHARES = {
    "file": 0.38, "file again": 0.07, "search": 0.15, "tests": 0.13, "build": 0.07, "json": 0.08,
    "diff": 0.12,
}  # fmt: skip
_RESTORED = (0, 5, 15, 30)


class Results:
    """Texts that tools return, of about as many tokens as are asked for."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        files = [*_ROOT.glob("optimizer/**/*.py"), *_ROOT.glob("providers/**/*.py")]
        self._files = [path.read_text() for path in sorted(files) if path.stat().st_size > 500]
        self._tests = _said("grep -rhoE 'def test_[a-z_0-9]+' tests", "tests").split("\n")
        self._search = _said("grep -rnE 'def |class ' optimizer", "search").split("\n")
        self._diff = _said("git log -p -40 --format=%H", "diff").split("\n")

    def of(self, kind: str, tokens: int, read: list[str]) -> str:
        """Return a result of ``kind``; ``read`` are the files that the session has read."""
        if kind == "file again" and read:
            return self._chance.choice(read)
        if kind in {"file", "file again"}:
            text = self._cut(self._chance.choice(self._files).split("\n"), tokens)
            read.append(text)
            return text
        if kind == "json":
            rows = [self._row(number) for number in range(max(2, tokens // 45))]
            return json.dumps({"total": len(rows), "items": rows}, indent=2)
        if kind == "tests":
            names = [name.removeprefix("def ") for name in self._tests]
            lines = [self._result(self._chance.choice(names)) for _ in range(tokens // 20)]
            return "\n".join(["collected items", *lines, "1 failed in 12.3s"])
        if kind == "build":
            lines = [self._step(number) for number in range(tokens // 22)]
            return "\n".join(lines)
        lines = self._search if kind == "search" else self._diff
        start = self._chance.randrange(max(1, len(lines) - 500))
        return self._cut(lines[start:], tokens)

    def _cut(self, lines: list[str], tokens: int) -> str:
        kept: list[str] = []
        for line in lines:
            tokens -= estimate_tokens(line) + 1
            kept.append(line)
            if tokens < 0:
                break
        return "\n".join(kept)

    def _row(self, number: int) -> dict[str, object]:
        return {
            "id": number, "name": self._chance.choice(self._tests), "score": self._chance.random(),
            "labels": ["bug", "open"], "author": {"login": f"user{number % 9}", "id": number % 9},
        }  # fmt: skip

    def _result(self, name: str) -> str:
        failed = self._chance.random() < 0.01
        end = "FAILED" if failed else "PASSED"
        return f"tests/{name[:12]}.py::{name} {end} [ {self._chance.randrange(100)}%]"

    def _step(self, number: int) -> str:
        level = "WARNING: deprecated" if self._chance.random() < 0.02 else "INFO"
        return f"2026-01-02 10:{number % 60:02d}:07 {level} step {number} took {number * 7} ms"


def _said(command: str, what: str) -> str:
    done = subprocess.run(command, shell=True, cwd=_ROOT, capture_output=True, text=True)
    if not done.stdout:
        raise SystemExit(f"There is no text for {what}: {command}")
    return done.stdout


@dataclass
class Sent:
    """What one way of sending a conversation cost so far."""

    dollars: float = 0.0
    tokens: int = 0
    uncached: int = 0
    calls: int = 0
    last: list[object] = field(default_factory=list)
    at: float = float("-inf")

    def send(self, parts: list[object], counts: list[int], output: int, at: float) -> None:
        """Price a request of ``parts``, with so many tokens each."""
        alike = 0
        if at - self.at <= _CACHE_SECONDS:
            for one, other in zip(self.last, parts, strict=False):
                if one is not other and one != other:
                    break
                alike += 1
        read, written = sum(counts[:alike]), sum(counts[alike:])
        price = _PRICES
        self.dollars += read * price[1] + written * price[2] + output * price[3]
        self.tokens += read + written
        self.uncached += written
        self.calls += 1
        self.last, self.at = parts, at


def _prices() -> tuple[float, float, float, float]:
    catalogue = load_catalogue()
    rates = PriceBook(catalogue, KnownModels(catalogue)).rates(*_MODEL)
    assert rates is not None
    assert rates.cache_read is not None
    assert rates.cache_write is not None
    found = (rates.input.base, rates.cache_read.base, rates.cache_write.base, rates.output.base)
    return tuple(float(price) / 1e6 for price in found)  # type: ignore[return-value]


_PRICES = _prices()


@dataclass
class _Way:
    """One conversation, sent in one way. ``share`` is how often in a hundred it is restored."""

    name: str
    sending: Sending
    sent: Sent
    share: int = 0
    forms: dict[str, str] = field(default_factory=dict)
    hidden: dict[int, list[Message]] = field(default_factory=dict)

    def send(self, chat: Chat, output: int, at: float, lot: float) -> set[str]:
        """Send a conversation's next request; return the parts that are new in a short form."""
        messages, before = chat.messages, set(self.forms)
        if self.name != "as sent":
            self.forms |= self.sending.new_forms(chat, self.forms)
            messages = self.sending.written(chat, self.forms).messages
        tool = self.name != "as sent"
        if self.name == "late tool":
            tool = any(a is not b for a, b in zip(messages, chat.messages, strict=True))
        self._price(messages, tool, output, at)
        new = set(self.forms) - before
        if any(self.forms[part] != SAME for part in new) and lot * 100 < self.share:
            call = Message("assistant", (ToolCall(f"r{at}", TOOL, '{"id":"0123456789ab"}'),))
            whole = Message("user", chat.messages[-1].parts)
            self.hidden[len(messages) - 1] = [call, whole]
            self._price(messages, tool, _CALL_TOKENS, at)
        return new

    def _price(self, messages: Sequence[Message], tool: bool, output: int, at: float) -> None:
        parts: list[object] = [tool]
        sizes = [_SYSTEM_TOKENS + _TOOL_TOKENS * tool]
        for number, message in enumerate(messages):
            for one in (message, *self.hidden.get(number, ())):
                parts.append(one)
                sizes.append(_tokens(one))
        self.sent.send(parts, sizes, output, at)


_counted: dict[str, int] = {}


def _tokens(message: Message) -> int:
    """Return the tokens of a message; each text is counted once."""
    total = 4
    for part in message.parts:
        for one in part.content if isinstance(part, ToolResult) else (part,):
            text = getattr(one, "text", "") or getattr(one, "arguments", "")
            if text not in _counted:
                _counted[text] = estimate_tokens(text)
            total += _counted[text]
    return total


@dataclass
class _Measured:
    """What is counted over all sessions."""

    kinds: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    first: list[tuple[float, int]] = field(default_factory=list)
    again: list[tuple[float, int]] = field(default_factory=list)


def _conversation(
    calls: Sequence[Call], results: Results, chance: random.Random, measured: _Measured
) -> Iterator[tuple[Chat, Call, int]]:
    """Yield each request of a session, with the characters that are new in it."""
    messages: list[Message] = []
    read: list[str] = []
    for step, call in enumerate(calls):
        if call.turn == "tool_result" and messages:
            what = chance.choices(list(_SHARES), list(_SHARES.values()))[0]
            measured.kinds[what] += 1
            tool = "Read" if what.startswith("file") else "Bash"
            made = ToolCall(f"c{step}", tool, json.dumps({"what": what, "step": step}))
            messages[-1] = Message("assistant", (*messages[-1].parts, made))
            text = results.of(what, call.new, read)
            messages.append(Message("user", (ToolResult(made.id, (Text(text),)),)))
        else:
            text = "words " * max(1, call.new)
            messages.append(Message("user", (Text(text),)))
        yield Chat(tuple(messages)), call, len(text)
        messages.append(Message("assistant", (Text("words " * max(1, call.output)),)))


def run(sessions: int, min_tokens: int, seed: int) -> None:
    """Send the sessions in all ways, and print what they cost."""
    chance = random.Random(seed)
    results = Results(chance)
    names = {"as sent": 0, "late tool": 0, **{f"restored {share}%": share for share in _RESTORED}}
    totals = {name: Sent() for name in names}
    measured = _Measured()
    for number in range(sessions):
        _counted.clear()
        kind = chance.choices(CLASSES, [one.share for one in CLASSES])[0]
        calls = [call for call in draw(kind, chance) if call.conversation == "main"]
        texts, limits = ShortTexts(), Limits(min_tokens, True)
        ways = [
            _Way(name, Sending(f"{number}", limits, texts), totals[name], share)
            for name, share in names.items()
        ]
        for way in ways:
            way.sent.at = float("-inf")
        for chat, call, size in _conversation(calls, results, chance, measured):
            _time(chat, ways[-1], measured, size)
            lot = chance.random()
            for way in ways:
                new = way.send(chat, call.output, call.at, lot)
                if way.name == "restored 0%":
                    measured.forms.update(way.forms[part].partition(".")[0] for part in new)
    _report(totals, measured)


def _time(chat: Chat, way: _Way, measured: _Measured, size: int) -> None:
    """Measure how long the next request of a conversation takes, and one like it after it."""
    sending = Sending(way.sending.conversation, way.sending.limits, way.sending.texts)
    began = time.perf_counter()
    new = sending.new_forms(chat, way.forms)
    sending.written(chat, {**way.forms, **new})
    if size > _LEAST_TIMED:
        measured.first.append((time.perf_counter() - began, size))
    began = time.perf_counter()
    sending.written(chat, {**way.forms, **new})
    took = time.perf_counter() - began
    texts_of = (one for m in chat.messages for p in m.parts for one in getattr(p, "content", (p,)))
    measured.again.append((took, sum(len(getattr(one, "text", "")) for one in texts_of)))


def _report(totals: dict[str, Sent], measured: _Measured) -> None:
    print("Results of tools:", ", ".join(f"{k} {n}" for k, n in measured.kinds.most_common()))
    print("Sent in a short form:", ", ".join(f"{k} {n}" for k, n in measured.forms.most_common()))
    base = totals["as sent"]
    print(f"\n{'way':>14} {'calls':>7} {'tokens':>12} {'uncached':>11} {'USD':>9} {'cost':>8}")
    for way, total in totals.items():
        print(
            f"{way:>14} {total.calls:7d} {total.tokens:12,d} {total.uncached:11,d} "
            f"{total.dollars:9.2f} {total.dollars / base.dollars - 1:+8.1%}"
        )
    for what, times in (("the next request, by new text", measured.first),
                        ("the same request again, by all text", measured.again)):  # fmt: skip
        per_mb = sum(took for took, _ in times) / sum(size for _, size in times) * 1e9
        longest = max(took for took, _ in times) * 1000
        print(f"Time of {what}: {per_mb:.0f} ms per MB; the longest {longest:.0f} ms")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--min-tokens", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    print(f"{asked.sessions} sessions, min_tokens {asked.min_tokens}, ASSUMED shares: {_SHARES}")
    run(asked.sessions, asked.min_tokens, asked.seed)


if __name__ == "__main__":
    main()
