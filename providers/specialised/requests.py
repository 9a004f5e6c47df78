"""Requests for models that do one thing, in the shape of OpenAI's API, and their answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from providers.completion import Usage

Task = Literal[
    "images/generations", "images/edits", "audio/transcriptions", "audio/translations",
    "audio/speech", "moderations", "rerank",
]  # fmt: skip
"""What is asked for: the path below ``/v1``."""
KINDS: Mapping[Task, str] = {
    "images/generations": "image",
    "images/edits": "image",
    "audio/transcriptions": "transcription",
    "audio/translations": "transcription",
    "audio/speech": "speech",
    "moderations": "moderation",
    "rerank": "rerank",
}
"""The kind of model in the catalogue that each task needs."""
IMAGES = frozenset({"images/generations", "images/edits"})
HEARS = frozenset({"audio/transcriptions", "audio/translations"})
"""The tasks whose input is audio."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a request: the name of its field, its own, its media type and its bytes."""

    name: str
    filename: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SpecialisedRequest:
    """One request without its model.

    ``fields`` are its fields by name; a field of a form that was sent several times is a list.
    ``uploads`` are the files of a form; without any the request is JSON. ``text`` is what the
    ledger keeps as its prompt.
    """

    task: Task
    fields: Mapping[str, Any]
    uploads: tuple[Upload, ...] = ()
    text: str = ""

    @property
    def streams(self) -> bool:
        """Return whether the answer comes piece by piece: speech always does."""
        if self.task == "audio/speech":
            return True
        return self.task in IMAGES | HEARS and self.fields.get("stream") in (True, "true")

    def text_of(self, name: str) -> str:
        """Return a field as text, "" if it is absent or something else."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""

    def number_of(self, name: str, default: int) -> int:
        """Return a field as a whole number, as JSON and forms have it."""
        value = self.fields.get(name)
        if isinstance(value, bool):
            return default
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            return int(value)
        return value if isinstance(value, int) else default


@dataclass(frozen=True, slots=True)
class SpecialisedAnswer:
    """A whole answer: ``raw`` is its body, of the media type ``media_type``.

    ``member`` is the pool's member that gave it, "" without a pool.
    """

    provider: str
    model: str
    raw: bytes
    media_type: str
    usage: Usage
    headers: Mapping[str, str] = field(default_factory=dict)
    member: str = ""


@dataclass(frozen=True, slots=True)
class SpecialisedStream:
    """An answer that arrives piece by piece; :meth:`close` ends the call, read or not.

    ``usage`` returns what is known of the usage so far, at the end what was used.
    ``events`` is whether the pieces are server-sent events; ``ending`` returns then whether the
    piece that came last has the usage, and is the last that clients wait for.
    """

    provider: str
    model: str
    pieces: AsyncGenerator[bytes, None]
    media_type: str
    usage: Callable[[], Usage]
    ending: Callable[[], bool]
    close: Callable[[], Awaitable[None]]
    events: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    member: str = ""


@runtime_checkable
class Specialist(Protocol):
    """A provider that serves such models."""

    async def perform(
        self, model: str, request: SpecialisedRequest
    ) -> SpecialisedAnswer | SpecialisedStream:
        """Return the answer of ``model``. Raises :class:`providers.errors.ProviderError`."""
        ...
