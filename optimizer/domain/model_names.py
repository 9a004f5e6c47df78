"""The model names that clients may use: a routing strategy, or a model as clients write it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from providers.catalogue import Catalogue, ModelSpec
from providers.known_models import KnownModels, is_sendable, passed_on, plain_name, table_ids
from providers.resilience import ResilientCaller
from providers.specialised.requests import KINDS, Task
from providers.values import frozen
from routing.models import ModelRef
from routing.rules import Effect

AUTO: dict[str, str] = {
    "auto": "hybrid",
    "auto:hybrid": "hybrid",
    "auto:complexity": "complexity",
    "auto:cheapest": "cheapest",
    "auto:best": "best",
}
# What clients write before a model's name, beside the names of the providers themselves.
_SYNONYMS = {
    "anthropic": "claude",
    "google": "gemini",
    "googleai": "gemini",
    "google-ai": "gemini",
    "google_ai_studio": "gemini",
    "google-ai-studio": "gemini",
    "google_genai": "gemini",
    "deepseek-ai": "deepseek",
    "x-ai": "xai",
    "mistralai": "mistral",
    "moonshotai": "moonshot",
    "z-ai": "zai",
    "open_router": "openrouter",
    "open-router": "openrouter",
}
# Clouds that have the models of several makers, each with its providers here. The model's name says
# which of them has it; if none is configured, it says whose model it is.
_AZURE, _VERTEX = ("azure", "azure-claude"), ("vertex", "vertex-claude")
_BEDROCK = ("bedrock-claude", "bedrock")
_CLOUDS: dict[str, tuple[str, ...]] = {
    "azure": _AZURE, "azure_ai": _AZURE, "azure_openai": _AZURE, "azure-openai": _AZURE,
    "vertex": _VERTEX, "vertex_ai": _VERTEX, "vertexai": _VERTEX, "google-vertex": _VERTEX,
    "google-vertex-anthropic": _VERTEX,
    "bedrock": _BEDROCK, "amazon-bedrock": _BEDROCK, "aws": _BEDROCK,
    "litellm": (),
}  # fmt: skip
_OF_CLOUDS = frozenset((*_AZURE, *_VERTEX, *_BEDROCK))

# The provider of the API through which a client asks, by endpoint.
_PROVIDER_OF_API: dict[str, str] = {
    "messages": "claude",
    "chat/completions": "openai",
    "completions": "openai",
    "responses": "openai",
    "embeddings": "openai",
    **{task: "cohere" if task == "rerank" else "openai" for task in KINDS},
}
_LONGEST_SHOWN = 200


class UnknownModel(Exception):
    """The request names a model that is not available; the message says which ones are."""


class UnconfiguredModel(UnknownModel):
    """The model is known, but its provider is not configured, or the model is switched off."""


@frozen
class Selection:
    """A strategy, and the (provider, model) pairs it may choose from; ``None`` for any."""

    strategy: str
    only: frozenset[ModelRef] | None = None


class ModelNames:
    """Reads the names that clients use: ``auto…``, an id, an alias, or ``provider/id``.

    A name that is none of these is read as liberally as :mod:`providers.known_models` knows
    models. With ``pass_unknown``, a name that nobody knows goes to the provider that its prefix
    names, else to the provider of the client's API.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        caller: ResilientCaller,
        models: KnownModels | None = None,
        *,
        pass_unknown: bool = False,
    ) -> None:
        self._catalogue = catalogue
        self._caller = caller
        self._models = models or KnownModels(catalogue)
        self._pass_unknown = pass_unknown
        self.rebuild()
        self._providers = {name.lower(): name for name in catalogue.providers}
        for synonym, name in _SYNONYMS.items():
            if name in catalogue.providers:
                self._providers.setdefault(synonym, name)

    def rebuild(self) -> None:
        """Read the models of the catalogue again, which operators have changed."""
        self._chat = _by_name(self._catalogue.models)
        self._embedding = _by_name(self._catalogue.embeddings)
        self._specialised = _by_name(self._catalogue.specialised)

    def select(self, name: str, endpoint: str = "") -> Selection:
        """Return how to choose a model for ``name``. Raises :class:`UnknownModel`.

        ``endpoint`` is where the client asks, "" if no client does.
        """
        if name in AUTO:
            return Selection(AUTO[name])
        specs = self._enabled(name, self._chat, "chat", endpoint)
        return Selection("named", frozenset(ModelRef(spec.provider, spec.id) for spec in specs))

    def one(self, name: str) -> ModelRef:
        """Return the (provider, model) of a chat model, whether its provider is configured or not.

        Raises :class:`UnknownModel`.
        """
        specs = self._configured(self._chat.get(name, ()))
        if not specs:
            known = [*self._chat.get(name, ()), *self._read(name, "chat")]
            # A cloud that is not configured stands behind the model's maker.
            specs = self._configured(known) or sorted(known, key=_is_of_cloud)
        if not specs:
            raise UnknownModel(
                f"The model '{_shown(name)}' is not in the catalogue nor in the price table. "
                + self._nearest(name)
            )
        return ModelRef(specs[0].provider, specs[0].id)

    def exclusion_reason(self, ref: ModelRef, effect: Effect) -> str | None:
        """Return why rules exclude a model, or the one that it is a snapshot of; else ``None``."""
        return effect.exclusion_reason(*ref, self._models.snapshot_of(*ref))

    def chat_models(self, tier: str) -> list[ModelRef]:
        """Return the catalogue's chat models of a tier, whether configured or not."""
        specs = self._catalogue.models
        return [ModelRef(spec.provider, spec.id) for spec in specs if spec.tier == tier]

    def embedding(self, name: str) -> list[ModelSpec]:
        """Return the embedding models with this name, first choice first.

        Raises :class:`UnknownModel`.
        """
        return self._enabled(name, self._embedding, "embedding", "embeddings")

    def specialised(self, name: str, task: Task) -> list[ModelSpec]:
        """Return the models with this name that do ``task``, first choice first.

        Raises :class:`UnknownModel`.
        """
        kind = KINDS[task]
        by_name = {name: [spec for spec in self._specialised.get(name, ()) if spec.kind == kind]}
        return self._enabled(name, by_name, kind, task)

    def describe(self, name: str) -> ModelSpec:
        """Return the model that answers to ``name``, for chats, embeddings or else.

        Raises :class:`UnknownModel`.
        """
        exact = [
            spec
            for by_name in (self._chat, self._embedding, self._specialised)
            for spec in by_name.get(name, ())
        ]
        specs = self._configured(exact) or [
            *self._configured(self._read(name, "chat")),
            *self._configured(self._read(name, "embedding")),
            *(
                spec
                for kind in sorted(set(KINDS.values()))
                for spec in self._configured(self._read(name, kind))
            ),
        ]
        if specs:
            return specs[0]
        return self._enabled(name, self._chat, "chat", "")[0]

    def available(self) -> list[ModelSpec]:
        """Return every model of the catalogue that is on and whose provider is configured."""
        return self._configured(self._catalogue.all_models)

    def _configured(self, specs: Iterable[ModelSpec]) -> list[ModelSpec]:
        serves = self._caller.serves
        return [spec for spec in specs if serves(spec.provider, spec.id, spec.snapshot_of)]

    def _enabled(
        self, name: str, by_name: dict[str, list[ModelSpec]], kind: str, endpoint: str
    ) -> list[ModelSpec]:
        specs = by_name.get(name, [])
        if enabled := self._configured(specs):
            return enabled
        read = self._read(name, kind)
        if enabled := self._configured(read):
            return enabled
        is_off = self._caller.is_off
        if any(is_off(spec.provider, spec.id, spec.snapshot_of) for spec in specs or read):
            raise UnconfiguredModel(
                f"The model '{_shown(name)}' is switched off here. {self._nearest(name)}"
            )
        if passed := self._passed_on(name, endpoint):
            return [passed]
        if specs := specs or read:
            raise UnconfiguredModel(
                f"The model '{_shown(name)}' is known, but its provider is not configured: "
                + "; ".join(dict.fromkeys(self._how_to_enable(spec.provider) for spec in specs))
                + "."
            )
        hint = " Use 'auto' to let the service choose one." if kind == "chat" else ""
        raise UnknownModel(
            f"The {kind} model '{_shown(name)}' does not exist here. {self._nearest(name)}{hint}"
        )

    def _read(self, name: str, kind: str) -> list[ModelSpec]:
        """Return the models that ``name`` may mean, however it is written; the best first."""
        text = plain_name(name)
        prefix, slash, rest = self._parts(text)
        specs: list[ModelSpec | None] = []
        cloud = _CLOUDS.get(prefix.lower()) if slash else None
        if cloud:
            specs = [
                self._models.find(name, rest) for name in cloud if name in self._caller.providers
            ]
        elif slash and (provider := self._providers.get(prefix.lower())):
            specs.append(self._models.find(provider, rest))
        if not any(specs):
            text = text if cloud is None else rest
            specs = [
                self._models.find(provider, text)
                for provider in self._catalogue.providers
                if cloud is None or provider not in _OF_CLOUDS
            ]
            if cloud is not None and sum(map(bool, specs)) > 1:
                return []  # a cloud's name for a model that several providers have
        elif "openrouter" in self._catalogue.providers:
            # OpenRouter's own names begin with the maker of the model.
            specs.append(self._models.find("openrouter", text))
        known = [spec for spec in specs if spec is not None and spec.kind == kind]
        return self._configured(known)[:1] or known if slash else known

    def _parts(self, text: str) -> tuple[str, str, str]:
        """Return a prefix, what divides it from the name, and the name.

        Some clients write ``provider:model``. Other names have a colon of their own.
        """
        provider, colon, name = text.partition(":")
        if colon and name and "/" not in provider and provider.lower() in self._providers:
            return provider, colon, name
        return text.partition("/")

    def _passed_on(self, name: str, endpoint: str) -> ModelSpec | None:
        """Return a model that nobody knows here, for a provider that may know it."""
        if not self._pass_unknown:
            return None
        text = plain_name(name)
        prefix, slash, rest = text.partition("/")
        provider = self._providers.get(prefix.lower()) if slash else None
        if provider is None:
            provider, rest = _provider_of_api(endpoint), text
        # Gemini's names become a part of a path.
        sendable = is_sendable(rest) and not (provider == "gemini" and "/" in rest)
        if not sendable or not self._caller.serves(provider, rest):
            return None
        return passed_on(provider, rest)

    def _nearest(self, name: str) -> str:
        """Return a sentence with the nearest names, and where all of them are listed."""
        text = plain_name(name).lower()[:_LONGEST_SHOWN]
        start = text.rpartition("/")[2][:3]
        known = {n: n for spec in self.available() for n in (spec.id, spec.ref, *spec.aliases)}
        for provider in self._caller.providers:
            owner = self._catalogue.providers[provider]
            known |= {
                n: n
                for n in table_ids(owner)
                if n.rpartition("/")[2].startswith(start) and not self._caller.is_off(provider, n)
            }
        by_lower = {n.lower(): n for n in known}
        near = get_close_matches(text, by_lower, n=3, cutoff=0.6) if start else []
        names = ", ".join(f"'{by_lower[n]}'" for n in near)
        return (f"Did you mean {names}? " if names else "") + (
            "GET /v1/models lists the available models."
        )

    def _how_to_enable(self, provider: str) -> str:
        spec = self._catalogue.providers[provider]
        names = spec.needs or spec.key_env or (spec.base_url_env,)
        return f"{provider} needs {names[0]}" if names[0] else f"{provider} is off"


def _provider_of_api(endpoint: str) -> str:
    gemini = "gemini" in endpoint.lower() or endpoint.endswith(("enerateContent", "mbedContent"))
    return "gemini" if gemini else _PROVIDER_OF_API.get(endpoint, "")


def _is_of_cloud(spec: ModelSpec) -> bool:
    return spec.provider in _OF_CLOUDS


def _shown(name: str) -> str:
    return name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}…"


def _by_name(specs: tuple[ModelSpec, ...]) -> dict[str, list[ModelSpec]]:
    by_name: dict[str, list[ModelSpec]] = {}
    for spec in specs:
        for name in (spec.id, *spec.aliases):
            for known_as in (name, f"{spec.provider}/{name}"):
                members = by_name.setdefault(known_as, [])
                if spec not in members:
                    members.append(spec)
    return by_name
