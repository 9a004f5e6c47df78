"""What a client may name as the model: a way to choose, or a model of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from providers.catalogue import Catalogue, ModelSpec
from providers.resilience import ResilientCaller

AUTO: dict[str, str] = {
    "auto": "hybrid",
    "auto:hybrid": "hybrid",
    "auto:complexity": "complexity",
    "auto:cheapest": "cheapest",
    "auto:best": "best",
}


class UnknownModel(Exception):
    """The request names a model that is not to be had here; the message says what is."""


@dataclass(frozen=True, slots=True)
class Selection:
    """How to choose: by ``strategy``, among the (provider, model) pairs of ``only`` if given."""

    strategy: str
    only: frozenset[tuple[str, str]] | None = None


class ModelNames:
    """Reads the names that clients use: ``auto…``, an id, an alias, or ``provider/id``."""

    def __init__(self, catalogue: Catalogue, caller: ResilientCaller) -> None:
        self._catalogue = catalogue
        self._caller = caller
        self._chat = _by_name(catalogue.models)
        self._embedding = _by_name(catalogue.embeddings)

    def select(self, name: str) -> Selection:
        """Raises :class:`UnknownModel`."""
        if name in AUTO:
            return Selection(AUTO[name])
        specs = self._enabled(name, self._chat, "chat")
        return Selection("named", frozenset((spec.provider, spec.id) for spec in specs))

    def one(self, name: str) -> tuple[str, str]:
        """The (provider, model) of a chat model, configured or not.

        Raises :class:`UnknownModel`.
        """
        specs = self._chat.get(name)
        if not specs:
            raise UnknownModel(f"The model '{name}' is not in the catalogue.")
        enabled = [spec for spec in specs if spec.provider in self._caller.providers]
        spec = (enabled or specs)[0]
        return spec.provider, spec.id

    def embedding(self, name: str) -> list[ModelSpec]:
        """The models that embed under this name, first choice first.

        Raises :class:`UnknownModel`.
        """
        return self._enabled(name, self._embedding, "embedding")

    def available(self) -> list[ModelSpec]:
        """Every model that can be named now."""
        return [
            spec
            for spec in (*self._catalogue.models, *self._catalogue.embeddings)
            if spec.provider in self._caller.providers
        ]

    def _enabled(
        self, name: str, by_name: dict[str, list[ModelSpec]], kind: str
    ) -> list[ModelSpec]:
        specs = by_name.get(name, [])
        found = [spec for spec in specs if spec.provider in self._caller.providers]
        if found:
            return found
        if specs:
            raise UnknownModel(
                f"The model '{name}' is known, but its provider is not configured: "
                + "; ".join(self._how_to_enable(spec.provider) for spec in specs)
                + "."
            )
        more = " Name 'auto' to have one chosen." if kind == "chat" else ""
        raise UnknownModel(
            f"The {kind} model '{name}' does not exist here. "
            f"GET /v1/models lists those that do.{more}"
        )

    def _how_to_enable(self, provider: str) -> str:
        spec = self._catalogue.providers[provider]
        names = spec.key_env or (spec.base_url_env,)
        return f"{provider} needs {names[0]}" if names[0] else f"{provider} is off"


def _by_name(specs: tuple[ModelSpec, ...]) -> dict[str, list[ModelSpec]]:
    found: dict[str, list[ModelSpec]] = {}
    for spec in specs:
        for name in (spec.id, *spec.aliases):
            for known_as in (name, f"{spec.provider}/{name}"):
                members = found.setdefault(known_as, [])
                if spec not in members:
                    members.append(spec)
    return found
