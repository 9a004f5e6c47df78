"""A provider as the catalogue describes it: how it is called, and what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from providers.openai.dialect import Dialect

EVERY_TIER = "*"
"""A service tier that stands for all of them: calls are paid by other means than their tokens."""


class CatalogueError(Exception):
    """The catalogue cannot be read; the message names the file and the entry."""


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider: its wire, its base URL, and the variables that hold its key.

    ``lacks`` names the features of its wire that this provider does not support
    (:mod:`providers.features`). ``prepaid`` names the service tiers whose calls are paid by a
    subscription or by capacity that was bought ahead, "*" for all: they cost nothing more.
    ``regions`` are the places in which it keeps all data, none if that is not known.
    ``dialect`` is how a server with OpenAI's API differs from most others, ``None`` if it does not.

    Clouds have more. ``needs`` are the variables that configure it, instead of a key or a base
    URL. ``settings`` are what its client must know, each with the variable that has it.
    ``models_of`` is the provider whose models it deploys. ``geography`` is the place in which it
    serves all calls, "" for any; ``served`` are the only models that it has, ``None`` for all.
    Both are known once the environment is: :func:`providers.clouds.placement.placed`.
    """

    name: str
    wire: str
    base_url: str = ""
    base_url_env: str = ""
    key_env: tuple[str, ...] = ()
    key_optional: bool = False
    prices: str = ""
    lacks: frozenset[str] = frozenset()
    prepaid: frozenset[str] = frozenset()
    dialect: Dialect | None = None
    needs: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    models_of: str = ""
    geography: str = ""
    served: frozenset[str] | None = None
    regions: frozenset[str] = frozenset()

    def is_prepaid(self, service_tier: str) -> bool:
        """Return whether a call that this tier served costs nothing more."""
        return EVERY_TIER in self.prepaid or (service_tier or "standard") in self.prepaid
