"""Makes the names of tools fit for a provider, and restores them in its answer.

Clients name tools more freely than some providers allow: with up to 128 characters, with
dots, slashes or spaces. A name that does not fit is cleaned, shortened and gets a digest of
the original, so that it is the same in every turn and no two tools share a name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

from providers.chat import Chat, ToolCall

_DIGEST_LENGTH = 8
_ALLOWED = "a-zA-Z0-9_-"
_PREFIX = re.compile(r"^\w+[.:]")
"""What models put before a tool's name."""


class ToolNames:
    """The names of the tools of one chat, for a provider and for the client.

    ``most`` is the longest name that the provider takes, in characters, and ``allowed`` the
    characters, as in a regular expression's set. ``letter_first`` is whether a name must begin
    with a letter or an underscore.
    """

    __slots__ = ("_inner", "_known", "_outer")

    def __init__(
        self,
        chat: Chat,
        most: int = 64,
        allowed: str = _ALLOWED,
        *,
        letter_first: bool = False,
    ) -> None:
        self._outer: dict[str, str] = {}
        self._known: Mapping[str, None] = {}
        self._inner: Mapping[str, str] = self._outer
        if len(chat.messages) == 1 and not (chat.tools or chat.tool_choice.name):
            return  # a question without tools: there are no names
        fits = re.compile(
            rf"(?:[a-zA-Z_][{allowed}]{{0,{most - 1}}})"
            if letter_first
            else rf"[{allowed}]{{1,{most}}}"
        )
        self._known = names = dict.fromkeys(_names(chat))
        for name in names:
            if not fits.fullmatch(name):
                self._outer[name] = _fitted(name, most, allowed)
        self._inner = {outer: name for name, outer in self._outer.items()}

    def outer(self, name: str) -> str:
        """Return the name that the provider is given for the client's ``name``."""
        return self._outer.get(name, name)

    def inner(self, name: str) -> str:
        """Return the client's name for the ``name`` that the provider gave.

        Gemini puts "default_api:" and the like before names
        (https://github.com/mastra-ai/mastra/issues/12895).
        """
        inner = self._inner.get(name, name)
        if inner in self._known:
            return inner
        rest = _PREFIX.sub("", name)
        rest = self._inner.get(rest, rest)
        return rest if rest in self._known else inner

    def __bool__(self) -> bool:
        """Whether any name differs."""
        return bool(self._outer)


def _names(chat: Chat) -> Iterator[str]:
    for tool in chat.tools:
        yield tool.name
    if chat.tool_choice.name:
        yield chat.tool_choice.name
    for message in chat.messages:
        if message.role == "assistant":
            for part in message.parts:
                if isinstance(part, ToolCall):
                    yield part.name


def _fitted(name: str, most: int, allowed: str) -> str:
    """Return a name that fits; equal names give equal results in every request."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    clean = re.sub(rf"[^{allowed}]", "_", name)
    if not clean[:1].isalpha():
        clean = f"t_{clean}"
    return f"{clean[: most - _DIGEST_LENGTH - 1]}_{digest}"
