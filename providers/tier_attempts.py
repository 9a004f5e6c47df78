"""One call in another service tier before the calls in the standard one.

A tier such as "flex" is cheaper and may be full, slow, or unknown to a model. None of it says
anything of the model in the standard tier and of its provider: so a tier has limits of its own,
and the standard tier follows it as its fallback.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from providers.cooldowns import Cooldowns
from providers.fallback import FallbackState
from providers.silence import Silence

_REFUSED_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class TierAttempt:
    """A call of the first model in ``service_tier`` that may take ``seconds``."""

    service_tier: str
    seconds: float


@dataclass(slots=True)
class TierLimits:
    """The models whose tier is full or unknown, and the calls that wait for tiers."""

    cooldowns: Cooldowns = field(default_factory=Cooldowns)
    silence: Silence = field(default_factory=Silence)

    def state(self, standard: FallbackState, attempt: TierAttempt) -> FallbackState:
        """Return the state of the one call in the tier, before those of ``standard``."""
        return FallbackState(
            replace(standard.policy, retries=0, max_calls=1, deadline=attempt.seconds),
            standard.circuits.anew(),
            self.cooldowns,
            standard.summary,
            standard.attempts,
            [],
            standard.current,
            whole=standard.whole,
            service_tier=attempt.service_tier,
        )

    def learn(self, tried: FallbackState, answered: tuple[str, str]) -> None:
        """Spare a tier that refused what the same model, which ``answered``, then took.

        Azure refuses models without the tier so; what refuses a request in both is the request.
        https://learn.microsoft.com/azure/foundry/openai/how-to/flex-processing
        """
        if tried.refused and answered == tried.current:
            self.cooldowns.limited(*answered, _REFUSED_SECONDS)
