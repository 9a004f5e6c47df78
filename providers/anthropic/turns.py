"""Write a conversation in the order that Anthropic requires.

The first turn is the user's, roles alternate, and the results of tools come directly after
their calls, one for each call.

Wire: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import Any

from providers.anthropic.blocks import Block, BlockWriter
from providers.chat import Message, Text
from providers.tool_results import NO_RESULT

# What a turn says that must be there and has nothing to say.
_NOTHING_SAID = "."
_GO_ON = "Continue."
_SYSTEM_NOTE = "<system>\n{}\n</system>"


def system_blocks(messages: Iterable[Message]) -> str | list[Block]:
    """Return the system prompt before the conversation: a text, or blocks to mark for caching."""
    parts = [
        part
        for message in takewhile(lambda message: message.role == "system", messages)
        for part in message.parts
        if isinstance(part, Text) and part.text.strip()
    ]
    if all(part.cache is None for part in parts):
        return "\n\n".join(part.text for part in parts)
    return [
        {"type": "text", "text": part.text}
        | ({"cache_control": dict(part.cache)} if part.cache is not None else {})
        for part in parts
    ]


class TurnWriter:
    """Writes the turns of one conversation with ``blocks``.

    ``later_system`` is whether the model takes system messages after a user's turn;
    others get them as a marked text of the user.
    """

    def __init__(self, blocks: BlockWriter, *, later_system: bool) -> None:
        self._blocks = blocks
        self._later_system = later_system
        self._turns: list[dict[str, Any]] = []

    def turns(self, messages: Iterable[Message], *, prefill: bool) -> list[dict[str, Any]]:
        """Return the messages; the last one is the user's unless ``prefill`` is true."""
        begun = False
        for message in messages:
            if message.role != "system":
                begun = True
                blocks = [b for p in message.parts for b in self._blocks.blocks(p, message.role)]
                if message.role == "user":
                    # Tool results must come before everything else in the user's turn.
                    blocks.sort(key=lambda block: block["type"] != "tool_result")
                self._add(message.role, blocks)
            elif begun and message.text.strip():
                self._add_system(message)
        return self._finished(prefill=prefill)

    def _add(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        last = self._turns[-1] if self._turns else None
        if last is None and role == "assistant":
            self._turns.append(_user(_NOTHING_SAID))
            last = self._turns[-1]
        if last is not None and last["role"] == role:
            last["content"] += blocks
            return
        self._turns.append({"role": role, "content": blocks})

    def _add_system(self, message: Message) -> None:
        text: Block = {"type": "text", "text": message.text}
        last = self._turns[-1]["role"] if self._turns else ""
        if last == "system" or (self._later_system and last == "user"):
            self._add("system", [text])
        else:
            self._add("user", [_note(text)])

    def _finished(self, *, prefill: bool) -> list[dict[str, Any]]:
        merged: list[dict[str, Any]] = []
        for place, turn in enumerate(self._turns):
            following = self._turns[place + 1]["role"] if place + 1 < len(self._turns) else ""
            # A system message must be followed by the assistant, or be the last.
            noted = turn["role"] == "system" and following == "user"
            role = "user" if noted else turn["role"]
            blocks = [_note(block) for block in turn["content"]] if noted else turn["content"]
            if merged and merged[-1]["role"] == role:
                merged[-1]["content"] += blocks
            else:
                merged.append({"role": role, "content": blocks})
        turns = _with_results(merged)
        if not turns:
            return [_user(_NOTHING_SAID)]
        if turns[-1]["role"] == "assistant":
            if not prefill:
                turns.append(_user(_GO_ON))
            elif turns[-1]["content"][-1]["type"] == "text":
                # A last turn of the assistant may not end in white space.
                turns[-1]["content"][-1]["text"] = turns[-1]["content"][-1]["text"].rstrip()
        return turns


def _with_results(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the turns with a result for each call, and without results of no call."""
    complete: list[dict[str, Any]] = []
    waiting: list[str] = []
    for turn in turns:
        if turn["role"] != "assistant":
            turn = _with_matching_results(turn, waiting)
            waiting = []
            if not turn["content"]:
                continue
        elif waiting:
            complete.append({"role": "user", "content": [_missing(call) for call in waiting]})
            waiting = []
        if turn["role"] == "assistant":
            _with_unique_ids(turn)
            waiting = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
        if complete and complete[-1]["role"] == turn["role"]:
            complete[-1]["content"] += turn["content"]
        else:
            complete.append(turn)
    if waiting:
        complete.append({"role": "user", "content": [_missing(call) for call in waiting]})
    return complete


def _with_matching_results(turn: dict[str, Any], waiting: list[str]) -> dict[str, Any]:
    results: dict[str, Block] = {}
    others: list[Block] = []
    for block in turn["content"]:
        if block["type"] != "tool_result":
            others.append(block)
        elif block["tool_use_id"] in waiting and block["tool_use_id"] not in results:
            results[block["tool_use_id"]] = block
        else:
            # A result without its call, which is refused: what it says is still said.
            others += _words(block)
    answered = [results.get(call) or _missing(call) for call in waiting]
    return {"role": turn["role"], "content": [*answered, *others]}


def _with_unique_ids(turn: dict[str, Any]) -> None:
    """Leave out a call whose id another call of the turn has: one result cannot answer both."""
    kept: dict[str, Block] = {}
    for number, block in enumerate(turn["content"]):
        kept.setdefault(block["id"] if block["type"] == "tool_use" else f"/{number}", block)
    turn["content"] = list(kept.values())


def _words(result: Block) -> list[Block]:
    content = result.get("content") or []
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _missing(call_id: str) -> Block:
    return {"type": "tool_result", "tool_use_id": call_id, "content": NO_RESULT, "is_error": True}


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def _note(block: Block) -> Block:
    return {**block, "text": _SYSTEM_NOTE.format(block["text"])}
