"""Mask personal data in prompts before they are stored.

A mask is any function from text to text. It runs on the ledger's thread, so that it does
not delay answers. If it fails, the prompt is not stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from analytics.models import CachedResponse, RequestRecord

logger = logging.getLogger(__name__)

Mask = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class PersonalDatum:
    """Where personal data of a ``kind`` stands in a text: from ``start`` to before ``end``."""

    start: int
    end: int
    kind: str


Find = Callable[[str], tuple[PersonalDatum, ...]]
PRESIDIO = "presidio"


def load_mask(spec: str) -> Mask | None:
    """Return the mask that ``spec`` names: "presidio" or "package.module:function".

    Return ``None`` if ``spec`` is empty.

    Raises ``ImproperlyConfigured``.
    """
    if not spec:
        return None
    if spec == PRESIDIO:
        return presidio_mask()
    module, _, name = spec.partition(":")
    try:
        mask: Mask = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"MASKING must be presidio or package.module:function ({type(error).__name__})"
        ) from None
    if not callable(mask):
        raise ImproperlyConfigured(f"MASKING: {spec} is not a function")
    return mask


def mask_prompts(request: RequestRecord, store: CachedResponse | None, mask: Mask) -> None:
    """Mask the prompts of rows that are about to be written.

    An answer whose prompt was masked is not found by the semantic cache: behind the mask,
    the questions of two people look alike.
    """
    if request.status == RequestRecord.Status.REFUSED:
        # The reason may quote what was sent.
        request.error_detail = _masked(request.error_detail, mask)
    masked = _masked(request.prompt, mask)
    if masked == request.prompt:
        return
    request.prompt = masked
    if store is not None:
        store.prompt, store.semantic_key = masked, ""


def _masked(prompt: str, mask: Mask) -> str:
    if not prompt:
        return prompt
    try:
        masked = mask(prompt)
    except Exception as error:  # noqa: BLE001 - the record is written whatever the mask raises
        logger.error("A prompt could not be masked (%s); it is not stored", type(error).__name__)
        return ""
    return masked if isinstance(masked, str) else ""


def presidio_mask() -> Mask:
    """Return a mask that replaces what :func:`presidio_find` finds by its kind.

    Raises ``ImproperlyConfigured``.
    """
    find = presidio_find()

    def mask(text: str) -> str:
        for datum in reversed(find(text)):
            text = f"{text[: datum.start]}<{datum.kind}>{text[datum.end :]}"
        return text

    return mask


def load_find(spec: str) -> Find:
    """Return what finds personal data: "presidio", or "package.module:function".

    The function returns (start, end, kind) for each in a text. Raises ``ImproperlyConfigured``.
    """
    if spec == PRESIDIO:
        return presidio_find()
    function: Callable[[str], Iterable[tuple[int, int, str]]] | None = load_mask(spec)  # type: ignore[assignment]
    if function is None:
        raise ImproperlyConfigured("What finds personal data must be named")

    def find(text: str) -> tuple[PersonalDatum, ...]:
        return tuple(sorted((PersonalDatum(*place) for place in function(text)), key=_start))

    return find


def _start(datum: PersonalDatum) -> int:
    return datum.start


def presidio_find() -> Find:
    """Return what finds personal data by Presidio's recognizers that need no language model.

    They find e-mail addresses, card numbers, IBANs, phone and US social security numbers, IP
    and crypto wallet addresses. Raises ``ImproperlyConfigured``.
    """
    try:
        import tldextract.tldextract
        from presidio_analyzer import predefined_recognizers as kinds
    except ImportError:
        raise ImproperlyConfigured(
            "MASKING is presidio, but its package is not installed: "
            "pip install -r requirements/masking.txt"
        ) from None
    # By default tldextract downloads its list of suffixes; the one in the package is enough.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
    recognizers = [
        kinds.EmailRecognizer(), kinds.CreditCardRecognizer(), kinds.IbanRecognizer(),
        kinds.PhoneRecognizer(), kinds.IpRecognizer(), kinds.UsSsnRecognizer(),
        kinds.CryptoRecognizer(),
    ]  # fmt: skip

    def find(text: str) -> tuple[PersonalDatum, ...]:
        results = [
            result
            for recognizer in recognizers
            for result in recognizer.analyze(text, recognizer.supported_entities, None)  # type: ignore[arg-type]
        ]
        return _without_overlaps(results)

    return find


def _without_overlaps(results: Iterable[Any]) -> tuple[PersonalDatum, ...]:
    """Return the results in their order; where some overlap, the surest and longest one counts."""
    chosen: list[Any] = []
    for result in sorted(results, key=lambda r: (-r.score, r.start - r.end, r.start)):
        if all(result.end <= other.start or result.start >= other.end for other in chosen):
            chosen.append(result)
    data = (PersonalDatum(r.start, r.end, r.entity_type) for r in chosen)
    return tuple(sorted(data, key=_start))
