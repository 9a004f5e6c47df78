"""What each check of a cheap answer lets through, fails, and cannot decide."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from optimizer.gateway.levers.cascade.checks.agreement_check import AgreementCheck
from optimizer.gateway.levers.cascade.checks.command_check import CommandCheck
from optimizer.gateway.levers.cascade.checks.judge_check import JudgeCheck
from optimizer.gateway.levers.cascade.checks.logprob_check import (
    LogprobCheck,
    with_logprobs,
    without_logprobs,
)
from optimizer.gateway.levers.cascade.checks.schema_check import SchemaCheck
from optimizer.gateway.levers.cascade.checks.tool_call_check import ToolCallCheck
from optimizer.gateway.levers.cascade.checks.verdicts import (
    Check,
    CheckedAnswer,
    EndingCheck,
    Verdict,
)
from providers.chat import (
    Chat,
    JsonOutput,
    Message,
    OriginalRequest,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from providers.completion import Choice, Completion, RelayedAnswer, Usage
from routing.models import ModelRef

ASKED = (Message("user", (Text("What is the capital of France?"),)),)
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER = Tool(
    "weather",
    parameters={"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
)
PLAIN = Chat(ASKED)
SECRET = "Ada Lovelace of 12 Hidden Street"


def answer_of(
    *parts: Any, finish: Any = "stop", refusal: str = "", logprobs: Any = None, **more: Any
) -> Completion:
    made = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    choice = Choice(made, finish, refusal, logprobs=logprobs)
    return Completion("maker", "small", (choice,), Usage(10, 5), **more)


async def nobody(model: ModelRef, chat: Chat, why: str) -> Completion | None:
    return None


async def verdict_of(
    check: Check, completion: Completion, chat: Chat = PLAIN, **more: Any
) -> Verdict:
    verdict = await check.verdict(CheckedAnswer(chat, completion, **{"ask": nobody, **more}))
    assert verdict.check == check.name
    assert "Hidden" not in verdict.reason  # no text of prompt or answer
    return verdict


@pytest.mark.parametrize(
    ("completion", "result"),
    [
        (answer_of("Paris"), "passed"),
        (answer_of(ToolCall("1", "weather", "{}"), finish="tool_calls"), "passed"),
        (answer_of("Par", finish="length"), "passed"),
        (answer_of(" "), "failed"),
        (answer_of("I can't", refusal="No."), "failed"),
        (answer_of("Par", finish="content_filter"), "failed"),
        (answer_of("Par", finish="other"), "failed"),
    ],
)
async def test_an_answer_must_have_an_end_and_say_something(
    completion: Completion, result: str
) -> None:
    assert (await verdict_of(EndingCheck(), completion)).result == result


LOOP = {"$ref": "#"}
BY_PATTERN = {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}
DOUBLING = {
    "$defs": {
        f"n{i}": {"allOf": [{"$ref": f"#/$defs/n{i + 1}"}, {"$ref": f"#/$defs/n{i + 1}"}]}
        for i in range(40)
    }
    | {"n40": {"type": "integer"}},
    "$ref": "#/$defs/n0",
}


@pytest.mark.parametrize(
    ("text", "schema", "result"),
    [
        ('{"name": "Ada", "age": 36}', PERSON, "passed"),
        (f'{{"name": "{SECRET}", "age": -1}}', PERSON, "failed"),
        (f'{{"name": "{SECRET}"}}', PERSON, "failed"),
        (f'{{"name": "Ada", "age": 36, "{SECRET}": 1}}', PERSON, "failed"),
        ('Here it is: {"name": "Ada"}', PERSON, "failed"),
        ('{"name": "Ada", "age"', PERSON, "failed"),
        ("[" * 100_000, None, "failed"),
        ('{"any": 1}', None, "passed"),
        ("[1]", None, "failed"),
        # What a client wrote may be wrong, refer elsewhere, or take for ever.
        ("1", {"type": "no such type"}, "undecided"),
        ("1", {"$ref": "http://127.0.0.1:9/schema"}, "undecided"),
        ("1", {"$ref": "#/$defs/absent"}, "undecided"),
        ("1", LOOP, "undecided"),
        ("1", DOUBLING, "undecided"),
        (json.dumps([{"a": n} for n in range(9000)]), {"uniqueItems": True}, "undecided"),
        ('"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"', {"pattern": "^(a+)+$"}, "undecided"),
        ('{"b": 1}', BY_PATTERN, "undecided"),
        ("2", {"pattern": "x", "type": "string"}, "failed"),
        ('{"pattern": 1}', {"properties": {"pattern": {"type": "integer"}}}, "passed"),
    ],
)  # fmt: skip
async def test_json_must_match_the_schema_that_was_asked_for(
    text: str, schema: Mapping[str, Any] | None, result: str
) -> None:
    chat = Chat(ASKED, output=JsonOutput(schema))
    verdict = await verdict_of(SchemaCheck(), answer_of(text), chat)
    assert (verdict.result, bool(verdict.reason)) == (result, result != "passed")
    assert verdict.invalidates == (result == "failed")


def call(arguments: str, name: str = "weather") -> ToolCall:
    return ToolCall("1", name, arguments)


@pytest.mark.parametrize(
    ("calls", "chat", "result"),
    [
        ([call('{"at": "Oslo"}')], {}, "passed"),
        ([], {}, "passed"),
        ([call('{"at": 5}')], {}, "failed"),
        ([call("{}")], {}, "failed"),
        ([call('{"at": "Os')], {}, "failed"),
        ([call('["Oslo"]')], {}, "failed"),
        ([call('{"at": "Oslo"}', "wether")], {}, "failed"),
        ([call('{"at": "Oslo"}')] * 2, {}, "passed"),
        ([call('{"at": "Oslo"}')] * 2, {"parallel_tools": False}, "failed"),
        ([call('{"at": "Oslo"}')], {"tool_choice": ToolChoice("none")}, "failed"),
        ([], {"tool_choice": ToolChoice("required")}, "failed"),
        ([], {"tool_choice": ToolChoice("named", "weather")}, "failed"),
        ([call("{}", "time")], {"tool_choice": ToolChoice("named", "weather")}, "failed"),
        ([call('{"input": "any"}', "shell")], {}, "passed"),
        ([call('{"x": 1}', "odd")], {}, "undecided"),
    ],
)
async def test_tools_must_exist_and_get_the_arguments_that_they_take(
    calls: Sequence[ToolCall], chat: Mapping[str, Any], result: str
) -> None:
    tools = (WEATHER, Tool("time"), Tool("shell", freeform=True), Tool("odd", parameters=LOOP))
    asked = Chat(ASKED, tools=tools, **chat)
    verdict = await verdict_of(ToolCallCheck(), answer_of("Let me see.", *calls), asked)
    assert verdict.result == result


def token(probability: float, *others: float) -> dict[str, Any]:
    top = [{"token": f"other{n}", "logprob": math.log(p)} for n, p in enumerate(others)]
    return {"token": "a", "logprob": math.log(probability), "top_logprobs": top}


@pytest.mark.parametrize(
    ("logprobs", "result"),
    [
        ([token(0.98, 0.01)], "passed"),
        ([token(0.5, 0.45), token(0.6, 0.3)], "failed"),
        ([token(0.9)], "passed"),  # without alternatives, all others together have 0.1
        ([{"token": "a", "logprob": -9999.0}], "failed"),
        ([], "undecided"),
        (None, "undecided"),
        ([{"token": "a"}], "undecided"),
        ([{"token": "a", "logprob": "high"}], "undecided"),
        (["odd"], "undecided"),
    ],
)
async def test_the_model_must_have_been_sure_of_its_words(logprobs: Any, result: str) -> None:
    completion = answer_of("Paris", logprobs=logprobs)
    assert (await verdict_of(LogprobCheck(0.6), completion)).result == result


def test_probabilities_that_only_the_check_needs_are_asked_for_and_taken_out_again() -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    chat = with_logprobs(Chat(ASKED, source=OriginalRequest("openai", body)))
    assert (chat.logprobs, chat.top_logprobs) == (True, 2)
    assert chat.source is not None
    assert chat.source.body == {**body, "logprobs": True, "top_logprobs": 2}
    assert body.keys() == {"model", "messages"}  # the client's own request stays as it came
    own = Chat(ASKED, logprobs=True)
    assert with_logprobs(own) is own
    relayed = RelayedAnswer(
        {"id": "1", "choices": [{"index": 0, "logprobs": {"content": []}}]}, b"raw"
    )
    bare = without_logprobs(answer_of("Paris", logprobs=[token(0.9)], relayed=relayed))
    assert bare.choices[0].logprobs is None
    assert bare.relayed is not None
    assert bare.relayed.body == {"id": "1", "choices": [{"index": 0, "logprobs": None}]}
    assert bare.relayed.raw == b""


LONG = "The river rises in the hills, flows through three towns and reaches the sea after 90 km. "


@pytest.mark.parametrize(
    ("one", "other", "result"),
    [
        ("Paris", " paris. ", "passed"),
        ("Paris", "Lyon", "failed"),
        ("B", "**B**", "passed"),
        ("(B)", "C", "failed"),
        ('{"a": 1, "b": [2]}', '```json\n{"b": [2], "a": 1}\n```', "passed"),
        ('{"a": 1}', '{"a": 2}', "failed"),
        ('{"a": 1}', "one", "failed"),
        (LONG + "The answer is 42.", "Quickly: 6 * 7.\nAnswer: 42", "passed"),
        (LONG + "The answer is 42.", LONG + "The answer is 43.", "failed"),
        (LONG + r"so \boxed{7}", r"Hence \boxed{7}.", "passed"),
        (LONG * 2, LONG + LONG.replace("three", "several"), "passed"),
        (LONG * 2, LONG + LONG.replace("90", "80"), "failed"),
        (LONG * 2, "Nobody ever measured how long this water is, as far as I know. " * 2, "failed"),
        (LONG, "", "undecided"),
    ],
)  # fmt: skip
async def test_two_answers_must_agree(one: str, other: str, result: str) -> None:
    verdict = await verdict_of(AgreementCheck(0.8), answer_of(one), another=answer_of(other))
    assert verdict.result == result
    assert not verdict.invalidates  # it is doubtful, and may be right
    swapped = await verdict_of(AgreementCheck(0.8), answer_of(other), another=answer_of(one))
    assert swapped.result == result


@pytest.mark.parametrize(
    ("words", "result"),
    [
        ("It is right.\nVerdict: good", "passed"),
        ("It might be verdict: good, but no.\n**Verdict:** bad", "failed"),
        ("I cannot say.", "undecided"),
        (None, "undecided"),
    ],
)
async def test_a_judge_decides_by_its_last_verdict(words: str | None, result: str) -> None:
    shown: list[str] = []

    async def judge(model: ModelRef, chat: Chat, why: str) -> Completion | None:
        shown.append(chat.messages[1].text)
        return None if words is None else answer_of(words)

    check = JudgeCheck(ModelRef("maker", "large"))
    verdict = await verdict_of(check, answer_of("Paris"), ask=judge)
    assert verdict.result == result
    assert "What is the capital of France?" in shown[0]
    assert "Paris" in shown[0]


PYTHON = sys.executable


@pytest.mark.parametrize(
    ("command", "result"),
    [
        ((PYTHON, "-c", "import sys; sys.exit('Paris' not in sys.stdin.read())"), "passed"),
        ((PYTHON, "-c", "import sys; sys.exit('Lyon' not in sys.stdin.read())"), "failed"),
        (("true", "; touch made-by-a-shell"), "passed"),  # one argument, and no shell
        (("false",), "failed"),
        ((PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"), "undecided"),
        (("sh", "-c", "sleep 60 & sleep 60"), "undecided"),
        (("no-such-command-anywhere",), "undecided"),
    ],
)
async def test_an_operators_command_decides_by_its_exit_code(
    command: tuple[str, ...], result: str
) -> None:
    check = CommandCheck(command, 0.3 if "sleep" in command[-1] else 5)
    verdict = await verdict_of(check, answer_of("Paris"))
    assert verdict.result == result


async def test_a_command_gets_no_secret_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    seen = tmp_path / "environment"
    code = f"import os; open({str(seen)!r}, 'w').write(repr(dict(os.environ)) + os.getcwd())"
    await verdict_of(CommandCheck((PYTHON, "-c", code), 5), answer_of("Paris"))
    assert "sk-hidden" not in seen.read_text()
    assert "DJANGO" not in seen.read_text()
    assert str(Path.cwd()) not in seen.read_text().split("}")[-1]
