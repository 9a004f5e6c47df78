"""The models in force: those of the catalogue, as operators change them and add to them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DatabaseError

from analytics.access.audit import Actor
from analytics.models import ModelEntry
from analytics.operation.model_entries import (
    model_entries_load,
    model_entries_version,
    model_entry,
    model_entry_remove,
    model_entry_save,
)
from optimizer.shared.snapshot import Snapshot
from optimizer.wiring.operation.errors import SetElsewhere, UnknownTarget
from providers import features
from providers.abilities import AbilityTable
from providers.catalogue import TIERS, Catalogue, ModelSpec
from providers.catalogue_changes import ModelChange, changed_catalogue
from providers.known_models import is_sendable
from routing.models import ModelRef

logger = logging.getLogger(__name__)

FILE = "CATALOGUE_FILE"
_MOST_TOKENS = 2_000_000_000
_MOST_ALIASES = 20


@dataclass(frozen=True, slots=True)
class ModelStanding:
    """A model as it is in force, and where it comes from.

    ``set_here`` are the fields that operators have set. ``set_by`` is :data:`FILE` where that file
    describes the model and wins, else "". ``added`` is whether the catalogue does not have it.
    """

    spec: ModelSpec
    set_here: tuple[str, ...]
    set_by: str
    added: bool
    note: str


class ActiveCatalogue:
    """Keeps the models of ``catalogue`` as operators have set them; ``refresh`` reads the database.

    ``rebuild`` are called in their order once the models have changed. With ``abilities``, a model
    may be as able as one that has results there.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        rebuild: Sequence[Callable[[], object]],
        abilities: AbilityTable | None,
    ) -> None:
        self._catalogue = catalogue
        self._base = replace(catalogue)
        self._rebuild = rebuild
        self._abilities = abilities
        self._changes = Snapshot(_changes_load, model_entries_version)
        self._in_force: list[ModelChange] | None = None
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """Put into force what has changed; return whether anything has."""
        with self._lock:
            self._changes.refresh()
            changes = self._changes.value
            if changes is self._in_force:
                return False
            # At the start there is usually nothing to change: the catalogue is as it was read.
            changed = bool(self._in_force or changes)
            if changed:
                self._catalogue.become(changed_catalogue(self._base, changes or ()))
                for rebuild in self._rebuild:
                    rebuild()
            self._in_force = changes
        return changed

    def standing(self, ref: ModelRef) -> ModelStanding:
        """Return a model by its id or an alias. Raises :class:`UnknownTarget`."""
        spec = self._find(ref)
        row = model_entry(ModelRef(spec.provider, spec.id))
        change = None if row is None else _change_of(self._changes.value, spec)
        fixed = (spec.provider, spec.id) in self._base.of_file
        return ModelStanding(
            spec,
            () if fixed or change is None else tuple(change.fields),
            FILE if fixed else "",
            self._in_base(spec) is None,
            "" if row is None else row.note,
        )

    def standings(self) -> list[ModelStanding]:
        """Return all models in their order; notes are left out."""
        self.refresh()
        standings = []
        for spec in self._catalogue.all_models:
            change = _change_of(self._changes.value, spec)
            fixed = (spec.provider, spec.id) in self._base.of_file
            set_here = () if fixed or change is None else tuple(change.fields)
            added = self._in_base(spec) is None
            standings.append(ModelStanding(spec, set_here, FILE if fixed else "", added, ""))
        return standings

    def add(self, ref: ModelRef, fields: Mapping[str, Any], *, who: Actor) -> ModelSpec:
        """Add a model of a known provider. Raises :class:`SetElsewhere` and ``ValidationError``."""
        self.refresh()
        self._check_new(ref, fields)
        self._check(ref, fields, fields.get("kind") or "chat")
        model_entry_save(ref, fields, who=who, is_new=True)
        self.refresh()
        return self._find(ref)

    def change(self, ref: ModelRef, fields: Mapping[str, Any], *, who: Actor) -> ModelSpec:
        """Set some fields of a model; ``None`` returns one to what the catalogue has.

        Raises :class:`UnknownTarget`, :class:`SetElsewhere` and ``ValidationError``.
        """
        spec = self._find(ref)
        ref = ModelRef(spec.provider, spec.id)
        if ref in self._base.of_file:
            raise SetElsewhere(f"{FILE} describes {ref}, and wins.")
        self._check(ref, fields, spec.kind)
        if self._in_base(spec) is None:
            needed = ("context_window",) if spec.kind == "embedding" else ("tier", "context_window")
            for name in needed:
                if name in fields and not fields[name]:
                    raise ValidationError({name: "The catalogue has no value for this model."})
        model_entry_save(ref, fields, who=who)
        self.refresh()
        return self._find(ref)

    def reset(self, ref: ModelRef, *, who: Actor) -> None:
        """Forget what is set of a model: it is as in the catalogue again, or gone if it was added.

        Raises :class:`UnknownTarget`.
        """
        self.refresh()
        spec = self._catalogue.find(*ref)
        known = ref if spec is None else ModelRef(spec.provider, spec.id)
        if not model_entry_remove(known, who=who):
            raise UnknownTarget(f"Nothing is set here of the model {ref}.")
        self.refresh()

    def may_be_added_to(self) -> list[str]:
        """Return the providers that may get models here."""
        return [name for name, spec in self._base.providers.items() if spec.wire != "local"]

    def _find(self, ref: ModelRef) -> ModelSpec:
        self.refresh()
        spec = self._catalogue.find(*ref)
        if spec is None:
            raise UnknownTarget(f"The catalogue has no model {ref}.")
        return spec

    def _in_base(self, spec: ModelSpec) -> ModelSpec | None:
        known = self._base.find(spec.provider, spec.id)
        return known if known is not None and known.id == spec.id else None

    def _check_new(self, ref: ModelRef, fields: Mapping[str, Any]) -> None:
        provider = self._base.providers.get(ref.provider)
        if provider is None or provider.wire == "local":
            known = ", ".join(self.may_be_added_to())
            raise ValidationError({"provider": f"It must be one of {known}."})
        if not is_sendable(ref.model):
            raise ValidationError({"model": "It is no name that can be sent to a provider."})
        if ref in self._base.of_file:
            raise SetElsewhere(f"{FILE} describes or disables {ref}, and wins.")
        if self._catalogue.find(*ref) is not None:
            raise ValidationError({"model": f"There is a model {ref} already. Change that one."})
        if provider.served is not None and ref.model not in provider.served:
            variable = provider.settings["deployments"]
            raise ValidationError({"model": f"{variable} does not list such a deployment."})
        if not fields.get("context_window"):
            raise ValidationError({"context_window": "A new model needs one, in tokens."})
        if fields.get("kind") != "embedding" and not fields.get("tier"):
            raise ValidationError({"tier": f"A new model needs one of {', '.join(TIERS)}."})

    def _check(self, ref: ModelRef, fields: Mapping[str, Any], kind: str) -> None:
        """Raise ``ValidationError`` by field for values that do not hold."""
        problems = dict(_problems(fields, kind))
        window, most = fields.get("context_window"), fields.get("max_output")
        spec = self._catalogue.find(*ref)
        if spec is not None:
            window, most = window or spec.context_window, most or spec.max_output
        if window and most and most > window:
            name = "max_output" if fields.get("max_output") else "context_window"
            problems.setdefault(name, "The longest answer does not fit into the context window.")
        for alias in fields.get("aliases") or ():
            other = self._catalogue.find(ref.provider, alias)
            if alias == ref.model or (other is not None and other.id != ref.model):
                problems.setdefault("aliases", f"{alias!r} names a model already.")
        able_as = fields.get("able_as")
        if able_as and (self._abilities is None or self._abilities.ability(able_as) is None):
            problems["able_as"] = f"No results of {able_as!r} are known here."
        if problems:
            raise ValidationError(problems)


def _problems(fields: Mapping[str, Any], kind: str) -> Any:
    """Yield each wrong field and what is wrong with it."""
    tier = fields.get("tier")
    if tier and (kind == "embedding" or tier not in TIERS):
        words = "An embedding model has no tier." if tier in TIERS else _one_of(TIERS)
        yield "tier", words
    for name in ("context_window", "max_output"):
        if (value := fields.get(name)) is not None and not 1 <= value <= _MOST_TOKENS:
            yield name, "It must be a positive number of tokens."
    for name, known in (("capabilities", features.OF_MODELS), ("lacks", features.ALL)):
        wrong = sorted(set(fields.get(name) or ()) - set(known))
        if wrong:
            yield name, f"Not known: {', '.join(wrong)[:200]}. Known: {', '.join(known)}."
    aliases = fields.get("aliases") or ()
    if len(aliases) > _MOST_ALIASES:
        yield "aliases", f"At most {_MOST_ALIASES}."
    elif not all(map(is_sendable, aliases)):
        yield "aliases", "Each must be a name of a model: letters, digits and ._:@+/~-."


def _one_of(names: Sequence[str]) -> str:
    return f"It must be one of {', '.join(names)}."


def _changes_load() -> list[ModelChange]:
    return [_model_change(row) for row in model_entries_load()]


def _model_change(row: ModelEntry) -> ModelChange:
    return ModelChange(
        provider=row.provider,
        model=row.model,
        kind=row.kind,
        tier=row.tier,
        context_window=row.context_window,
        max_output=row.max_output,
        capabilities=None if row.capabilities is None else frozenset(row.capabilities),
        lacks=None if row.lacks is None else frozenset(row.lacks),
        aliases=None if row.aliases is None else tuple(row.aliases),
        able_as=row.able_as,
    )


def _change_of(changes: list[ModelChange] | None, spec: ModelSpec) -> ModelChange | None:
    named = (spec.provider, spec.id)
    return next((c for c in changes or () if (c.provider, c.model) == named), None)


def with_model_entries(catalogue: Catalogue) -> Catalogue:
    """Return the catalogue with what operators have set, for what runs without the services.

    Without the database, it is the catalogue alone.
    """
    try:
        return changed_catalogue(catalogue, _changes_load())
    except DatabaseError as error:
        logger.warning("Models that are set here cannot be read (%s)", type(error).__name__)
        return catalogue
