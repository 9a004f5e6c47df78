"""What operators change of the catalogue's models while the service runs, and models they add."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from providers.catalogue import Catalogue, ModelSpec


@dataclass(frozen=True, slots=True)
class ModelChange:
    """What operators have set of one model; ``None`` and "" leave what the catalogue has.

    A model that the catalogue does not have is a new one: it needs a context window, and a tier
    unless its ``kind`` is "embedding".
    """

    provider: str
    model: str
    kind: str = ""
    tier: str = ""
    context_window: int | None = None
    max_output: int | None = None
    capabilities: frozenset[str] | None = None
    lacks: frozenset[str] | None = None
    aliases: tuple[str, ...] | None = None
    able_as: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a :class:`ModelSpec` that it sets."""
        named = {
            "kind": self.kind,
            "tier": self.tier,
            "context_window": self.context_window,
            "max_output": self.max_output,
            "capabilities": self.capabilities,
            "lacks": self.lacks,
            "aliases": self.aliases,
            "able_as": self.able_as,
        }
        return {name: value for name, value in named.items() if value not in (None, "")}


def changed_catalogue(catalogue: Catalogue, changes: Iterable[ModelChange]) -> Catalogue:
    """Return ``catalogue`` with the changes; models that are new come after all others.

    A change of a model that the operator's file has, or of a provider that is not there, does
    nothing, nor does a new model that lacks what it needs.
    """
    models = {(spec.provider, spec.id): spec for spec in catalogue.all_models}
    place = max((spec.rank for spec in models.values()), default=-1) + 1
    for change in changes:
        key = (change.provider, change.model)
        if key in catalogue.of_file or change.provider not in catalogue.providers:
            continue
        spec = models.get(key)
        if spec is not None:
            kept = {name: value for name, value in change.fields.items() if name != "kind"}
            models[key] = replace(spec, **kept)
        elif (new := _new(change, place)) is not None:
            models[key] = new
            place += 1
    ranked = sorted(models.values(), key=lambda spec: spec.rank)
    return Catalogue.of(
        catalogue.providers,
        tuple(ranked),
        catalogue.price_rules,
        catalogue.of_file,
        catalogue.pools,
    )


def _new(change: ModelChange, rank: int) -> ModelSpec | None:
    embeds = change.kind == "embedding"
    if change.context_window is None or not (change.tier or embeds):
        return None
    fields = {"kind": "chat", "tier": "simple", **change.fields}
    return ModelSpec(provider=change.provider, id=change.model, rank=rank, **fields)
