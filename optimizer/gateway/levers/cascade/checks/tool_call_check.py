"""The tools that an answer calls must exist, and get the arguments that they take."""

from __future__ import annotations

import asyncio
import json

from optimizer.gateway.levers.cascade.checks.schema_check import MOST_CHARS
from optimizer.gateway.levers.cascade.checks.verdicts import CheckedAnswer, Result, Verdict
from providers.chat import Chat, ToolCall


class ToolCallCheck:
    """Applies where the client offers tools."""

    name = "tool_calls"

    async def verdict(self, answer: CheckedAnswer) -> Verdict:
        """Return whether all calls could be run, and whether the client's choice was kept."""
        calls = answer.completion.choices[0].tool_calls
        if reason := _breaks_choice(answer.chat, calls):
            return Verdict(self.name, "failed", reason)
        if not calls:
            return Verdict(self.name, "passed", "no tool is called, and none had to be")
        if sum(len(call.arguments) for call in calls) > MOST_CHARS:
            return Verdict(self.name, "undecided", "the arguments are too long to check")
        return Verdict(self.name, *await asyncio.to_thread(_checked, answer.chat, calls))


def _breaks_choice(chat: Chat, calls: tuple[ToolCall, ...]) -> str:
    choice = chat.tool_choice
    if choice.mode == "none" and calls:
        return "a tool is called, and none may be"
    if choice.mode in ("required", "named") and not calls:
        return "no tool is called, and one must be"
    if choice.mode == "named" and any(call.name != choice.name for call in calls):
        return "another tool is called than the one that must be"
    if not chat.parallel_tools and len(calls) > 1:
        return "several tools are called, and only one may be"
    return ""


def _checked(chat: Chat, calls: tuple[ToolCall, ...]) -> tuple[Result, str]:
    # Imported here, as it takes a tenth of a second that only these checks need.
    from optimizer.gateway.levers.cascade.checks.json_schema import schema_result

    tools = {tool.name: tool for tool in chat.tools}
    undecided = ""
    for call in calls:
        tool = tools.get(call.name)
        if tool is None:
            return "failed", "a tool is called that does not exist"
        try:
            arguments = json.loads(call.arguments or "{}")
        except (ValueError, RecursionError):
            return "failed", "the arguments of a call are no JSON"
        if not isinstance(arguments, dict):
            return "failed", "the arguments of a call are no JSON object"
        if tool.freeform or not tool.parameters:
            continue
        result, reason = schema_result(arguments, tool.parameters)
        if result == "failed":
            return "failed", f"the arguments of a call: {reason}"
        if result == "undecided":
            undecided = f"the arguments of a call: {reason}"
    return ("undecided", undecided) if undecided else ("passed", "")
