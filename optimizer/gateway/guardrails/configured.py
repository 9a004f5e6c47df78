"""The guard rails that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured

from analytics.privacy.masking import load_find
from optimizer.gateway.guardrails.guard import GuardRails
from optimizer.gateway.guardrails.moderation import ModerationRail
from optimizer.gateway.guardrails.personal_data import PersonalDataRail
from optimizer.gateway.guardrails.rails import Rail
from providers.resilience import ResilientCaller
from routing.models import ModelRef

_STAGES = frozenset({"input", "output"})


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """The settings ``GUARDRAILS`` and ``GUARDRAIL_…``, as ``.env.example`` explains them.

    ``fail_open`` are the names of the rails that let pass what they cannot check; ``deadline`` is
    that of a request in seconds.
    """

    rails: Sequence[str]
    fail_open: Sequence[str]
    personal_data: str
    restore: bool
    moderation_model: str
    moderation_thresholds: Mapping[str, float]
    moderation_stages: Sequence[str]
    moderation_streams: str
    moderation_seconds: float
    deadline: float


def configured_guard(settings: GuardSettings, caller: ResilientCaller) -> GuardRails | None:
    """Return the guard rails in their order, ``None`` for none. Raises ``ImproperlyConfigured``."""
    makers: dict[str, Callable[[], Rail]] = {
        PersonalDataRail.name: lambda: PersonalDataRail(
            load_find(settings.personal_data),
            restores=settings.restore,
            fails_open=PersonalDataRail.name in settings.fail_open,
            finder=settings.personal_data,
        ),
        ModerationRail.name: lambda: _moderation(settings, caller),
    }
    for name in (*settings.rails, *settings.fail_open):
        if name not in makers:
            raise ImproperlyConfigured(
                f"GUARDRAILS must be some of {', '.join(makers)}, not {name!r}"
            )
    rails = [makers[name]() for name in settings.rails]
    return GuardRails(rails, settings.deadline) if rails else None


def _moderation(settings: GuardSettings, caller: ResilientCaller) -> ModerationRail:
    provider, _, model = settings.moderation_model.partition("/")
    if not provider or not model:
        raise ImproperlyConfigured("GUARDRAIL_MODERATION_MODEL must be provider/model")
    stages = frozenset(settings.moderation_stages)
    if not stages or not stages <= _STAGES:
        raise ImproperlyConfigured("GUARDRAIL_MODERATION_STAGES must be input, output or both")
    thresholds = settings.moderation_thresholds
    if not all(0 <= threshold <= 1 for threshold in thresholds.values()):
        raise ImproperlyConfigured("GUARDRAIL_MODERATION_THRESHOLDS must be from 0 to 1")
    return ModerationRail(
        caller,
        ModelRef(provider, model),
        thresholds,
        stages=stages,
        holds_streams=settings.moderation_streams == "hold",
        fails_open=ModerationRail.name in settings.fail_open,
        seconds=settings.moderation_seconds,
    )
