"""The models of a provider that requests may name: of the catalogue, or of the price table.

Clients write a model's name in many ways: in capitals, with the date of a snapshot, as
"-latest", in the spelling of a cloud. A name that a provider would not know is turned into one
that it knows; a date stays, because the client has chosen that snapshot.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from providers.catalogue import Catalogue, ModelSpec, ProviderSpec
from providers.listed_prices import listed_providers
from providers.listed_prices.types import ModelInfo

LONGEST_NAME = 128
"""Longer names are not known to any provider, and the ledger has no place for them."""
NO_KNOWN_WINDOW = 10_000_000
"""The context window, in tokens, of a model whose window is not known: larger than any."""
_KEPT_NAMES = 4096
# Names become part of a URL. These have neither "..", nor a query, nor white space.
_SAFE = re.compile(r"[a-z0-9_+~-][a-z0-9._:@+~-]*(/[a-z0-9_+~-][a-z0-9._:@+~-]*)*", re.ASCII | re.I)
_CLIENT_SUFFIX = re.compile(r"\[\d+[km]\]$", re.I)  # Claude Code's: "[1m]"
_PATH = re.compile(  # Google's resource names
    r"^(projects/[^/]+/locations/[^/]+/)?(publishers/[^/]+/)?models/", re.I
)
_BEDROCK = re.compile(  # names of its models, and of the profiles of inference by region
    r"^(arn:aws[a-z-]*:bedrock:[a-z0-9-]*:\d*:[a-z-]+/)?"
    r"((us|us-gov|eu|apac|jp|au|ca|sa|global)\.)?(anthropic|openai|deepseek)\.",
    re.I,
)
_ARN = re.compile(r"^arn:aws[a-z-]*:bedrock:[a-z0-9-]*:\d*:[a-z-]+/", re.I)
_BEDROCK_VERSION = re.compile(r"-v\d+(:\d+)?$", re.I)
_DAY = r"(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
_DATE = re.compile(  # of OpenAI and Anthropic, then of Google
    rf"[-@](20\d\d{_DAY}|20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])|{_DAY}"
    r"|0\d\d|preview-\d\d-20\d\d)$"
)
_LATEST = re.compile(r"[-:@]latest$", re.I)
_VARIANT = re.compile(r"^(?P<model>[^:]+/[^:]+):(?P<variant>[a-z]+)$")  # OpenRouter's: ":online"
# Those of them that are the same model, and those that are another model or do more than it.
_ROUTED = re.compile(r":(beta|nitro|floor|exacto)$", re.I)
_OF_OPENROUTER = re.compile(r":(free|thinking|online|extended)$", re.I)
_VERSION_BY_HYPHEN = re.compile(r"(?<=[a-z]-\d)-(?=\d(?!\d))")
# Features that are of models, not of wires. What a model lacks is known only of the catalogue's
# models: a client that names another model knows what it can do, or its provider says so.
_ASSUMED = frozenset({"tools", "vision", "json"})
# Google's part of the price table has models of others, which its own API does not serve.
_OF_GEMINI_API = ("gemini", "gemma", "learnlm", "embedding", "text-embedding")
_LOWER_CASE = frozenset(
    {"anthropic", "azure-claude", "vertex-claude", "gemini", "vertex", "openai-own", "azure"}
)
# Providers that have Claude under the names of Anthropic.
_CLAUDE = frozenset({"anthropic", "azure-claude", "vertex-claude"})
# Names of models that answer no chats. Gemini's models that draw and speak answer chats, too.
_KINDS_BY_NAME = (
    ("image", re.compile(r"^((chat)?gpt-image-|dall-e-|grok-imagine-image|flux[.-])")),
    ("transcription", re.compile(r"^whisper-|^(?!.*realtime).*-transcribe(-|$)")),
    ("speech", re.compile(r"^tts-1|^gpt-.*-tts(-|$)|^(canopylabs/)?orpheus-")),
    ("moderation", re.compile(r"moderation")),
    ("rerank", re.compile(r"rerank")),
)
# What begins the names of a wire's models, if its part of the price table has others, too.
_BEGINNINGS: dict[str, tuple[str, ...]] = {
    "gemini": _OF_GEMINI_API,
    "vertex": _OF_GEMINI_API,
    "azure-claude": ("claude",),
    "vertex-claude": ("claude",),
}
_GOOGLE = frozenset({"gemini", "vertex"})


class _Written(NamedTuple):
    """A name in parts: ``stem`` and the ``date`` of a snapshot, or whether it is the latest."""

    stem: str
    date: str
    latest: bool


class KnownModels:
    """Finds models by provider and name. Names that clients invent do not fill the memory."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.rebuild()

    def rebuild(self) -> None:
        """Read the models of the catalogue again, which operators have changed."""
        catalogue = self._catalogue
        models = catalogue.all_models
        self._by_id = {(m.provider, _canonical(m.id)): m for m in reversed(models)}
        self._by_alias = {
            (m.provider, _canonical(alias)): m for m in reversed(models) for alias in m.aliases
        }
        self._cached: dict[tuple[str, str], ModelSpec | None] = {}

    def find(self, provider: str, name: str) -> ModelSpec | None:
        """Return the model that ``provider`` has under this name, or ``None``.

        The model's ``id`` is the name to send. It is that of a snapshot if the name has a date;
        ``snapshot_of`` is then the model of the catalogue that it is a snapshot of.
        """
        exact = self._catalogue.find(provider, name)
        if exact is not None:
            return exact
        key = (provider, name)
        cached = self._cached
        if key not in cached:
            if len(name) > 2 * LONGEST_NAME:
                return None
            if len(cached) >= _KEPT_NAMES:
                cached.clear()
            cached[key] = self._identify(provider, name)
        return cached[key]

    def lacks(self, provider: str, name: str) -> frozenset[str]:
        """Return the features of its wire that the model, or its provider, does not have."""
        spec = self.find(provider, name)
        lacks = self._catalogue.providers[provider].lacks
        return lacks if spec is None else lacks | spec.lacks

    def parent(self, provider: str, name: str) -> ModelSpec | None:
        """Return the catalogue's model of this name, or the one that it is a snapshot of."""
        spec = self.find(provider, name)
        return spec and self._catalogue.find(provider, spec.snapshot_of or spec.id)

    def snapshot_of(self, provider: str, name: str) -> str:
        """Return the model that this one is a dated edition of, "" for any other."""
        spec = self.find(provider, name)
        return "" if spec is None else spec.snapshot_of

    def _identify(self, provider: str, name: str) -> ModelSpec | None:
        owner = self._catalogue.providers.get(provider)
        text = "" if owner is None else _of_owner(owner, plain_name(name))
        if owner is None or not is_sendable(text):
            return None
        canonical = (provider, _canonical(text))
        known = self._by_id.get(canonical) or self._by_alias.get(canonical)
        if known is not None:
            return known
        if owner.served is not None:
            return self._deployed(owner, text)
        written = _parts(text)
        parent = self._by_id.get((provider, _canonical(written.stem)))
        if parent is not None and written.date:
            return _snapshot(parent, parent.id + written.date)
        info = table_entry(owner, text)
        if parent is not None and written.latest:
            # Few models have such a name at their provider; the one without it is the latest.
            mentioned = info is not None and text.lower() in _mentioned(info)
            return _snapshot(parent, text.lower()) if mentioned else parent
        if info is None and written.stem != text:
            # The table has the model, but neither this edition of it nor its latest.
            info = table_entry(owner, written.stem)
        if info is not None:
            return self._of_table(owner, info, text, written)
        return self._variant(provider, text) or self._of_rules(owner, text)

    def _deployed(self, owner: ProviderSpec, text: str) -> ModelSpec | None:
        """Return a model that is deployed, but that the catalogue does not have."""
        name = next((n for n in owner.served or () if _canonical(n) == _canonical(text)), None)
        if name is None:
            return None
        info = table_entry(owner, name)
        return _of_table_alone(owner.name, name, None if info is None else info.context_window)

    def _of_table(
        self, owner: ProviderSpec, info: ModelInfo, text: str, written: _Written
    ) -> ModelSpec:
        name = _name_to_send(owner, info, text, written)
        for model in self._catalogue.all_models:
            # Another spelling, or another edition, of a model of the catalogue.
            if model.provider == owner.name and table_entry(owner, model.id) is info:
                return model if name in (model.id, info.id) else _snapshot(model, name)
        model = _of_table_alone(owner.name, name, info.context_window)
        return model if table_entry(owner, name) is info else replace(model, snapshot_of=info.id)

    def _of_rules(self, owner: ProviderSpec, text: str) -> ModelSpec | None:
        """Return the model that a rule of the catalogue has a whole price for."""
        names = editions_of(text.lower() if owner.wire in _LOWER_CASE else text)
        for rule in self._catalogue.price_rules:
            # A price for every name says nothing of this one.
            named = any(not pattern.startswith("*") for pattern in rule.models)
            if rule.provider == owner.name and named and rule.is_whole and rule.is_for(names):
                return _of_table_alone(owner.name, names[0], None)
        return None

    def _variant(self, provider: str, text: str) -> ModelSpec | None:
        """Return OpenRouter's variant of a model: what it costs is not known from the model."""
        match = _VARIANT.match(text)
        if provider != "openrouter" or match is None:
            return None
        model = self.find(provider, match["model"])
        if model is None:
            return None
        return replace(model, id=text, aliases=(), price=None, snapshot_of=model.id)


def names_with_its_price(spec: ModelSpec) -> tuple[str, ...]:
    """Return the names under which a price list may have the price of ``spec``, the best first."""
    # OpenRouter's variants have prices of their own.
    if not spec.snapshot_of or (spec.provider == "openrouter" and _VARIANT.match(spec.id)):
        return (spec.id,)
    return (spec.id, spec.snapshot_of)


def editions_of(name: str) -> tuple[str, ...]:
    """Return ``name`` and, if it has the date of a snapshot, the name without it."""
    stem = _parts(name).stem
    return (name,) if stem == name else (name, stem)


def passed_on(provider: str, name: str) -> ModelSpec:
    """Return the model of a name that nobody knows, for a provider that may know it."""
    return _of_table_alone(provider, name, None)


def is_sendable(name: str) -> bool:
    """Return whether ``name`` may be sent to a provider as the name of a model."""
    return 0 < len(name) <= LONGEST_NAME and _SAFE.fullmatch(name) is not None


def plain_name(name: str) -> str:
    """Return ``name`` without white space, Google's resource path and Claude Code's suffix."""
    return _CLIENT_SUFFIX.sub("", _PATH.sub("", name.strip()))


def table_ids(owner: ProviderSpec) -> list[str]:
    """Return the names of the provider's models in the price table."""
    for provider in listed_providers():
        if provider.id == owner.prices:
            return [model.id for model in provider.models if _serves(owner, model.id)]
    return []


def table_entry(owner: ProviderSpec, name: str) -> ModelInfo | None:
    """Return what the price table has of the provider's model, or ``None``."""
    if not owner.prices or (owner.wire in _GOOGLE and "/" in name):
        return None
    providers = listed_providers()
    for provider in providers:
        if provider.id == owner.prices:
            info = provider.find_model(name, all_providers=providers)
            if info is None and owner.wire == "openrouter":
                # It writes "claude-haiku-4.5" where Anthropic writes "claude-haiku-4-5".
                dotted = _VERSION_BY_HYPHEN.sub(".", name)
                info = provider.find_model(dotted, all_providers=providers)
            return info if info is not None and _serves(owner, info.id) else None
    return None


def _of_owner(owner: ProviderSpec, text: str) -> str:
    """Return a name without what its provider does not write; "" if it is another's model."""
    if owner.prices and "openrouter" not in (owner.wire, owner.prices):
        if _OF_OPENROUTER.search(text):
            return ""
        text = _ROUTED.sub("", text)
    if owner.wire in ("bedrock", "bedrock-claude"):
        text = _ARN.sub("", text)
    return _BEDROCK_VERSION.sub("", _BEDROCK.sub("", text)) if owner.wire in _CLAUDE else text


def _serves(owner: ProviderSpec, name: str) -> bool:
    lower = name.lower()
    if beginnings := _BEGINNINGS.get(owner.wire):
        return lower.startswith(beginnings)
    if owner.wire in ("bedrock", "bedrock-claude"):
        return ("anthropic." in lower) == (owner.wire == "bedrock-claude")
    if owner.wire == "azure":
        return not lower.startswith("claude")
    return owner.wire != "openrouter" or "/" in name


def _name_to_send(owner: ProviderSpec, info: ModelInfo, text: str, written: _Written) -> str:
    lower = text.lower()
    if lower in _mentioned(info):
        return info.id if lower == info.id.lower() else lower
    if owner.wire == "openrouter":
        return info.id
    if owner.wire in _CLAUDE:
        stem = written.stem.lower() if "claude-2" in written.stem else _canonical(written.stem)
        usual = _canonical(info.id).removesuffix("-latest")
        # "claude-sonnet-4-20250514" is the dated name of "claude-sonnet-4-0".
        if not stem.startswith(usual) and f"{stem}-0" != usual:
            stem = info.id  # "claude-4-5-sonnet" is "claude-sonnet-4-5"
        return stem + written.date
    name = written.stem + written.date if written.latest else text
    return name.lower() if owner.wire in _LOWER_CASE else name


def _mentioned(info: ModelInfo) -> set[str]:
    """Return the names, in lower case, that the price table has for this model word for word."""
    # By attributes, as the clauses are of other classes where the package reads its table itself.
    clauses = getattr(info.match, "or_", [info.match])
    names = {clause.equals.lower() for clause in clauses if hasattr(clause, "equals")}
    return names | {info.id.lower()}


def _of_table_alone(provider: str, name: str, window: int | None) -> ModelSpec:
    return ModelSpec(
        provider=provider,
        id=name,
        tier="moderate",  # routing never chooses it, so its tier decides nothing
        rank=1_000_000,
        context_window=window or NO_KNOWN_WINDOW,
        capabilities=_ASSUMED,
        kind=_kind_of(name),
    )


def _kind_of(name: str) -> str:
    """Return the kind of a model that is not in the catalogue, as its name says it."""
    own = name.lower().rpartition("/")[2]
    if "embed" in own:
        return "embedding"
    return next((kind for kind, pattern in _KINDS_BY_NAME if pattern.search(own)), "chat")


def _snapshot(parent: ModelSpec, name: str) -> ModelSpec:
    return replace(parent, id=name, aliases=(), snapshot_of=parent.id)


def _parts(text: str) -> _Written:
    latest = _LATEST.search(text)
    if latest is not None:
        return _Written(text[: latest.start()], "", latest=True)
    date = _DATE.search(text)
    if date is not None:
        return _Written(text[: date.start()], f"-{date[1]}", latest=False)
    return _Written(text, "", latest=False)


def _canonical(name: str) -> str:
    """Return ``name`` in the spelling in which names are compared."""
    return name.lower().replace(".", "-")
