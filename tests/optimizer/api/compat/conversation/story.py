"""The ten turns: questions, tools, an error of a tool, thinking, marks, a picture, failures."""

from __future__ import annotations

from collections.abc import Callable

from tests.fakes.strict.author import Answer
from tests.optimizer.api.compat.conversation.client import PICTURE
from tests.optimizer.api.compat.conversation.conversation import Conversation

BLIND = frozenset({"deepseek"})
PARIS = ("weather", {"city": "Paris"})
ROME = ("weather", {"city": "Rome"})
CLOCK = ("time", {"zone": "CET"})


async def tell(talk: Conversation, provider_of: Callable[[int], str], *, marks: bool) -> None:
    """Hold the conversation; ``provider_of`` says who must answer a turn (1 to 10)."""
    client = talk.client

    def next_turn(number: int) -> str:
        provider = provider_of(number)
        if client.model == "auto":
            client.tags = [provider]
        return provider

    who = next_turn(1)
    question = "The capital of France?"
    await talk.turn(who, client.ask(question), [("user", question)], answer=Answer("Paris."))

    who = next_turn(2)
    question = "What is the weather there?"
    said = await talk.turn(
        who, client.ask(question), [("user", question)], answer=Answer("I look.", (PARIS,))
    )

    who = next_turn(3)
    given = client.give({said.calls[0][0]: ("Sunny", False)}, said.calls)
    await talk.turn(who, given, [("result", "Sunny", False)], answer=Answer("It is sunny."))

    who = next_turn(4)
    question = "And in Rome, and what time is it?"
    said = await talk.turn(
        who, client.ask(question), [("user", question)], answer=Answer("", (ROME, CLOCK))
    )

    who = next_turn(5)
    rome, clock = (call[0] for call in said.calls)
    given = client.give({rome: ("No such city", True), clock: ("12:00", False)}, said.calls)
    results = [("result", "No such city", client.tells_errors), ("result", "12:00", False)]
    await talk.turn(who, given, results, answer=Answer("It is noon."))

    client.thinks = True
    who = next_turn(6)
    question = "Think, and try again."
    said = await talk.turn(
        who, client.ask(question), [("user", question)], answer=Answer("", (ROME,))
    )

    client.marks = marks
    who = next_turn(7)
    given = client.give({said.calls[0][0]: ("Rain", False)}, said.calls)
    await talk.turn(who, given, [("result", "Rain", False)], answer=Answer("It rains."))

    who = next_turn(8)
    question = "What is this?"
    if who in BLIND:
        asked = client.ask(question, PICTURE)
        await talk.fails(asked, 400, words="lacks vision", row="refused")
    else:
        picture = [("user", question), ("image",)]
        await talk.turn(who, client.ask(question, PICTURE), picture, answer=Answer("A dot."))

    who = next_turn(9)
    talk.will_fail_once(who, 429, **{"retry-after-ms": "10"})
    question = "Are you busy?"
    await talk.turn(who, client.ask(question), [("user", question)], answer=Answer("Not now."))
    words = talk.will_fail_once(who, 400)
    await talk.fails(client.ask("Is this wrong?"), 400, words=words, row="error")

    who = next_turn(10)
    question = "What have we talked of?"
    await talk.turn(who, client.ask(question), [("user", question)], answer=Answer("Weather."))
