"""Finds an agent that goes round in circles, from the conversation that it sends."""

from __future__ import annotations

from typing import Any

from optimizer.domain.human_words import words_of_turn
from providers.chat import Chat, Message, ToolCall, ToolResult
from providers.values import frozen

_MOST_STEPS = 48
"""Steps at the end of a conversation that are compared."""
_LONGEST_ROUND = 3
"""Steps of the longest round that counts as a circle: A, B, C, A, B, C …"""


@frozen
class Loop:
    """The last steps of an agent repeat: ``rounds`` times the same calls with the same results.

    ``tool`` is the tool that it called last.
    """

    rounds: int
    tool: str


NO_LOOP = Loop(0, "")


def loop_of(chat: Chat) -> Loop:
    """Return how often the agent's last steps repeat, without a word of a person between.

    A step is what one answer calls, with the arguments, and what the tools gave back. A poll that
    gets another result each time is no loop. Only the messages since a person's last words count.
    """
    steps: list[tuple[Any, Any]] = []
    results: Any = None
    tool = ""
    for message in reversed(chat.messages):
        if message.role == "system":
            continue
        if message.role == "user":
            if not _only_results(message):
                break
            # Some APIs have one message for each result.
            results = (*_results(message), *(results or ()))
            continue
        calls = tuple((p.name, p.arguments) for p in message.parts if isinstance(p, ToolCall))
        if not calls or results is None:
            break
        tool = tool or calls[-1][0]
        steps.append((calls, results))
        results = None
        if len(steps) == _MOST_STEPS:
            break
    rounds = max((_rounds(steps, length) for length in range(1, _LONGEST_ROUND + 1)), default=0)
    return Loop(rounds, tool) if rounds > 1 else NO_LOOP


def _rounds(steps: list[tuple[Any, Any]], length: int) -> int:
    """Return how often the last ``length`` steps follow on each other; ``steps`` end first."""
    same = 0
    while same + length < len(steps) and steps[same] == steps[same + length]:
        same += 1
    return 1 + same // length if same >= length else min(1, len(steps))


def _only_results(message: Message) -> bool:
    """Return whether a user's turn holds tools' results, and nothing that a person wrote."""
    has_result = any(isinstance(part, ToolResult) for part in message.parts)
    return has_result and not words_of_turn(message).strip()


def _results(message: Message) -> tuple[str, ...]:
    return tuple(part.text for part in message.parts if isinstance(part, ToolResult))
