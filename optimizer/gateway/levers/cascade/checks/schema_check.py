"""The answer must be the JSON that the client asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from optimizer.gateway.levers.cascade.checks.verdicts import CheckedAnswer, Result, Verdict

MOST_CHARS = 1_000_000
"""Longer answers are not checked."""


class SchemaCheck:
    """Applies where the client asks for JSON, with a schema or without one."""

    name = "schema"

    async def verdict(self, answer: CheckedAnswer) -> Verdict:
        """Return whether the text is JSON, and matches the schema if there is one."""
        output = answer.chat.output
        text = answer.completion.text
        if output is None:
            return Verdict(self.name, "undecided", "no JSON was asked for")
        if len(text) > MOST_CHARS:
            return Verdict(self.name, "undecided", "the answer is too long to check")
        return Verdict(self.name, *await asyncio.to_thread(_checked, text, output.schema))


def _checked(text: str, schema: Mapping[str, Any] | None) -> tuple[Result, str]:
    # Imported here, as it takes a tenth of a second that only this check needs.
    from optimizer.gateway.levers.cascade.checks.json_schema import schema_result

    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "failed", "the answer is no JSON"
    if schema is not None:
        return schema_result(value, schema)
    if not isinstance(value, dict):
        return "failed", "the answer is no JSON object"
    return "passed", ""
