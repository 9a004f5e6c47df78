"""The catalogue of providers and models: tiers, capabilities, context windows, aliases.

It is read from ``catalogue.toml`` and, if there is one, the operator's own file. What operators
change while the service runs is laid over it: :mod:`providers.catalogue_changes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from providers.openai.dialect import Dialect, DialectError, read_dialect
from providers.pools.spec import COMMITTED_TIER, PoolSpec, read_pools, regions_of
from providers.price_rules import PRICE_UNITS, PriceRule, PriceRuleError, read_rule
from providers.provider_spec import EVERY_TIER, CatalogueError, ProviderSpec
from providers.toml_file import read_toml
from providers.units import is_image_price

__all__ = [
    "Catalogue",
    "CatalogueError",
    "ModelSpec",
    "ProviderSpec",
    "load_catalogue",
]

DEFAULT_CATALOGUE = Path(__file__).with_name("catalogue.toml")
WIRES = (
    "anthropic", "gemini", "openai", "openai-own", "openrouter", "local",
    "azure", "azure-claude", "vertex", "vertex-claude", "bedrock", "bedrock-claude",
)  # fmt: skip
TIERS = ("simple", "moderate", "complex")
TOKEN_KINDS = ("chat", "embedding")
KINDS = (*TOKEN_KINDS, "image", "transcription", "speech", "moderation", "rerank")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model of a provider.

    ``price`` overrides the price table: USD per million tokens by unit, fees per thousand, and
    the units of :mod:`providers.units`. ``kind`` is one of ``KINDS``; the context window of
    those after the first two is 0, as nothing depends on it. ``lacks`` names features that this
    model does not support. ``rank`` is the model's place in the catalogue, 0 first.
    ``snapshot_of`` is the id of the model that this is a dated edition of, else empty.
    ``max_output`` is the most tokens that it may be asked for, ``None`` if that is not known.
    ``able_as`` names a model whose published results it has, if not its own.
    """

    provider: str
    id: str
    tier: str
    rank: int
    context_window: int
    capabilities: frozenset[str] = frozenset()
    aliases: tuple[str, ...] = ()
    price: Mapping[str, Decimal] | None = None
    kind: str = "chat"
    lacks: frozenset[str] = frozenset()
    snapshot_of: str = ""
    max_output: int | None = None
    able_as: str = ""

    @property
    def ref(self) -> str:
        """The model as "provider/id"."""
        return f"{self.provider}/{self.id}"


@dataclass(slots=True)
class Catalogue:
    """Providers by name, chat models in the order in which they are tried, embedding models.

    ``price_rules`` change the price table, in the order in which they apply. ``of_file`` are the
    (provider, id) pairs that the operator's file describes or disables. ``pools`` are those of
    providers whose models several keys, deployments or regions serve. The object stays the same
    when operators change its models: :meth:`become`. ``specialised`` are the models for images,
    audio, moderation and ranking.
    """

    providers: Mapping[str, ProviderSpec]
    models: tuple[ModelSpec, ...]
    embeddings: tuple[ModelSpec, ...]
    _by_key: dict[tuple[str, str], ModelSpec] = field(repr=False, compare=False)
    price_rules: tuple[PriceRule, ...] = ()
    of_file: frozenset[tuple[str, str]] = frozenset()
    pools: Mapping[str, PoolSpec] = field(default_factory=dict)
    specialised: tuple[ModelSpec, ...] = ()

    @property
    def all_models(self) -> tuple[ModelSpec, ...]:
        """The models of every kind."""
        return (*self.models, *self.embeddings, *self.specialised)

    @classmethod
    def of(
        cls,
        providers: Mapping[str, ProviderSpec],
        models: tuple[ModelSpec, ...],
        price_rules: tuple[PriceRule, ...] = (),
        of_file: frozenset[tuple[str, str]] = frozenset(),
        pools: Mapping[str, PoolSpec] | None = None,
    ) -> Catalogue:
        """Build a catalogue; a model is found by its id, and by an alias that is no model's id."""
        by_key = {(model.provider, name): model for model in models for name in model.aliases}
        by_key |= {(model.provider, model.id): model for model in models}
        chat = tuple(model for model in models if model.kind == "chat")
        embeddings = tuple(model for model in models if model.kind == "embedding")
        others = tuple(model for model in models if model.kind not in TOKEN_KINDS)
        return cls(providers, chat, embeddings, by_key, price_rules, of_file, pools or {}, others)

    def become(self, other: Catalogue) -> None:
        """Take the models of ``other``; whoever keeps an index of them must make it anew."""
        self.models, self.embeddings = other.models, other.embeddings
        self.specialised = other.specialised
        self._by_key = other._by_key

    def find(self, provider: str, model: str) -> ModelSpec | None:
        """Return the model with this id or alias, or ``None``."""
        return self._by_key.get((provider, model))


def load_catalogue(operator_file: Path | None = None) -> Catalogue:
    """Return the built-in catalogue; entries of the operator's file replace built-in ones.

    The operator's price rules are applied after the built-in ones.

    Raises :class:`CatalogueError`, which names the file and the wrong entry.
    """
    providers: dict[str, ProviderSpec] = {}
    entries: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    rules: list[PriceRule] = []
    of_file: set[tuple[str, str]] = set()
    pools: dict[str, PoolSpec] = {}
    for path in filter(None, (DEFAULT_CATALOGUE, operator_file)):
        raw = read_toml(path, CatalogueError)
        for name, entry in raw.get("providers", {}).items():
            providers[name] = _provider(path, name, entry)
        for entry in raw.get("models", []):
            try:
                key = (entry["provider"], entry["id"])
            except (KeyError, TypeError):
                raise CatalogueError(f"{path}: a model needs a provider and an id") from None
            entries[key] = (str(path), entry)
            if path is not DEFAULT_CATALOGUE:
                of_file.add(key)
        for number, entry in enumerate(raw.get("price_rules", []), start=1):
            rules.append(_rule(f"{path}: price rule {number}", entry, providers))
        # A member may name any provider of the files so far.
        pools |= read_pools(str(path), raw.get("pools", {}), providers)
    providers |= {
        name: replace(spec, prepaid=spec.prepaid | {COMMITTED_TIER})
        for name, pool in pools.items()
        if any(member.committed for member in pool.members) and (spec := providers[name])
    }
    models: list[ModelSpec] = []
    for (provider, model_id), (path_name, entry) in entries.items():
        if provider not in providers:
            raise CatalogueError(f"{path_name}: {model_id} names an unknown provider {provider}")
        if not entry.get("disabled", False):
            models.append(_model(path_name, entry, rank=len(models)))
    return Catalogue.of(providers, tuple(models), tuple(rules), frozenset(of_file), pools)


def _provider(path: Path, name: str, entry: dict[str, Any]) -> ProviderSpec:
    wire = entry.get("wire")
    if wire not in WIRES:
        raise CatalogueError(f"{path}: provider {name}: wire must be one of {', '.join(WIRES)}")
    return ProviderSpec(
        name=name,
        wire=wire,
        base_url=entry.get("base_url", ""),
        base_url_env=entry.get("base_url_env", ""),
        key_env=tuple(entry.get("key_env", ())),
        key_optional=bool(entry.get("key_optional", False)),
        prices=entry.get("prices", ""),
        lacks=frozenset(entry.get("lacks", ())),
        prepaid=_prepaid(f"{path}: provider {name}", entry.get("prepaid", False)),
        dialect=_dialect(f"{path}: provider {name}", entry),
        needs=tuple(entry.get("needs", ())),
        settings=_settings(f"{path}: provider {name}", entry.get("settings", {})),
        models_of=entry.get("models_of", ""),
        regions=regions_of(f"{path}: provider {name}", entry.get("regions", [])),
    )


def _settings(where: str, value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value.values()):
        raise CatalogueError(f"{where}: settings must be a table of names of variables")
    return value


def _dialect(where: str, entry: dict[str, Any]) -> Dialect | None:
    if "dialect" not in entry:
        return None
    if entry["wire"] != "openai":
        raise CatalogueError(f"{where}: only the wire openai has dialects")
    try:
        return read_dialect(entry["dialect"])
    except DialectError as error:
        raise CatalogueError(f"{where}: {error}") from None


def _prepaid(where: str, value: Any) -> frozenset[str]:
    if isinstance(value, bool):
        return frozenset({EVERY_TIER}) if value else frozenset()
    if not isinstance(value, list) or not all(isinstance(tier, str) for tier in value):
        raise CatalogueError(f"{where}: prepaid must be true, false or a list of service tiers")
    return frozenset(value)


def _rule(where: str, entry: Any, providers: Mapping[str, ProviderSpec]) -> PriceRule:
    if not isinstance(entry, dict):
        raise CatalogueError(f"{where}: it must be a table")
    try:
        rule = read_rule(entry)
    except PriceRuleError as error:
        raise CatalogueError(f"{where}: {error}") from None
    if rule.provider not in providers:
        raise CatalogueError(f"{where}: it names an unknown provider {rule.provider}")
    return rule


def _model(path: str, entry: dict[str, Any], *, rank: int) -> ModelSpec:
    where = f"{path}: model {entry['provider']}/{entry['id']}"
    kind = entry.get("kind", "chat")
    if kind not in KINDS:
        raise CatalogueError(f"{where}: kind must be one of {', '.join(KINDS)}")
    if kind == "chat" and entry.get("tier") not in TIERS:
        raise CatalogueError(f"{where}: tier must be one of {', '.join(TIERS)}")
    window = entry.get("context_window", 0)
    least = 1 if kind in TOKEN_KINDS else 0
    if not isinstance(window, int) or window < least:
        raise CatalogueError(f"{where}: context_window must be a positive number of tokens")
    most = entry.get("max_output")
    if most is not None and (not isinstance(most, int) or most < 1):
        raise CatalogueError(f"{where}: max_output must be a positive number of tokens")
    return ModelSpec(
        provider=entry["provider"],
        id=entry["id"],
        tier=entry.get("tier", "simple"),
        rank=rank,
        context_window=window,
        capabilities=frozenset(entry.get("capabilities", ())),
        aliases=tuple(entry.get("aliases", ())),
        price=_price(where, entry["price"], kind) if "price" in entry else None,
        kind=kind,
        lacks=frozenset(entry.get("lacks", ())),
        max_output=most,
        able_as=str(entry.get("able_as", "")),
    )


def _price(where: str, raw: dict[str, Any], kind: str) -> dict[str, Decimal]:
    required = {"chat": {"input", "output"}, "embedding": {"input"}}.get(kind, set())
    units = {unit for unit in raw if not is_image_price(unit)}
    if units - set(PRICE_UNITS) or not required <= units or not raw:
        raise CatalogueError(
            f"{where}: price needs {' and '.join(sorted(required)) or 'a unit'}, "
            f"and may have {', '.join(sorted(set(PRICE_UNITS) - required))}"
        )
    try:
        price = {unit: Decimal(str(value)) for unit, value in raw.items()}
    except InvalidOperation:
        raise CatalogueError(f"{where}: a price is not a number") from None
    if any(not value.is_finite() or value < 0 for value in price.values()):
        raise CatalogueError(f"{where}: a price must be zero or more")
    return price
