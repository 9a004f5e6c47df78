"""The circuits as one request sees them, and which errors count against which circuit."""

from __future__ import annotations

from collections.abc import Callable

from providers.circuits import Circuits
from providers.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectionLost,
    ContentBlocked,
    EmptyCompletion,
    InsufficientCredit,
    MalformedResponse,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
    RequestTimedOut,
    RequestTooLarge,
)

_KEY = (AuthenticationFailed, InsufficientCredit)
_FAILED = (ProviderUnavailable, ConnectionFailed, ProviderTimeout, RequestTimedOut)
# The provider works: it did not accept this request, had no words for it, or none that can be read.
_ANSWERED = (RequestRejected, RequestTooLarge, ContentBlocked, EmptyCompletion, MalformedResponse)


def circuit_of(provider: str, model: str, error: ProviderError) -> str:
    """Return the circuit that counts ``error``: that of the key or model if the provider says so.

    Anthropic, Google and OpenAI say "the model is overloaded", in a 503 or 529.
    """
    if isinstance(error, _KEY):
        return key_circuit(provider)
    if isinstance(error, ProviderUnavailable) and "model" in error.words.lower():
        return f"{provider}/{model}"
    return provider


def key_circuit(provider: str) -> str:
    """Return the circuit of the provider's key."""
    return f"{provider}#key"


class RequestCircuits:
    """The circuits as one request sees them: it counts once for each provider that it calls.

    ``prompt`` returns a hash of what was asked, ``caller`` is who asks, "" if unknown.
    """

    __slots__ = ("_caller", "_circuits", "_models", "_outcomes", "_probes", "_prompt")

    def __init__(self, circuits: Circuits, prompt: Callable[[], int], caller: str = "") -> None:
        self._circuits = circuits
        self._prompt = prompt
        self._caller = caller
        self._models: dict[str, str] = {}
        self._outcomes: dict[str, ProviderError | None] = {}
        self._probes: dict[str, float] = {}

    def anew(self) -> RequestCircuits:
        """Return the circuits as calls of the same request see them that count by themselves."""
        return RequestCircuits(self._circuits, self._prompt, self._caller)

    def admit(self, provider: str, model: str = "") -> float | None:
        """Let a call through; return how many seconds it may take if it is a probe, else ``None``.

        Raises :class:`providers.errors.CircuitOpen`.
        """
        self._models[provider] = model
        seconds = None
        for name in self._names(provider) if self._circuits.rare else (provider,):
            if name not in self._probes:
                patience = self._circuits.admit(provider, name, self._caller)
                if patience is not None:
                    self._probes[name] = patience
            if self._probes:
                seconds = max(seconds or 0.0, self._probes.get(name, 0.0)) or None
        return seconds

    def delivered(self, provider: str) -> None:
        """Note that the provider answered."""
        self._outcomes[provider] = None

    def failed(self, provider: str, error: ProviderError) -> None:
        """Note that a call of the provider failed; the last such error is counted."""
        if isinstance(error, (*_FAILED, *_ANSWERED, *_KEY)):
            self._outcomes[provider] = error

    def settle(self) -> None:
        """Count the request, once for each provider that it called.

        A failure that all of them share, at least two, is the request's own.
        """
        outcomes = self._outcomes
        blamed = [outcome for outcome in outcomes.values() if not isinstance(outcome, _KEY)]
        shared = len(blamed) > 1 and None not in blamed
        for provider, outcome in outcomes.items():
            if outcome is None or isinstance(outcome, _ANSWERED):
                for name in self._names(provider) if self._circuits.rare else (provider,):
                    probe = bool(self._probes) and self._ends(name)
                    self._circuits.answered(name, probe, self._caller)
            elif not shared or isinstance(outcome, _KEY):
                self._count(provider, outcome)
        for name in tuple(self._probes):
            self._ends(name)
            self._circuits.release(name, self._caller)

    def broke_off(self, provider: str, error: ProviderError) -> None:
        """Count that the stream, which was counted as answered, broke off."""
        if isinstance(error, _FAILED):
            self._count(provider, error, counted=True)

    def _count(self, provider: str, error: ProviderError, *, counted: bool = False) -> None:
        name = circuit_of(provider, self._models.get(provider, ""), error)
        prompt, caller = self._cause(error)
        if self._ends(name):
            self._circuits.probe_failed(name, self._caller, caller)
        else:
            self._circuits.failed(name, prompt, counted, caller)

    def _names(self, provider: str) -> tuple[str, ...]:
        """Return the circuits that a call passes; those of models and keys are rare."""
        special = (f"{provider}/{self._models.get(provider, '')}", key_circuit(provider))
        return (provider, *(name for name in special if name in self._circuits.rare))

    def _ends(self, name: str) -> bool:
        """Return whether the request is the probe of the circuit; it is none any more then."""
        return self._probes.pop(name, None) is not None

    def _cause(self, error: ProviderError) -> tuple[int | None, str]:
        """Return the prompt and the caller that may be why; none if they cannot be."""
        unreachable = isinstance(error, ConnectionFailed) and not isinstance(error, ConnectionLost)
        if unreachable or isinstance(error, AuthenticationFailed):
            return None, ""
        return self._prompt(), self._caller
