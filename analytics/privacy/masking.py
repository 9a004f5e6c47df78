"""Taking personal data out of prompts before they are stored.

A mask is any function from text to text. It runs on the ledger's thread, not in the
way of an answer. Where it fails, nothing of the prompt is stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from analytics.models import CachedResponse, RequestRecord

logger = logging.getLogger(__name__)

Mask = Callable[[str], str]
PRESIDIO = "presidio"


def load_mask(spec: str) -> Mask | None:
    """The mask that ``spec`` names: "presidio", "package.module:function", or none if empty.

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
            f"MASKING is neither presidio nor package.module:function ({type(error).__name__})"
        ) from None
    if not callable(mask):
        raise ImproperlyConfigured(f"MASKING: {spec} is no function")
    return mask


def mask_prompts(request: RequestRecord, store: CachedResponse | None, mask: Mask) -> None:
    """Mask the prompts of rows that are about to be written.

    An answer whose prompt had something to hide is not shared with questions in other
    words: behind the mask the questions of two people look alike.
    """
    shown = _shown(request.prompt, mask)
    if shown == request.prompt:
        return
    request.prompt = shown
    if store is not None:
        store.prompt, store.semantic_key = shown, ""


def _shown(prompt: str, mask: Mask) -> str:
    if not prompt:
        return prompt
    try:
        found = mask(prompt)
    except Exception as error:  # noqa: BLE001 - whatever the hook does, the record is written
        logger.error("A prompt could not be masked (%s); it is not stored", type(error).__name__)
        return ""
    return found if isinstance(found, str) else ""


def presidio_mask() -> Mask:
    """Presidio's recognizers that need no language model: e-mail addresses, cards, IBANs, phone
    and social security numbers, IP and wallet addresses, each replaced by its kind.
    """
    try:
        import tldextract.tldextract
        from presidio_analyzer import predefined_recognizers as kinds
    except ImportError:
        raise ImproperlyConfigured(
            "MASKING is presidio, but its package is not installed: "
            "pip install -r requirements/masking.txt"
        ) from None
    # It would fetch its list of suffixes from the network; the one it brings will do.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
    recognizers = [
        kinds.EmailRecognizer(), kinds.CreditCardRecognizer(), kinds.IbanRecognizer(),
        kinds.PhoneRecognizer(), kinds.IpRecognizer(), kinds.UsSsnRecognizer(),
        kinds.CryptoRecognizer(),
    ]  # fmt: skip

    def mask(text: str) -> str:
        found = [
            result
            for recognizer in recognizers
            for result in recognizer.analyze(text, recognizer.supported_entities, None)  # type: ignore[arg-type]
        ]
        return _replaced(text, found)

    return mask


def _replaced(text: str, found: Iterable[Any]) -> str:
    """``text`` with what was found replaced; of several at one place, the surest and longest."""
    kept: list[Any] = []
    for result in sorted(found, key=lambda r: (-r.score, r.start - r.end, r.start)):
        if all(result.end <= other.start or result.start >= other.end for other in kept):
            kept.append(result)
    for result in sorted(kept, key=lambda r: -r.start):
        text = f"{text[: result.start]}<{result.entity_type}>{text[result.end :]}"
    return text
