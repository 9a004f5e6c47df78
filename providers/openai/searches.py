"""Count the searches that a chat completion shows, where its usage does not count them.

- Kimi calls ``$web_search``, and each call has a fee: https://platform.kimi.ai/docs/pricing/tools
- Groq lists what it ran in ``executed_tools``: https://console.groq.com/docs/compound
- Z.ai gives the results in ``web_search``: https://docs.z.ai/guides/tools/web-search
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.unchecked_fields import objects_of

KIMI_SEARCH = "$web_search"


def searches_in(message: Mapping[str, Any], known: set[int] | None = None) -> int:
    """Return how many searches a message, or a delta, shows.

    ``known`` are the numbers of the tools that earlier deltas show, and gets those of this one.
    """
    ran = objects_of(message.get("executed_tools"))
    if known is not None:
        ran = [tool for tool in ran if not _is_in(known, tool.get("index"))]
        known.update(tool["index"] for tool in ran if type(tool.get("index")) is int)
    return _calls_of_kimi(message.get("tool_calls")) + _run_by_groq(ran)


def shows_results(body: Mapping[str, Any]) -> bool:
    """Return whether an answer, or a chunk, has the results of a search."""
    return bool(body.get("web_search")) and isinstance(body["web_search"], list)


def _calls_of_kimi(calls: Any) -> int:
    functions = (call.get("function") for call in objects_of(calls))
    return sum(isinstance(f, dict) and f.get("name") == KIMI_SEARCH for f in functions)


def _run_by_groq(tools: list[dict[str, Any]]) -> int:
    return sum("search" in str(tool.get("type")) for tool in tools)


def _is_in(known: set[int], index: Any) -> bool:
    return type(index) is int and index in known
