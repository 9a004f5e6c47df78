"""Counts tokens with a tokenizer of the client's choice, if it is installed."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

logger = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class TokenizerCount:
    """Tokens of prompt and answer by the named tokenizer, and their density.

    ``note`` says why the counts are missing, ``None`` if they are there.
    """

    tokens_in: int | None = None
    tokens_out: int | None = None
    bytes_per_token: float | None = None
    tokens_per_byte: float | None = None
    note: str | None = None


def count_with_tokenizer(
    tokenizer_id: str, prompt: str, response: str, folder: Path
) -> TokenizerCount:
    """Count with ``folder/<id>/tokenizer.json``, or with a tokenizer in the Hugging Face cache.

    Nothing is downloaded and nothing is raised: a completion never fails because of its count.
    """
    if not _ID.fullmatch(tokenizer_id) or ".." in tokenizer_id:
        return TokenizerCount(note="tokenizer_id is not a valid tokenizer name: no counts.")
    try:
        path = _find(tokenizer_id, folder)
        if path is None:
            return TokenizerCount(
                note=(
                    f"Tokenizer '{tokenizer_id}' is not installed: no counts. "
                    f"Put its tokenizer.json under TOKENIZERS_DIR/{tokenizer_id}/."
                )
            )
        tokenizer = _load(str(path), path.stat().st_mtime_ns)
        tokens_in = len(tokenizer.encode(prompt, add_special_tokens=False).ids)  # type: ignore[attr-defined]
        tokens_out = len(tokenizer.encode(response, add_special_tokens=False).ids)  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001 - the library raises bare Exception for a broken file
        logger.warning("Tokenizer %s cannot be used (%s)", tokenizer_id, type(error).__name__)
        return TokenizerCount(note=f"Tokenizer '{tokenizer_id}' cannot be used: no counts.")
    size = len(prompt.encode()) + len(response.encode())
    tokens = tokens_in + tokens_out
    return TokenizerCount(
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        bytes_per_token=round(size / tokens, 4) if tokens else None,
        tokens_per_byte=round(tokens / size, 4) if size else None,
    )


def _find(tokenizer_id: str, folder: Path) -> Path | None:
    own = folder / tokenizer_id / "tokenizer.json"
    if own.is_file():
        return own
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(tokenizer_id, "tokenizer.json")
    return Path(cached) if isinstance(cached, str) else None


@lru_cache(maxsize=8)
def _load(path: str, changed: int) -> object:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(path)
