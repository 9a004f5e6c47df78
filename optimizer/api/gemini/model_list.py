"""GET /v1beta/models and /v1beta/models/{model}.

Format: https://ai.google.dev/api/models
"""

from __future__ import annotations

from typing import Any

from optimizer.domain.model_names import AUTO, ModelNames, UnknownModel
from providers.catalogue import ModelSpec

_ANSWERS = ["generateContent", "countTokens"]
_EMBEDS = ["embedContent", "batchEmbedContents"]


def model_list(names: ModelNames) -> dict[str, Any]:
    """Return the automatic choices, then every model that is available now."""
    models = {name: _body(name) for name in AUTO}
    for spec in names.available():
        models.setdefault(spec.id, _body(spec.id, spec))
    return {"models": list(models.values())}


def model_body(names: ModelNames, name: str) -> dict[str, Any]:
    """Return the description of one model.

    Raises :class:`optimizer.domain.model_names.UnknownModel`.
    """
    name = name.removeprefix("models/")
    if name in AUTO:
        return _body(name)
    for spec in names.available():
        if name in {spec.id, spec.ref, *spec.aliases}:
            return _body(name, spec)
    raise UnknownModel(
        f"The model '{name}' does not exist here. GET /v1beta/models lists the models."
    )


def _body(name: str, spec: ModelSpec | None = None) -> dict[str, Any]:
    embeds = spec is not None and spec.kind == "embedding"
    body: dict[str, Any] = {
        "name": f"models/{name}",
        "baseModelId": name,
        "version": "1",
        "displayName": name,
        "supportedGenerationMethods": _EMBEDS if embeds else _ANSWERS,
    }
    if spec is not None and spec.context_window:
        body["inputTokenLimit"] = spec.context_window
    return body
