"""Files that a request names by their id at a provider: a tenant may name its own only.

All tenants use the operator's account at the provider, which would read any of their files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from analytics.models import ProviderObject
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.result import UnknownObject
from optimizer.gateway.provider_objects.objects import ProviderObjects
from providers.chat import Chat, File, Image, Text, Thinking, ToolCall

# Gemini's files are no objects of this service: they are named by their URI.
_WIRES = frozenset({"openai", "openai-responses", "anthropic"})
_NO_FILES = (Text, Thinking, ToolCall)
# What is below these belongs to the client's own tools and labels.
_OWN_WORDS = frozenset({"metadata", "parameters", "input_schema", "schema", "arguments"})


async def check_files(objects: ProviderObjects, chat: Chat, client: Client) -> None:
    """Check that the files which ``chat`` names by id are the client's own.

    Raises :class:`optimizer.domain.result.UnknownObject`, for another tenant's file as for an
    id that does not exist.
    """
    if client is ANONYMOUS or chat.source is None or chat.source.wire not in _WIRES:
        return
    if chat.large:
        ids = await asyncio.to_thread(file_ids, chat)
    else:
        ids = file_ids(chat)
    if not ids:
        return
    own = await objects.own(ProviderObject.Kind.FILE, ids, client)
    for file_id in sorted(ids):
        if file_id not in own:
            raise UnknownObject(f"File with id '{file_id}' not found.", "file_id")


def file_ids(chat: Chat) -> set[str]:
    """Return the ids of all files that the request names."""
    if chat.source is None:
        return set()
    if not (chat.native or chat.extras or any(map(_may_name_a_file, chat.parts()))):
        return set()
    ids: set[str] = set()
    waiting: list[Any] = [chat.source.body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, Mapping):
            ids.update(_named(value))
            # The input of a call is the tool's, and may have any names.
            is_call = str(value.get("type", "")).endswith("tool_use")
            waiting += [
                inner
                for name, inner in value.items()
                if isinstance(inner, dict | list | tuple)
                and name not in _OWN_WORDS
                and not (is_call and name == "input")
            ]
    return ids


def _named(value: Mapping[str, Any]) -> list[str]:
    several = value.get("file_ids")
    ids = [value.get("file_id"), *(several if isinstance(several, list) else ())]
    return [file_id for file_id in ids if isinstance(file_id, str) and file_id]


def _may_name_a_file(part: object) -> bool:
    if isinstance(part, Image | File):
        return bool(part.file_id)
    return not isinstance(part, _NO_FILES)
