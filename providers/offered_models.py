"""The providers of this process, and which of their models may be called now, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from providers.call_guard import CallGuard
from providers.circuits import Circuits, CircuitState
from providers.completion import Provider
from providers.cooldowns import Cooldowns
from providers.errors import OutsideResidency
from providers.fallback import ResiliencePolicy
from providers.pools.pool import MemberPool
from providers.request_circuits import key_circuit
from providers.residency import NO_RESIDENCY, residency_features
from providers.silence import Silence
from providers.tier_attempts import TierLimits

_KEPT_MODELS = 1_000


@dataclass(slots=True)
class OfferedModels:
    """The models that may be called, and what keeps some from being called for a while.

    ``lacks`` returns the features that a (provider, model) does not have. ``may_call`` raises an
    error while no provider may be called at all.
    """

    providers: Mapping[str, Provider]
    policy: ResiliencePolicy
    lacks: Callable[[str, str], frozenset[str]] = lambda provider, model: frozenset()
    pools: Mapping[str, MemberPool] = field(default_factory=dict)
    regions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The regions in which a provider's own client keeps all data, for those that have any. Of a
    pool it is that of the first member, which does what is no call of a model."""
    circuits: Circuits = field(init=False)
    cooldowns: Cooldowns = field(init=False, default_factory=Cooldowns)
    silence: Silence = field(default_factory=Silence)
    tiers: TierLimits = field(default_factory=TierLimits)
    may_call: Callable[[], None] = lambda: None
    switched_off: frozenset[tuple[str, str]] = frozenset()
    """The (provider, model) pairs that are not called at all."""
    guard: CallGuard | None = None
    """What stands before and after all calls, if anything does."""
    changes: int = 0
    """Counts changes of the providers and of their models."""
    _known_lacks: dict[tuple[str, str], frozenset[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        policy = self.policy
        self.circuits = Circuits(
            policy.breaker_failures, policy.breaker_seconds, policy.breaker_window
        )

    def count_change(self) -> None:
        """Say that providers, models or what they can do have changed."""
        self._known_lacks = {}
        self.changes += 1

    def serves(self, provider: str, model: str, snapshot_of: str = "") -> bool:
        """Return whether the model may be called: it is on, and its provider is configured.

        A dated edition, ``snapshot_of`` a model, is off with that model.
        """
        if provider not in self.providers:
            return False
        return not self.switched_off or not self.is_off(provider, model, snapshot_of)

    def is_off(self, provider: str, model: str, snapshot_of: str = "") -> bool:
        """Return whether the model, or the one that it is a dated edition of, is switched off."""
        off = self.switched_off
        return (provider, model) in off or (provider, snapshot_of) in off

    def residencies(self, provider: str, model: str) -> frozenset[str]:
        """Return the features of the regions within which the model is served."""
        pool = self.pools.get(provider)
        if pool is not None:
            return pool.residencies(model)
        regions = self.regions.get(provider)
        return residency_features(regions) if regions else frozenset()

    def must_stay_within(self, provider: str, residency: frozenset[str]) -> None:
        """Raise :class:`OutsideResidency` if the provider's own client may not have the data."""
        if not residency <= self.regions.get(provider, NO_RESIDENCY):
            raise OutsideResidency.of(provider, residency)

    def wire_of(self, provider: str) -> str:
        """Return the wire of a configured provider; empty if it is not configured any more."""
        client = self.providers.get(provider)
        return "" if client is None else client.wire

    def circuit_state(self, provider: str) -> CircuitState:
        """Return the state of the provider's circuit, or of that of its key if it is worse.

        Closed: it is called as usual. Open: it is not called. Half open: the next call is a
        probe.
        """
        state = self.circuits.state(provider)
        if state == "closed" and self.circuits.rare:
            return self.circuits.state(key_circuit(provider))
        return state

    def _lacking(self, client: Provider, model: str) -> frozenset[str]:
        known = self._known_lacks
        key = (client.name, model)
        if key not in known:
            # Clients may invent names without end.
            if len(known) >= _KEPT_MODELS:
                known.clear()
            known[key] = self.lacks(*key)
        return known[key]
