"""The options of the lever as an operator sets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from routing.models import ModelRef
from routing.patterns import PATTERNS


class CascadeOptionError(ValueError):
    """An option of the lever is wrong; the message begins with its name."""


@dataclass(frozen=True, slots=True)
class CascadeOptions:
    """Which checks may decide, and which models may take part.

    ``schema`` and ``tool_calls`` check what the client asked for. ``agreement`` is how alike two
    answers must be, ``logprobs`` how sure the model must have been (both 0-1), ``judge`` the model
    that judges; ``None`` where they are not used. ``command`` are the kinds of prompts whose
    answers the operator's command checks, ``None`` for all. ``cheap`` and ``strong`` limit which
    models may answer first and second, ``None`` for all. ``streams`` allows cascades for streams,
    whose clients wait for the check. ``loss`` is how much expected quality (0-1) may be given up.
    """

    schema: bool = True
    tool_calls: bool = True
    agreement: float | None = None
    logprobs: float | None = None
    judge: ModelRef | None = None
    command: frozenset[str] | None = None
    cheap: frozenset[ModelRef] | None = None
    strong: frozenset[ModelRef] | None = None
    streams: bool = False
    loss: float = 0.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> CascadeOptions:
        """Read the lever's options. Raises :class:`CascadeOptionError`."""
        read: dict[str, Any] = {
            name: _READERS[name](name, value) for name, value in _known(options).items()
        }
        return cls(**read)


def _known(options: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in options:
        if name not in _READERS:
            raise CascadeOptionError(f"{name}: there is no such option; {', '.join(_READERS)} are")
    return {name: value for name, value in options.items() if value is not None}


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise CascadeOptionError(f"{name}: must be true or false")
    return value


def _share(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise CascadeOptionError(f"{name}: must be a number from 0 to 1")
    return float(value)


def _model(name: str, value: Any) -> ModelRef:
    try:
        return ModelRef.parse(value if isinstance(value, str) else "")
    except ValueError:
        raise CascadeOptionError(f"{name}: must name a model as provider/model") from None


def _models(name: str, value: Any) -> frozenset[ModelRef]:
    if not isinstance(value, list) or not value:
        raise CascadeOptionError(f"{name}: must be a list of models, each provider/model")
    return frozenset(_model(name, one) for one in value)


def _patterns(name: str, value: Any) -> frozenset[str]:
    known = isinstance(value, list) and all(isinstance(one, str) for one in value)
    if not known or not set(value) <= set(PATTERNS):
        raise CascadeOptionError(f"{name}: must be a list of {', '.join(PATTERNS)}")
    return frozenset(value)


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "schema": _switch,
    "tool_calls": _switch,
    "agreement": _share,
    "logprobs": _share,
    "judge": _model,
    "command": _patterns,
    "cheap": _models,
    "strong": _models,
    "streams": _switch,
    "loss": _share,
}
