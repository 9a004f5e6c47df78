"""A circuit breaker per provider: a provider that fails too often is not called for a while.

It looks at the rate of failures over a window of time, and counts a request once, however many
calls it makes. The state is in this process, so that a call needs no network. Code that shares
it with other workers listens with :meth:`Circuits.on_change` and passes on what other workers
found with :meth:`Circuits.adopt`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from providers.errors import (
    CircuitOpen,
    ConnectionFailed,
    ConnectionLost,
    ContentBlocked,
    EmptyCompletion,
    MalformedResponse,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
    RequestTimedOut,
    RequestTooLarge,
)

CircuitState = Literal["closed", "open", "half_open"]
Changed = Callable[[str, float], None]
"""Called with (provider, seconds): the provider is not called for so many seconds from now on;
0 if it answers again."""

_SHARE = 0.5
"""The share of the requests within the window that must fail to open a circuit."""
_STEPS = 12
"""The window moves by this part of its length."""
_FAILED = (
    ProviderUnavailable,
    ConnectionFailed,
    ProviderTimeout,
    RequestTimedOut,
    MalformedResponse,
)
# The provider works: it did not accept this request, or had no words for it.
_ANSWERED = (RequestRejected, RequestTooLarge, ContentBlocked, EmptyCompletion)


class _Step:
    """The requests of one step of the window."""

    __slots__ = ("failures", "number", "prompts", "requests")

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests = 0
        self.failures = 0
        self.prompts: set[int] = set()


class _Circuit:
    __slots__ = ("open_until", "probing", "steps")

    def __init__(self) -> None:
        self.open_until: float | None = None
        self.probing = False
        self.steps: deque[_Step] = deque(maxlen=_STEPS)


class Circuits:
    """The circuit breakers of all providers.

    A circuit opens once ``failures`` requests within ``window`` seconds have failed, if they
    are at least half of the requests of that time. After ``seconds`` one call is a probe: its
    result closes the circuit or opens it again.
    """

    def __init__(
        self,
        failures: int,
        seconds: float,
        window: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self._failures = failures
        self._step_seconds = window / _STEPS
        self._clock = clock
        self._circuits: dict[str, _Circuit] = {}
        self._listeners: list[Changed] = []

    def on_change(self, changed: Changed) -> None:
        """Call ``changed`` for every circuit that opens or closes by what happened here."""
        self._listeners.append(changed)

    def state(self, provider: str) -> CircuitState:
        """Return the state of the provider's circuit.

        Closed: it is called as usual. Open: it is not called, or only by the probe that is on
        its way. Half open: the next call is a probe.
        """
        circuit = self._circuits.get(provider)
        if circuit is None or circuit.open_until is None:
            return "closed"
        if circuit.probing or self._clock() <= circuit.open_until:
            return "open"
        return "half_open"

    async def adopt(self, provider: str, seconds: float) -> None:
        """Take over what another worker found out about ``provider``.

        The circuit is open for ``seconds`` more; with 0 it closes, as the provider answers again.
        """
        circuit = self._circuit(provider)
        circuit.steps.clear()
        circuit.open_until = self._clock() + seconds if seconds > 0 else None

    def admit(self, provider: str) -> bool:
        """Let a call through, and return whether it is the probe.

        Raises :class:`providers.errors.CircuitOpen`. End a probe with :meth:`answered`,
        :meth:`failed` or :meth:`release`.
        """
        circuit = self._circuits.get(provider)
        if circuit is None or circuit.open_until is None:
            return False
        if circuit.probing or self._clock() <= circuit.open_until:
            raise CircuitOpen(provider, "failed too often recently and is not called for now")
        circuit.probing = True
        return True

    def answered(self, provider: str, probe: bool = False) -> None:
        """Count a request that the provider answered; a probe closes the circuit."""
        circuit = self._circuit(provider)
        if probe:
            circuit.probing = False
            if circuit.open_until is not None:
                circuit.open_until = None
                self._notify(provider, 0.0)
        if circuit.open_until is None:
            self._step(circuit).requests += 1

    def failed(
        self,
        provider: str,
        probe: bool = False,
        prompt: int | None = None,
        counted: bool = False,
    ) -> None:
        """Count a request that the provider failed; a probe opens the circuit again.

        Requests with the same ``prompt`` (a hash) count once within the window, because the
        prompt may be what makes the provider fail. ``counted`` is whether the request was
        counted as answered before, such as a stream that breaks off.
        """
        circuit = self._circuit(provider)
        if probe:
            circuit.probing = False
            self._open(provider, circuit)
            return
        if circuit.open_until is not None:
            return
        step = self._step(circuit)
        if prompt is not None:
            if any(prompt in known.prompts for known in self._recent(circuit, step)):
                return
            step.prompts.add(prompt)
        step.failures += 1
        step.requests += not counted
        recent = self._recent(circuit, step)
        failures = sum(known.failures for known in recent)
        requests = sum(known.requests for known in recent)
        if failures >= self._failures and failures >= _SHARE * requests:
            self._open(provider, circuit)

    def release(self, provider: str) -> None:
        """End a probe that tells nothing about the provider; the next call is a probe, too."""
        self._circuit(provider).probing = False

    def _open(self, provider: str, circuit: _Circuit) -> None:
        circuit.open_until = self._clock() + self.seconds
        circuit.steps.clear()
        self._notify(provider, self.seconds)

    def _notify(self, provider: str, seconds: float) -> None:
        for changed in self._listeners:
            changed(provider, seconds)

    def _circuit(self, provider: str) -> _Circuit:
        circuit = self._circuits.get(provider)
        if circuit is None:
            circuit = self._circuits[provider] = _Circuit()
        return circuit

    def _step(self, circuit: _Circuit) -> _Step:
        number = int(self._clock() / self._step_seconds)
        steps = circuit.steps
        if not steps or steps[-1].number != number:
            steps.append(_Step(number))
        return steps[-1]

    def _recent(self, circuit: _Circuit, now: _Step) -> list[_Step]:
        return [step for step in circuit.steps if step.number > now.number - _STEPS]


class RequestCircuits:
    """The circuits as one request sees them: it counts once for each provider that it calls.

    ``prompt`` returns a hash of what was asked.
    """

    __slots__ = ("_circuits", "_outcomes", "_probes", "_prompt")

    def __init__(self, circuits: Circuits, prompt: Callable[[], int]) -> None:
        self._circuits = circuits
        self._prompt = prompt
        self._outcomes: dict[str, ProviderError | bool | None] = {}
        self._probes: set[str] = set()

    def admit(self, provider: str) -> None:
        """Let a call through. Raises :class:`providers.errors.CircuitOpen`."""
        if provider not in self._probes and self._circuits.admit(provider):
            self._probes.add(provider)
            self._outcomes.setdefault(provider, None)

    def delivered(self, provider: str) -> None:
        """Note that the provider answered."""
        self._outcomes[provider] = True

    def failed(self, provider: str, error: ProviderError) -> None:
        """Note that a call of the provider failed; the last such error is counted."""
        if isinstance(error, (*_FAILED, *_ANSWERED)):
            self._outcomes[provider] = error

    def settle(self) -> None:
        """Count the request, once for each provider that it called.

        A failure that all of them share, at least two, is the request's own.
        """
        outcomes = self._outcomes
        blamed = [outcome for outcome in outcomes.values() if outcome]
        shared = len(blamed) > 1 and True not in blamed
        for provider, outcome in outcomes.items():
            probe = provider in self._probes
            if outcome is True or isinstance(outcome, _ANSWERED):
                self._circuits.answered(provider, probe)
            elif outcome is not None and not shared:
                self._circuits.failed(provider, probe, self._hash(outcome))
            elif probe:
                self._circuits.release(provider)

    def broke_off(self, provider: str, error: ProviderError) -> None:
        """Count that the stream, which was counted as answered, broke off."""
        if isinstance(error, _FAILED):
            self._circuits.failed(provider, prompt=self._hash(error), counted=True)

    def _hash(self, outcome: ProviderError | bool) -> int | None:
        # A provider that cannot be reached has not seen the prompt.
        unreachable = isinstance(outcome, ConnectionFailed) and not isinstance(
            outcome, ConnectionLost
        )
        return None if unreachable else self._prompt()
