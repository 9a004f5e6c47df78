"""Builds the levers from settings."""

from __future__ import annotations

import shlex

from django.core.exceptions import ImproperlyConfigured

from analytics.levers import levers_load
from optimizer.gateway.levers.cascade.checks.command_check import CommandCheck
from optimizer.gateway.levers.plans import RequestLever
from optimizer.gateway.levers.short_answers import ShortAnswersLever
from optimizer.gateway.levers.variants import EffortLever
from optimizer.policies.levers import ActiveLevers, LeverSettingError, read_modes
from optimizer.wiring.product_settings import ProductSettings

REQUEST_LEVERS: tuple[RequestLever, ...] = (EffortLever(), ShortAnswersLever())
"""The levers that change what is sent, in the order in which they do."""


def cascade_command(product: ProductSettings) -> CommandCheck | None:
    """Return the operator's command that checks answers, ``None`` if none is set.

    Raises ``ImproperlyConfigured`` if CASCADE_COMMAND cannot be read.
    """
    try:
        command = shlex.split(product.cascade_command)
    except ValueError as error:
        raise ImproperlyConfigured(f"CASCADE_COMMAND: {error}") from None
    return CommandCheck(command, product.cascade_command_seconds) if command else None


def active_levers(product: ProductSettings) -> ActiveLevers:
    """Return the levers as settings and operators use them.

    Raises ``ImproperlyConfigured`` if LEVERS cannot be read.
    """
    try:
        fixed = read_modes(product.levers)
    except LeverSettingError as error:
        raise ImproperlyConfigured(f"LEVERS: {error}") from None
    used = {
        "cache_marks": product.prompt_caching,
        "response_cache": product.response_cache,
        "semantic_cache": product.response_cache and product.semantic_cache,
    }
    return ActiveLevers(
        fixed,
        levers_load,
        control_share=product.lever_control_share,
        switched_off=[name for name, on in used.items() if not on],
    )
