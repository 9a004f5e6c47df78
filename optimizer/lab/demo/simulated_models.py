"""Models that are simulated: how long, how good and how fast the answers of the demo are.

No model is called. How good an answer is follows from the router's own predictor and the
published abilities of the model; its length and its time are drawn around usual ones.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from random import Random
from typing import Any

from analytics.ledger.ledger import LedgerEntry
from analytics.models import CachedResponse
from optimizer.gateway.recording.ledger_entries import LedgerEntryBuilder
from optimizer.gateway.recording.timing import Timing
from optimizer.lab.demo.schedule import PlannedRequest
from providers.assembly import completion_events
from providers.catalogue import Catalogue
from providers.chat import Text, ToolCall
from providers.completion import Choice, Completion, CompletionRequest, Usage
from providers.errors import ProviderUnavailable
from providers.events import Event
from routing.models import ModelRef

PLANNED: ContextVar[PlannedRequest] = ContextVar("PLANNED")
"""The request that is being answered."""
TRIED: ContextVar[list[str]] = ContextVar("TRIED")
"""The providers whose call for this request has failed as planned."""
ANSWER = "(Demo: no model was called, so there is no answer. What you see of it is simulated.)"
# The time to the first token (ms) and the tokens a second that are usual of a tier.
_SPEED = {"simple": (260.0, 170.0), "moderate": (420.0, 110.0), "complex": (800.0, 62.0)}
_FAST = {"groq": 3.0, "cerebras": 4.0}
"""Providers whose own chips answer this many times as fast."""
_LEAST_CACHED = 1024
_SHARED_LUCK = 0.9
"""How often an answer is good or bad because of its prompt, not because of the model's luck."""
_VERBOSITY = (0.75, 1.35)


class SimulatedProvider:
    """A provider of the catalogue whose answers are simulated; it caches prompts as real ones do.

    A conversation that goes on with the same model reads its earlier turns from the cache.
    """

    def __init__(self, name: str, wire: str, features: frozenset[str], seed: int) -> None:
        self.name = name
        self.wire = wire
        self.features = features
        self._seed = seed
        self._read: dict[tuple[str, str], int] = {}

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return an answer of the planned length; raise where a failure is planned."""
        planned = PLANNED.get()
        if planned.down == self.name or planned.fails == "all":
            raise ProviderUnavailable(self.name, "is unavailable (simulated)", status=503)
        random = Random(f"{self._seed} {planned.number} {self.name} {request.model}")
        if planned.fails == "first" and not TRIED.get():
            TRIED.get().append(self.name)
            raise ProviderUnavailable(self.name, "is overloaded (simulated)", status=529)
        usage = self._usage(planned, request, random)
        if planned.tool:
            call = ToolCall(f"call_{planned.number}", planned.tool, '{"path": "src"}')
            choice = Choice((call,), "tool_calls")
        else:
            choice = Choice((Text(ANSWER),), "stop")
        return Completion(self.name, request.model, (choice,), usage)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """Yield the answer as events."""
        for event in completion_events(await self.complete(request)):
            yield event

    async def aclose(self) -> None:
        """Do nothing: there is no connection to close."""

    def _usage(self, planned: PlannedRequest, request: CompletionRequest, random: Random) -> Usage:
        # Tokenizers differ from the estimate, each always in the same way.
        density = Random(f"{self.name} {request.model}").uniform(0.94, 1.12)
        tokens_in = round(request.chat.estimated_tokens() * density)
        tokens_out = max(2, round(planned.output * random.uniform(*_VERBOSITY)))
        read = written = 0
        if planned.session:
            key = (planned.session, request.model)
            read = min(self._read.get(key, 0), tokens_in)
            read = read if read >= _LEAST_CACHED else 0
            written = tokens_in - read if self.wire == "anthropic" else 0
            self._read[key] = tokens_in
        return Usage(tokens_in, tokens_out, read, written if written >= _LEAST_CACHED else 0)


class SimulatedQuality:
    """Scores of simulated answers.

    ``expected`` returns how likely a good answer is (0-1), of (prompt, tier, provider, model).
    """

    def __init__(self, expected: Callable[[str, str, str, str], float], seed: int) -> None:
        self._expected = expected
        self._seed = seed

    def is_good(self, planned: PlannedRequest, tier: str, model: ModelRef) -> bool:
        """Return whether the model's answer is good: always the same for the same request.

        A prompt that one model finds hard is mostly hard for others too.
        """
        chance = self._expected(planned.prompt, tier, *model)
        shared = Random(f"{self._seed} {planned.number}")
        own = Random(f"{self._seed} {planned.number} {model}")
        luck = shared.random() if shared.random() < _SHARED_LUCK else own.random()
        return luck < chance


class SimulatedTiming(LedgerEntryBuilder):
    """Builds the entries of the demo, with simulated durations in place of measured ones."""

    def __init__(self, catalogue: Catalogue, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._catalogue = catalogue

    def for_answer(
        self, analyzed: Any, decision: Any, answer: Any, timing: Timing
    ) -> tuple[LedgerEntry, CachedResponse]:
        """Return the entry of an answer that took as long as its tokens need."""
        completion, planned = answer.completion, PLANNED.get()
        spec = self._catalogue.find(completion.provider, completion.model)
        first, speed = _SPEED[spec.tier if spec else "moderate"]
        fast = _FAST.get(completion.provider, 1.0)
        random = Random(f"{planned.number} time")
        usage = completion.usage
        fresh = usage.input_tokens - usage.cache_read_tokens
        first = (first + fresh / 40) / fast * random.lognormvariate(0, 0.3)
        total = first + 1000 * usage.output_tokens / speed / fast * random.lognormvariate(0, 0.2)
        streamed = first if analyzed.request.streamed else None
        return super().for_answer(analyzed, decision, answer, Timing(total + 4, total, streamed))
