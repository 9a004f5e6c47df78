"""What is asked, by whom and when: the requests of the demo in the order of their times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

from optimizer.lab.demo.company import App, Company
from providers.chat import Message, Text, ToolCall, ToolResult

SPIKE_DAYS_AGO = 9
"""A notebook of the analysis desk asks the dearest model in a loop, for one night."""
_SPIKE_APP, _SPIKE_MODEL, _SPIKE_SHARE = "analysis-desk", "claude-opus-5-5", 0.02
OUTAGE_DAYS_AGO, OUTAGE_PROVIDER = 22, "gemini"
_OUTAGE_HOURS = (9, 13)
_AGENTS = (("claude-code", "messages"), ("codex", "responses"), ("opencode", "chat/completions"))
_AGENT_MODELS = {"claude-code": "claude-sonnet-5-5", "codex": "gpt-6.1-sol"}
_NAMED_BY_AGENTS = 0.3
_SATURDAY = 5
_TURNS = (5, 16)
_FAILED, _FAILED_OVER = 0.004, 0.006
"""Shares of requests that nobody answers, and whose first call fails."""

Failure = Literal["", "all", "first"]


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request of the demo; ``number`` is its place, from which everything random of it follows.

    ``messages`` are the conversation, whose last turn is ``prompt`` or the result of a tool.
    ``output`` is the usual length of the answer in tokens. ``tool`` is the tool that the answer
    calls, "" for none. ``fails`` says which calls fail, ``down`` names a provider that does.
    """

    number: int
    at: datetime
    app: App
    user: str
    prompt: str
    messages: tuple[Message, ...]
    output: int
    endpoint: str
    requested_model: str = ""
    session: str = ""
    agent: str = ""
    turn: str = "human"
    tool: str = ""
    streamed: bool = False
    cached: bool = True
    fails: Failure = ""
    down: str = ""


def planned_requests(
    company: Company, *, requests: int, days: int, seed: int, now: datetime
) -> list[PlannedRequest]:
    """Return about ``requests`` requests of the last ``days`` days, oldest first."""
    random = Random(seed)
    drafts: list[PlannedRequest] = []
    first = (now - timedelta(days=days - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [first + timedelta(days=day) for day in range(days)]
    for app in company.apps.values():
        weights = [_weight(app, start, day / days) for day, start in enumerate(starts)]
        for start, weight in zip(starts, weights, strict=True):
            expected = requests * app.share * weight / sum(weights)
            drafts += _of_a_day(company, app, start, expected, random)
    if days > SPIKE_DAYS_AGO:
        drafts += _spike(company, now, round(requests * _SPIKE_SHARE), random)
    drafts = sorted((draft for draft in drafts if draft.at < now), key=lambda draft: draft.at)
    return list(_numbered(drafts, now, random))


def _weight(app: App, day: datetime, passed: float) -> float:
    """Return how much is asked on a day: the company grows, and no two days are the same."""
    weekend = app.week if day.weekday() >= _SATURDAY else 1.0
    return weekend * (0.7 + 0.6 * passed) * (1 + 0.12 * math.sin(day.toordinal() * 1.7))


def _of_a_day(
    company: Company, app: App, day: datetime, expected: float, random: Random
) -> Iterator[PlannedRequest]:
    left = expected + random.uniform(-0.5, 0.5)
    if app.name == "agents":
        # Sessions are few, so that a day may have none.
        turns = sum(_TURNS) / 2
        for _ in range(round(expected / turns + random.uniform(-0.5, 0.5))):
            yield from _agent_session(company, app, _moment(app, day, random), random)
        return
    for _ in range(max(0, round(left))):
        yield _single(company, app, _moment(app, day, random), random)


def _moment(app: App, day: datetime, random: Random) -> datetime:
    start, end = app.hours
    return day + timedelta(hours=random.triangular(start, end, (start + end) / 2))


def _single(company: Company, app: App, at: datetime, random: Random) -> PlannedRequest:
    usual = [prompt for prompt in app.prompts if "{{" not in prompt]
    if usual and random.random() < app.repeats:
        prompt, document = random.choice(usual), company.document(app.context[0], Random(app.name))
    else:
        prompt = company.filled(random.choice(app.prompts), random)
        document = company.document(random.randint(*app.context), random)
    model = next((name for name, share in (app.named or {}).items() if random.random() < share), "")
    return PlannedRequest(
        number=0, at=at, app=app, user=random.choice(app.users), prompt=prompt,
        messages=(_text("system", document), _text("user", prompt)),
        output=random.randint(*app.output), endpoint=app.endpoint,
        requested_model=model or ("" if app.endpoint == "complete" else "auto"),
        streamed=app.streamed,
    )  # fmt: skip


def _agent_session(
    company: Company, app: App, at: datetime, random: Random
) -> Iterator[PlannedRequest]:
    """Yield the turns of one run of an agent: a person's words, then its own work with tools."""
    agent, endpoint = random.choice(_AGENTS)
    session = f"{agent}-{random.getrandbits(48):012x}"
    user, model = random.choice(app.users), "auto"
    if random.random() < _NAMED_BY_AGENTS:
        model = _AGENT_MODELS.get(agent, "auto")
    prompt = company.filled(random.choice(app.prompts), random)
    messages = [
        _text("system", company.document(random.randint(*app.context), random)),
        _text("user", prompt),
    ]
    turns, kind = random.randint(*_TURNS), "human"
    for place in range(turns):
        last = place == turns - 1
        tool = "" if last else random.choice(company.tools)
        yield PlannedRequest(
            number=0, at=at, app=app, user=user, prompt=prompt, messages=tuple(messages),
            output=random.randint(*app.output), endpoint=endpoint, requested_model=model,
            session=session, agent=agent, turn=kind, tool=tool, streamed=True, cached=False,
        )  # fmt: skip
        at += timedelta(seconds=random.uniform(6, 75))
        if place == turns // 2 and random.random() < 0.6:
            prompt, kind = company.filled(random.choice(company.follow_ups), random), "human"
            messages += [_text("assistant", "Done."), _text("user", prompt)]
        elif tool:
            kind, call = "tool_result", f"call_{place}"
            result = Text(company.document(random.randint(150, 900), random))
            messages += [
                Message("assistant", (ToolCall(call, tool, '{"path": "src"}'),)),
                Message("user", (ToolResult(call, (result,)),)),
            ]


def _spike(company: Company, now: datetime, count: int, random: Random) -> Iterator[PlannedRequest]:
    app = company.apps[_SPIKE_APP]
    at = (now - timedelta(days=SPIKE_DAYS_AGO)).replace(hour=1, minute=12, tzinfo=UTC)
    prompt = company.filled(app.prompts[0], random)
    for step in range(count):
        at += timedelta(seconds=random.uniform(20, 160))
        yield PlannedRequest(
            number=0, at=at, app=app, user=app.users[1], prompt=prompt,
            messages=(
                _text("system", company.document(app.context[1], random)),
                _text("user", f"{prompt} Attempt {step + 1}."),
            ),
            output=app.output[1], endpoint=app.endpoint, requested_model=_SPIKE_MODEL,
            session="notebook-41", cached=False,
        )  # fmt: skip


def _numbered(
    drafts: list[PlannedRequest], now: datetime, random: Random
) -> Iterator[PlannedRequest]:
    """Yield the requests in their order, with their numbers and with what fails."""
    outage = (now - timedelta(days=OUTAGE_DAYS_AGO)).date()
    for number, draft in enumerate(drafts):
        down, luck = "", random.random()
        fails: Failure = ""
        if draft.at.date() == outage and _OUTAGE_HOURS[0] <= draft.at.hour < _OUTAGE_HOURS[1]:
            down = OUTAGE_PROVIDER
        if luck < _FAILED:
            fails = "all"
        elif luck < _FAILED + _FAILED_OVER:
            fails = "first"
        yield replace(draft, number=number, fails=fails, down=down)


def _text(role: Literal["system", "user", "assistant"], text: str) -> Message:
    return Message(role, (Text(text),))
