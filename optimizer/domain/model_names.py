"""The model names that clients may use: a routing strategy, or a model of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from providers.catalogue import Catalogue, ModelSpec
from providers.resilience import ResilientCaller
from routing.models import ModelRef

AUTO: dict[str, str] = {
    "auto": "hybrid",
    "auto:hybrid": "hybrid",
    "auto:complexity": "complexity",
    "auto:cheapest": "cheapest",
    "auto:best": "best",
}


class UnknownModel(Exception):
    """The request names a model that is not available; the message says which ones are."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A strategy, and the (provider, model) pairs it may choose from; ``None`` for any."""

    strategy: str
    only: frozenset[ModelRef] | None = None


class ModelNames:
    """Reads the names that clients use: ``auto…``, an id, an alias, or ``provider/id``."""

    def __init__(self, catalogue: Catalogue, caller: ResilientCaller) -> None:
        self._catalogue = catalogue
        self._caller = caller
        self._chat = _by_name(catalogue.models)
        self._embedding = _by_name(catalogue.embeddings)

    def select(self, name: str) -> Selection:
        """Return how to choose a model for ``name``. Raises :class:`UnknownModel`."""
        if name in AUTO:
            return Selection(AUTO[name])
        specs = self._enabled(name, self._chat, "chat")
        return Selection("named", frozenset(ModelRef(spec.provider, spec.id) for spec in specs))

    def one(self, name: str) -> ModelRef:
        """Return the (provider, model) of a chat model, whether its provider is configured or not.

        Raises :class:`UnknownModel`.
        """
        specs = self._chat.get(name)
        if not specs:
            raise UnknownModel(f"The model '{name}' is not in the catalogue.")
        enabled = [spec for spec in specs if spec.provider in self._caller.providers]
        spec = (enabled or specs)[0]
        return ModelRef(spec.provider, spec.id)

    def embedding(self, name: str) -> list[ModelSpec]:
        """Return the embedding models with this name, first choice first.

        Raises :class:`UnknownModel`.
        """
        return self._enabled(name, self._embedding, "embedding")

    def available(self) -> list[ModelSpec]:
        """Return every model of the configured providers."""
        return [
            spec
            for spec in (*self._catalogue.models, *self._catalogue.embeddings)
            if spec.provider in self._caller.providers
        ]

    def _enabled(
        self, name: str, by_name: dict[str, list[ModelSpec]], kind: str
    ) -> list[ModelSpec]:
        specs = by_name.get(name, [])
        enabled = [spec for spec in specs if spec.provider in self._caller.providers]
        if enabled:
            return enabled
        if specs:
            raise UnknownModel(
                f"The model '{name}' is known, but its provider is not configured: "
                + "; ".join(self._how_to_enable(spec.provider) for spec in specs)
                + "."
            )
        hint = " Use 'auto' to let the service choose one." if kind == "chat" else ""
        raise UnknownModel(
            f"The {kind} model '{name}' does not exist here. "
            f"GET /v1/models lists the available models.{hint}"
        )

    def _how_to_enable(self, provider: str) -> str:
        spec = self._catalogue.providers[provider]
        names = spec.key_env or (spec.base_url_env,)
        return f"{provider} needs {names[0]}" if names[0] else f"{provider} is off"


def _by_name(specs: tuple[ModelSpec, ...]) -> dict[str, list[ModelSpec]]:
    by_name: dict[str, list[ModelSpec]] = {}
    for spec in specs:
        for name in (spec.id, *spec.aliases):
            for known_as in (name, f"{spec.provider}/{name}"):
                members = by_name.setdefault(known_as, [])
                if spec not in members:
                    members.append(spec)
    return by_name
