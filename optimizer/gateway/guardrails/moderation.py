"""The rail that asks a moderation model, over OpenAI's moderations API.

https://platform.openai.com/docs/api-reference/moderations: ``POST /moderations`` with ``input``, a
list of texts; ``results`` has for each its ``categories`` (true or false) and ``category_scores``
(0-1).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from optimizer.gateway.guardrails.body_texts import new_text, texts_in
from optimizer.gateway.guardrails.rails import RailError, RailFinding
from providers.chat import Chat
from providers.completion import Completion
from providers.events import Event
from providers.openai.client import OpenAIProvider
from providers.resilience import ResilientCaller
from routing.models import ModelRef

# What is asked in requests that are no chats: embeddings, pictures, speech, ranks.
_JUDGED = ("input", "prompt", "query", "instructions", "documents")
_PIECE = 20_000
"""Characters of one input; a longer text is cut, and each piece is judged."""
_MOST_PIECES = 32
ALL_CATEGORIES = "*"


class ModerationRail:
    """Refuses what ``model`` scores too high in a category.

    ``thresholds`` are scores (0-1) by category, "*" for all others; a category without one is
    refused where the model itself flags it. ``stages`` are "input", "output" or both. With
    ``holds_streams``, a stream waits for its end and its check; without, it is only noted.
    """

    name = "moderation"
    spares = frozenset({"moderations"})
    """A text that is harmful is what that is asked about."""

    def __init__(
        self,
        caller: ResilientCaller,
        model: ModelRef,
        thresholds: Mapping[str, float],
        *,
        stages: frozenset[str] = frozenset({"input", "output"}),
        holds_streams: bool = True,
        fails_open: bool = False,
        seconds: float = 10.0,
    ) -> None:
        self.fails_open = fails_open
        self.checks_output = "output" in stages
        self.holds_streams = self.checks_output and holds_streams
        self._checks_input = "input" in stages
        self._caller = caller
        self._model = model
        self._thresholds = thresholds
        self._seconds = seconds
        self.fingerprint = f"{model} {sorted(thresholds.items())} {sorted(stages)}"

    def begin(self) -> ModerationRail:
        """Return the rail itself: it remembers nothing of a call."""
        return self

    def puts_back(self, text: str) -> bool:
        """Return ``False``: this rail puts no values into answers."""
        return False

    async def check_input(self, chat: Chat) -> tuple[Chat, RailFinding]:
        """Return the chat, and what the model says of what came in last."""
        if not self._checks_input:
            return chat, RailFinding(detail="not checked")
        return chat, await self._judged(new_text(chat), chat.residency)

    async def check_body(
        self, body: Mapping[str, Any], residency: frozenset[str]
    ) -> tuple[Mapping[str, Any], RailFinding]:
        """Return the body of a request, and what the model says of its texts."""
        if not self._checks_input:
            return body, RailFinding(detail="not checked")
        texts = texts_in({name: body[name] for name in _JUDGED if name in body})
        return body, await self._judged("\n\n".join(texts), residency)

    async def check_output(self, answer: Completion, chat: Chat) -> RailFinding | None:
        """Return what the model says of an answer's texts."""
        text = "\n\n".join(choice.text for choice in answer.choices)
        return await self._judged(text, chat.residency)

    def given(self, answer: Completion) -> Completion:
        """Return the answer as it is."""
        return answer

    def given_events(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """Return the events as they are."""
        return events

    async def _judged(self, text: str, residency: frozenset[str]) -> RailFinding:
        if not text.strip():
            return RailFinding(detail="no text")
        if len(text) > _PIECE * _MOST_PIECES:
            raise RailError("the text is longer than a moderation may be")
        client = self._caller.providers.get(self._model.provider)
        if not isinstance(client, OpenAIProvider):
            raise RailError(f"{self._model.provider} is not configured with OpenAI's API")
        if residency:
            self._caller.must_stay_within(self._model.provider, residency)
        pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
        body = {"model": self._model.model, "input": pieces}
        async with asyncio.timeout(self._seconds):
            answer = await client.post("/moderations", body, client.key_headers())
        results = answer.get("results")
        if not isinstance(results, list) or len(results) != len(pieces):
            raise RailError("its answer has no result for each text")
        crossed = [words for result in results for words in self._crossed(result)]
        if not crossed:
            return RailFinding(calls=str(self._model))
        return RailFinding("refused", ", ".join(dict.fromkeys(crossed)), str(self._model))

    def _crossed(self, result: Any) -> list[str]:
        """Return the categories of one text that are refused, each with its score."""
        try:
            scores, flags = result["category_scores"], result["categories"]
            judged = [(n, float(score), flags.get(n) is True) for n, score in scores.items()]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RailError("its answer has no scores by category") from error
        words = []
        for name, score, flagged in judged:
            threshold = self._thresholds.get(name, self._thresholds.get(ALL_CATEGORIES))
            if threshold is None:
                if flagged:
                    words.append(f"{name} ({score:.2f})")
            elif score >= threshold:
                words.append(f"{name} ({score:.2f}, allowed below {threshold:g})")
        return words
