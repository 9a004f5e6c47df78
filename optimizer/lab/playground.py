"""The playground: what each strategy would choose for a prompt, and what a model answers."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from optimizer.domain.model_names import AUTO, ModelNames
from optimizer.domain.request import GatewayRequest, isolated_request
from optimizer.gateway.service import RoutingService
from optimizer.gateway.streaming.client_stream import ClientStream
from providers.chat import Chat, Message, Role, Text
from providers.events import Event, RefusalDelta, TextDelta, ThinkingDelta
from routing.models import NoEligibleModel, RoutingDecision

STRATEGIES = ("complexity", "learning", "hybrid", "cheapest", "best")
TAG = "playground"


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation that ends with the user; ``max_tokens`` bounds each completion."""

    turns: Sequence[tuple[Role, str]]
    max_tokens: int
    user: str

    @property
    def chat(self) -> Chat:
        """The conversation as a chat for providers."""
        messages = tuple(Message(role, (Text(text),)) for role, text in self.turns)
        return Chat(messages, self.max_tokens, allow_empty=False)


@dataclass(frozen=True, slots=True)
class StrategyChoice:
    """What a strategy would choose; ``impossible`` is the reason if it can choose nothing."""

    strategy: str
    decision: RoutingDecision | None = None
    impossible: str = ""


class Playground:
    """Sends requests like any client, without the cache and with the tag "playground".

    ``over_catalogue`` decides a request over all models of the catalogue, without any key.
    """

    def __init__(
        self,
        routing: RoutingService,
        names: ModelNames,
        over_catalogue: Callable[[GatewayRequest], RoutingDecision],
        *,
        configured: Callable[[], bool] = lambda: True,
    ) -> None:
        self._routing = routing
        self._names = names
        self._over_catalogue = over_catalogue
        self.configured = configured
        """Returns whether a provider other than the embedded model is configured."""

    def models(self) -> list[str]:
        """Return what can be run: the automatic choices, then every configured chat model."""
        models = [spec.ref for spec in self._names.available() if spec.kind == "chat"]
        return [*(name for name in AUTO if name != "auto:hybrid"), *models]

    def choices(self, question: Question, *, whole_catalogue: bool = False) -> list[StrategyChoice]:
        """Return what each strategy would choose now. Calls no provider and records nothing.

        The models are those of configured providers, or those of the ``whole_catalogue``.
        """
        request = _gateway_request(question)
        decide = self._over_catalogue if whole_catalogue else self._routing.previews.of_request
        return [_choice(replace(request, strategy=strategy), decide) for strategy in STRATEGIES]

    async def run(
        self, question: Question, model: str
    ) -> tuple[GatewayRequest, ClientStream, float]:
        """Return the request, the stream of ``model`` and the start time (``perf_counter``).

        Raises :class:`optimizer.domain.model_names.UnknownModel` and what
        :meth:`RoutingService.stream` raises.
        """
        selection = self._names.select(model)
        request = replace(
            _gateway_request(question),
            strategy=selection.strategy,
            only=selection.only,
            requested_model=model,
            streamed=True,
            # A model chosen by name is its own baseline: neither a saving nor a loss.
            baseline=next(iter(selection.only)) if selection.only else None,
        )
        started = time.perf_counter()
        return request, await self._routing.stream(request), started


def _choice(
    request: GatewayRequest, decide: Callable[[GatewayRequest], RoutingDecision]
) -> StrategyChoice:
    try:
        return StrategyChoice(request.strategy, decide(request))
    except NoEligibleModel as error:
        return StrategyChoice(request.strategy, impossible=str(error))


def _gateway_request(question: Question) -> GatewayRequest:
    return isolated_request(question.chat, user=question.user, tag=TAG)


async def stream_messages(
    stream: ClientStream, started: float
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield what the page shows of an answer, as JSON-ready messages.

    The first message has the chosen model, the next ones the text, and the last one the
    cost (USD) and the durations (milliseconds). Raises what the stream raises.
    """
    decision = stream.decision
    yield {
        "type": "begun",
        "model": str(decision.ref) if decision else "",
        "reasoning": decision.reasoning if decision else "",
        "strategy": decision.strategy_used if decision else "",
    }
    first: float | None = None
    async with aclosing(stream.events) as batches:
        async for events in batches:
            for kind in ("text", "thinking"):
                if text := _text_of(events, kind):
                    first = first if first is not None else _elapsed_ms(started)
                    yield {"type": kind, "text": text}
    result = stream.result
    assert result is not None
    yield {
        "type": "end",
        "request_id": str(result.request_id),
        "cost": None if result.cost is None else f"{result.cost:f}",
        "tokens_in": result.tokens_in,
        "tokens_out": result.tokens_out,
        "first_token_ms": first,
        "took_ms": _elapsed_ms(started),
        "finish_reason": result.completion.finish_reason,
    }


def _text_of(events: list[Event], kind: str) -> str:
    kinds = (TextDelta, RefusalDelta) if kind == "text" else (ThinkingDelta,)
    return "".join(event.text for event in events if isinstance(event, kinds))


def _elapsed_ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
