"""The guard rails that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import ImproperlyConfigured

from analytics.privacy.masking import load_find
from optimizer.gateway.guardrails.guard import GuardRails
from optimizer.gateway.guardrails.moderation import ModerationRail
from optimizer.gateway.guardrails.personal_data import PersonalDataRail
from optimizer.gateway.guardrails.rails import Rail
from optimizer.wiring.product_settings import ProductSettings
from providers.resilience import ResilientCaller
from routing.models import ModelRef

_STAGES = frozenset({"input", "output"})


def configured_guard(product: ProductSettings, caller: ResilientCaller) -> GuardRails | None:
    """Return the guard rails in their order, ``None`` for none. Raises ``ImproperlyConfigured``."""
    makers: dict[str, Callable[[], Rail]] = {
        PersonalDataRail.name: lambda: PersonalDataRail(
            load_find(product.guardrail_personal_data),
            restores=product.guardrail_restore,
            fails_open=PersonalDataRail.name in product.guardrails_open,
        ),
        ModerationRail.name: lambda: _moderation(product, caller),
    }
    for name in (*product.guardrails, *product.guardrails_open):
        if name not in makers:
            raise ImproperlyConfigured(
                f"GUARDRAILS must be some of {', '.join(makers)}, not {name!r}"
            )
    rails = [makers[name]() for name in product.guardrails]
    return GuardRails(rails, product.request_deadline) if rails else None


def _moderation(product: ProductSettings, caller: ResilientCaller) -> ModerationRail:
    provider, slash, model = product.guardrail_moderation_model.partition("/")
    if not provider or not slash or not model:
        raise ImproperlyConfigured("GUARDRAIL_MODERATION_MODEL must be provider/model")
    stages = frozenset(product.guardrail_moderation_stages)
    if not stages or not stages <= _STAGES:
        raise ImproperlyConfigured("GUARDRAIL_MODERATION_STAGES must be input, output or both")
    thresholds = product.guardrail_moderation_thresholds
    if not all(0 <= threshold <= 1 for threshold in thresholds.values()):
        raise ImproperlyConfigured("GUARDRAIL_MODERATION_THRESHOLDS must be from 0 to 1")
    return ModerationRail(
        caller,
        ModelRef(provider, model),
        thresholds,
        stages=stages,
        holds_streams=product.guardrail_moderation_streams == "hold",
        fails_open=ModerationRail.name in product.guardrails_open,
        seconds=product.guardrail_moderation_seconds,
    )
