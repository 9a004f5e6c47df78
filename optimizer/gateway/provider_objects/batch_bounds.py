"""Bounds what a batch may cost, by the requests in it, before it is created."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from optimizer.shared.unambiguous_json import unambiguous_json
from providers.cost_bounds import CostBound, body_bound
from providers.token_bounds import most_body_tokens
from providers.unchecked_fields import count_of

_LONGEST_LINE = 64 * 1024 * 1024
_READ_TOGETHER = 4 * 1024 * 1024
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
# The longest output of any model, where a request sets no limit.
_LONGEST_OUTPUT = 128_000
# A token has at least one byte, and about four in most texts.
_BYTES_A_TOKEN = 4

_UNREADABLE = "A budget applies, and line {} of the input file cannot be read: {}."

Worst = Callable[[str, int, CostBound], Decimal | None]
"""Returns the most that a request of (model, input tokens, bound) may cost in USD."""


class UnboundedBatch(ValueError):
    """What the batch may cost cannot be known; the message says why."""


@dataclass(slots=True)
class BatchBound:
    """The most that the requests of a batch may cost in USD, by model.

    ``endpoint`` is the one that all lines of an input file are for, ``headers`` are those of the
    client. ``tokens_in`` are estimated, ``tokens_out`` are those that the requests allow.
    """

    worst: Worst
    endpoint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    by_model: dict[str, Decimal] = field(default_factory=dict)
    tokens_in: int = 0
    tokens_out: int = 0
    _lines: int = field(default=0, init=False)

    def add(self, wire: str, body: Mapping[str, Any], *, embeds: bool = False) -> None:
        """Add one request, for embeddings or for an answer.

        Raises :class:`UnboundedBatch` if its model has no price.
        """
        model = body.get("model")
        name = model if isinstance(model, str) else ""
        given = [count_of(body.get(limit)) for limit in _LIMITS]
        # Nobody can set a limit here that the client did not set.
        limit = 0 if embeds else max(given) or _LONGEST_OUTPUT
        choices = count_of(body.get("n")) or 1
        bound = body_bound(wire, body, limit, n=choices, headers=self.headers)
        most = most_body_tokens(body)
        cost = self.worst(name, most, bound)
        if cost is None:
            raise UnboundedBatch(
                f"The price of '{name or 'a model that is not named'}' is unknown, so no budget "
                f"can be enforced."
            )
        self.by_model[name] = self.by_model.get(name, Decimal(0)) + cost
        self.tokens_in += most // _BYTES_A_TOKEN
        self.tokens_out += bound.output_tokens

    def add_lines(self, lines: Iterable[bytes]) -> None:
        """Add the requests of OpenAI's input file, one a line.

        A line that cannot be read here is not skipped, as a provider may read it.
        https://platform.openai.com/docs/api-reference/batch/request-input

        Raises :class:`UnboundedBatch`.
        """
        for line in lines:
            self._lines += 1
            if not line.strip():
                continue
            try:
                request = unambiguous_json(line)
            except ValueError as error:
                raise UnboundedBatch(_UNREADABLE.format(self._lines, error)) from None
            body = request.get("body") if isinstance(request, dict) else None
            if not isinstance(body, dict):
                raise UnboundedBatch(_UNREADABLE.format(self._lines, "it has no body"))
            of_line = str(request.get("url"))
            embeds = all(at.endswith("/embeddings") for at in (of_line, self.endpoint))
            self.add("openai", body, embeds=embeds)

    async def read(self, chunks: AsyncIterator[bytes]) -> None:
        """Add all lines of an input file; they are read beside the event loop."""
        rest = b""
        async for chunk in chunks:
            rest += chunk
            if len(rest) > _LONGEST_LINE:
                raise UnboundedBatch("A line of the input file is larger than 64 MiB.")
            if len(rest) >= _READ_TOGETHER and (end := rest.rfind(b"\n")) >= 0:
                whole, rest = rest[:end], rest[end + 1 :]
                await asyncio.to_thread(self.add_lines, whole.split(b"\n"))
        await asyncio.to_thread(self.add_lines, rest.split(b"\n"))
