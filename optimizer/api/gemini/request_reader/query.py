"""Reads a GenerateContent request.

Format: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from typing import Any

from optimizer.api.compat.extensions import read_request_options
from optimizer.api.gemini.request_reader.config import read_config
from optimizer.api.gemini.request_reader.content import ContentReader, read_system
from optimizer.api.gemini.request_reader.fields import ProtoReader
from optimizer.api.gemini.request_reader.tools import read_tools
from optimizer.api.http.body_reader import BodyReader
from optimizer.gateway.chat_requests import ChatQuery
from providers.chat import Chat, OriginalRequest
from providers.gemini.parts import WIRE

# What only Google holds or does.
_BINDING = frozenset({"cachedContent"})


def read_generate_query(
    body: Any, model: str, cache_control: str, *, streamed: bool = False
) -> ChatQuery:
    """Return the chat that ``body`` asks ``model`` for.

    Raises :class:`optimizer.api.http.body_reader.InvalidField`.
    """
    options = read_request_options(BodyReader(body), cache_control)
    fields = ProtoReader(body)
    fields.raw("model")
    fields.raw("optimizer")
    config, config_native, config_extras = read_config(fields)
    use = read_tools(fields)
    reader = ContentReader()
    messages = (*read_system(fields), *reader.messages(fields))
    native = (*use.native, *config_native)
    extras = (*use.extras, *config_extras)
    for name in fields.unread_effective():
        if name in _BINDING:
            native += (name,)
        else:
            extras += (name,)
    # The model is in the path; here it keeps answers of two models apart in the cache.
    source = {**body, "model": model}
    if reader.sealed:
        source["contents"] = reader.opened
    chat = Chat(
        messages=messages,
        tools=use.tools,
        tool_choice=use.choice,
        native=native,
        extras=extras,
        source=OriginalRequest(WIRE, source),
        sealed=reader.sealed,
        **config,
    )
    return ChatQuery(model, chat, options, streamed)
