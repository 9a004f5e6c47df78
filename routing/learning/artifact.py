"""A trained predictor as a file: arrays and a header, no code, verified when loaded.

The file is a NumPy ``.npz`` archive read without pickle. Its header (JSON)
carries the format version, the version of the features, a digest of all
arrays, the hashes of the training data and the metrics measured in training.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routing.learning.domains import DOMAINS
from routing.learning.features import BUCKET_BITS, NAMES
from routing.learning.general import General
from routing.learning.ground import Ground
from routing.learning.predictor import (
    PARTS,
    STRENGTHS,
    Blend,
    Experts,
    Linear,
    QualityPredictor,
    Words,
    shape_errors,
)

FORMAT = 3
SHIPPED = Path(__file__).with_name("predictor.npz")
"""The artifact that ships with the service."""

_TYPES = {
    "linear": Linear,
    "words": Words,
    "experts": Experts,
    "blend": Blend,
    "ground": Ground,
}
_STORED = {"words.idf": np.float16, "words.weight": np.float16}
_FEATURES = hashlib.sha256(
    f"{BUCKET_BITS} {' '.join(NAMES)} {' '.join(DOMAINS)}".encode()
).hexdigest()[:16]


class ArtifactError(Exception):
    """The file is not a usable predictor; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained predictor with the record of its training.

    ``training`` describes the training data and the metrics measured on it. ``seen``
    holds the hashes of the training prompts, ascending, so that evaluation can leave
    these prompts out.
    """

    predictor: QualityPredictor
    training: dict[str, Any]
    seen: NDArray[np.uint64]

    def has_seen(self, prompt: str) -> bool:
        """Return whether ``prompt`` was among the training prompts."""
        digest = prompt_hash(prompt)
        index = int(np.searchsorted(self.seen, digest))
        return index < len(self.seen) and bool(self.seen[index] == digest)


def prompt_hash(prompt: str) -> np.uint64:
    """Return the first 64 bits of the SHA-256 of the stripped prompt."""
    return np.uint64(int.from_bytes(hashlib.sha256(prompt.strip().encode()).digest()[:8], "big"))


def prompt_hashes(prompts: Iterable[str]) -> NDArray[np.uint64]:
    """Return the distinct hashes of the prompts, ascending."""
    return np.unique(np.array([prompt_hash(prompt) for prompt in prompts], dtype=np.uint64))


def as_stored(predictor: QualityPredictor) -> QualityPredictor:
    """Return the predictor as it is after saving and loading: word weights are rounded."""
    words = predictor.words
    rounded = Words(
        words.idf.astype(np.float16).astype(np.float32),
        words.weight.astype(np.float16).astype(np.float32),
        words.base,
    )
    return replace(predictor, words=rounded)


def save_artifact(artifact: Artifact, path: Path) -> None:
    """Write ``artifact`` to a file; equal artifacts give equal bytes. Raise ``OSError``."""
    arrays = {"seen": artifact.seen}
    for part in PARTS:
        component = getattr(artifact.predictor, part)
        for field in fields(component):
            name = f"{part}.{field.name}"
            array = getattr(component, field.name)
            arrays[name] = array.astype(_STORED.get(name, array.dtype))
    header = {
        "format": FORMAT,
        "features": _FEATURES,
        "digest": _digest(arrays),
        **{name: getattr(artifact.predictor, name) for name in STRENGTHS},
        "general": asdict(artifact.predictor.general),
        "training": artifact.training,
    }
    text = json.dumps(header, sort_keys=True, indent=1).encode()
    with path.open("wb") as out:
        np.savez_compressed(
            out, allow_pickle=False, header=np.frombuffer(text, dtype=np.uint8), **arrays
        )


def load_artifact(path: Path) -> Artifact:
    """Read and verify an artifact. Raise :class:`ArtifactError` if it cannot be used."""
    try:
        content = path.read_bytes()
        # Checksums first: numpy raises a dozen kinds of errors for a damaged array header.
        with zipfile.ZipFile(io.BytesIO(content)) as members:
            if (damaged := members.testzip()) is not None:
                raise ArtifactError(f"{path}: damaged, {damaged} does not match its checksum")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes())
            if header["format"] != FORMAT:
                raise ArtifactError(
                    f"{path}: written in format {header['format']}, this version reads {FORMAT}; "
                    "train it again"
                )
            if header["features"] != _FEATURES:
                raise ArtifactError(
                    f"{path}: trained on another version's features; train it again"
                )
            arrays = {name: archive[name] for name in archive.files if name != "header"}
        if _digest(arrays) != header["digest"]:
            raise ArtifactError(f"{path}: damaged, its contents do not match their digest")
        predictor = _predictor(arrays, header)
        training, seen = dict(header["training"]), arrays["seen"]
    except ArtifactError:
        raise
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file") from error
    except (
        OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error,
        RuntimeError, MemoryError,
    ) as error:  # fmt: skip
        kind = type(error).__name__
        raise ArtifactError(f"{path}: not a predictor, or unreadable ({kind})") from error
    if wrong := shape_errors(predictor):
        raise ArtifactError(f"{path}: damaged ({', '.join(wrong)})")
    return Artifact(predictor, training, seen)


def _predictor(arrays: dict[str, NDArray[Any]], header: dict[str, Any]) -> QualityPredictor:
    parts = {
        part: kind(
            **{
                field.name: _as_used(f"{part}.{field.name}", arrays[f"{part}.{field.name}"])
                for field in fields(kind)
            }
        )
        for part, kind in _TYPES.items()
    }
    lines = header["general"]
    return QualityPredictor(
        **parts,  # type: ignore[arg-type]
        general=General(*(_line(lines[name]) for name in ("weak", "lead", "usual"))),
        prior_strength=float(header["prior_strength"]),
        near_strength=float(header["near_strength"]),
        far_strength=float(header["far_strength"]),
    )


def _line(raw: Any) -> tuple[float, float]:
    value, change = raw
    return float(value), float(change)


def _as_used(name: str, array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if name in _STORED else array


def _digest(arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
