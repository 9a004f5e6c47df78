"""Circuit breakers: a provider, model or key that fails too often is not called for a while.

A circuit is named after what it guards: "openai", "openai/gpt-5.5" or "openai#key"
(:func:`providers.request_circuits.circuit_of`). It looks at the rate of failures over a window of
time, and counts a request once, however many calls it makes. The failures of one caller open it
for that caller alone: what only one caller's requests bring about may be the fault of the requests.

The state is in this process, so that a call needs no network. Code that shares it with other
workers listens with :meth:`Circuits.on_change` and passes on what other workers found with
:meth:`Circuits.adopt`.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Literal

from providers.errors import CircuitOpen

CircuitState = Literal["closed", "open", "half_open"]
Changed = Callable[[str, float], None]
"""Called with (circuit, seconds): what it guards is not called for so many seconds from now on;
0 if it answers again."""

_SHARE = 0.5
"""The share of the requests within the window that must fail to open a circuit."""
_OTHERS = 2
"""The failures that must be of others than the caller with most, to open a circuit for all."""
_STEPS = 12
"""The window moves by this part of its length."""
_PROBE_SECONDS = 10.0
"""How long the first probe may take. Others wait for any probe only so long, as its request may
be what makes it hang."""
_MOST_DOUBLINGS = 6
"""Each probe that fails doubles the time of the next one, so many times."""
_MOST_OWN = 1_000


class _Step:
    """The requests of one step of the window, by caller."""

    __slots__ = ("failures", "number", "prompts", "requests")

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.prompts: set[int] = set()


class _Circuit:
    """``probes`` are under way, the newest since ``probed_at``; those of ``blamed`` failed."""

    __slots__ = ("blamed", "failed_probes", "open_until", "probed_at", "probes", "steps")

    def __init__(self) -> None:
        self.open_until: float | None = None
        self.probes = 0
        self.probed_at = 0.0
        self.failed_probes = 0
        self.blamed: set[str] = set()
        self.steps: deque[_Step] = deque(maxlen=_STEPS)

    def is_open(self, now: float) -> bool:
        """Return whether no call is made, not even a probe."""
        if self.open_until is None:
            return False
        probing = self.probes > 0 and now - self.probed_at <= _PROBE_SECONDS
        return probing or now <= self.open_until

    def set_open(self, until: float | None) -> None:
        """Open it, or close it with ``None``."""
        self.open_until = until
        self.blamed.clear()

    def end_probe(self) -> None:
        """Note that a probe has ended."""
        self.probes = max(0, self.probes - 1)


class Circuits:
    """The circuit breakers of all providers, models and keys.

    A circuit opens once ``failures`` requests within ``window`` seconds have failed, if they
    are at least half of the requests of that time. It opens for all callers if several of them
    fail, or if they cannot be told apart (""); else for the one that fails. After ``seconds``
    one call is a probe: its result closes the circuit or opens it again, for all if probes of
    two callers fail, else for the one.
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
        self._own: dict[tuple[str, str], _Circuit] = {}
        self.rare: set[str] = set()
        """The circuits of models and keys, which exist only once one has failed."""
        self._listeners: list[Changed] = []

    def on_change(self, changed: Changed) -> None:
        """Call ``changed`` for each circuit that opens or closes for all by what happened here."""
        self._listeners.append(changed)

    def state(self, name: str) -> CircuitState:
        """Return the state of a circuit, as it is for all callers.

        Closed: calls are made as usual. Open: none is made, or only the probe that is on its
        way. Half open: the next call is a probe.
        """
        circuit = self._circuits.get(name)
        if circuit is None or circuit.open_until is None:
            return "closed"
        return "open" if circuit.is_open(self._clock()) else "half_open"

    async def adopt(self, name: str, seconds: float) -> None:
        """Take over what another worker found out.

        The circuit is open for ``seconds`` more; with 0 it closes, as calls succeed again.
        """
        circuit = self._circuit(name)
        circuit.steps.clear()
        circuit.set_open(self._clock() + seconds if seconds > 0 else None)

    def reset(self, name: str) -> None:
        """Close a circuit, and forget what was counted: what it guards is another one now."""
        circuit = self._circuits.get(name)
        if circuit is not None:
            circuit.steps.clear()
            circuit.set_open(None)

    def admit(self, provider: str, name: str, caller: str = "") -> float | None:
        """Let a call through the circuit ``name``; return the seconds that it may take as a probe.

        ``None`` if it is no probe. Raises :class:`providers.errors.CircuitOpen`. End a probe
        with :meth:`answered`, :meth:`probe_failed` or :meth:`release`.
        """
        shared = self._circuits.get(name)
        own = self._own.get((name, caller)) if self._own else None
        if own is None and (shared is None or shared.open_until is None):
            return None  # as nearly always
        probed = [c for c in (shared, own) if c is not None and c.open_until is not None]
        now = self._clock()
        if any(circuit.is_open(now) for circuit in probed):
            raise CircuitOpen(provider, "failed too often recently and is not called for now")
        for circuit in probed:
            circuit.probes += 1
            circuit.probed_at = now
        if not probed:
            return None
        return _PROBE_SECONDS * 2.0 ** min(
            _MOST_DOUBLINGS, max(circuit.failed_probes for circuit in probed)
        )

    def answered(self, name: str, probe: bool = False, caller: str = "") -> None:
        """Count a request that was answered; a probe closes the circuit."""
        circuit = self._circuit(name)
        if probe:
            self._own.pop((name, caller), None)
            circuit.end_probe()
            circuit.failed_probes = 0
            if circuit.open_until is not None:
                circuit.set_open(None)
                self._notify(name, 0.0)
        if circuit.open_until is None:
            self._step(circuit).requests[caller] += 1

    def failed(
        self,
        name: str,
        prompt: int | None = None,
        counted: bool = False,
        caller: str = "",
    ) -> None:
        """Count a request that failed.

        Requests with the same ``prompt`` (a hash) count once within the window, because the
        prompt may be what makes the provider fail. ``counted`` is whether the request was
        counted as answered before, such as a stream that breaks off.
        """
        circuit = self._circuit(name)
        if circuit.open_until is not None:
            return
        step = self._step(circuit)
        if prompt is not None:
            if any(prompt in known.prompts for known in self._recent(circuit, step)):
                return
            step.prompts.add(prompt)
        step.failures[caller] += 1
        step.requests[caller] += not counted
        self._judge(name, circuit, step, caller)

    def release(self, name: str, caller: str = "") -> None:
        """End a probe that tells nothing; the next call is a probe, too."""
        self._circuit(name).end_probe()
        if own := self._own.get((name, caller)):
            own.end_probe()

    def probe_failed(self, name: str, prober: str, cause: str) -> None:
        """End a probe of ``prober`` that failed: open the circuit again.

        If the request of one caller may be the ``cause`` ("" if it cannot be), it opens for that
        caller alone, and others may probe; once probes of two callers have failed, for all.
        """
        circuit = self._circuit(name)
        circuit.end_probe()
        own = self._own.get((name, prober))
        if own is not None:
            own.end_probe()
            own.failed_probes += 1
        if circuit.open_until is not None:
            circuit.blamed.add(cause)
            circuit.failed_probes += 1
            if not cause or len(circuit.blamed) >= _OTHERS:
                self._open(name, circuit)
        if prober and (own is not None or circuit.blamed):
            self._open_own(name, prober)

    def _judge(self, name: str, circuit: _Circuit, now: _Step, caller: str) -> None:
        """Open the circuit, for all or for ``caller``, if too much has failed."""
        recent = self._recent(circuit, now)
        failures: Counter[str] = Counter()
        requests: Counter[str] = Counter()
        for step in recent:
            failures.update(step.failures)
            requests.update(step.requests)
        total = failures.total()
        if total < self._failures:
            return
        failing = sum(1 for who, n in failures.items() if n >= _SHARE * requests[who])
        shared = total - max(failures.values()) >= min(_OTHERS, self._failures)
        shared = shared and failing >= _SHARE * len(requests)
        if total >= _SHARE * requests.total() and (shared or failures.keys() == {""}):
            self._open(name, circuit)
        elif caller and self._failures <= failures[caller] >= _SHARE * requests[caller]:
            self._open_own(name, caller)

    def _open_own(self, name: str, caller: str) -> None:
        own = self._own.get((name, caller))
        if own is None:
            if len(self._own) >= _MOST_OWN:
                self._own.clear()
            own = self._own[name, caller] = _Circuit()
        own.set_open(self._clock() + self.seconds)

    def _open(self, name: str, circuit: _Circuit) -> None:
        circuit.set_open(self._clock() + self.seconds)
        circuit.steps.clear()
        self._notify(name, self.seconds)

    def _notify(self, name: str, seconds: float) -> None:
        for changed in self._listeners:
            changed(name, seconds)

    def _circuit(self, name: str) -> _Circuit:
        circuit = self._circuits.get(name)
        if circuit is None:
            circuit = self._circuits[name] = _Circuit()
            if "/" in name or "#" in name:
                self.rare.add(name)
        return circuit

    def _step(self, circuit: _Circuit) -> _Step:
        number = int(self._clock() / self._step_seconds)
        steps = circuit.steps
        if not steps or steps[-1].number != number:
            steps.append(_Step(number))
        return steps[-1]

    def _recent(self, circuit: _Circuit, now: _Step) -> list[_Step]:
        return [step for step in circuit.steps if step.number > now.number - _STEPS]
