"""The Ed25519 key of the installation: made on first use, kept in DATA_DIR."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_FILE = "ledger_key"


class UnusableKey(Exception):
    """The file of the key cannot be used; the message says why."""


def key_path() -> Path:
    """Return where the key is kept."""
    return Path(settings.DATA_DIR) / _FILE


def signing_key() -> Ed25519PrivateKey:
    """Return the installation's key, after making it if there is none.

    Raises :class:`UnusableKey` if others may read the file, or if it holds no key.
    """
    # Imported when it is used: a worker that never signs starts faster without it.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = key_path()
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise UnusableKey(f"{path} can be read by others: chmod 600 {path}")
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text().strip()))
    except ValueError:
        raise UnusableKey(f"{path} does not hold a key of 64 hexadecimal digits.") from None


def _make(path: Path) -> None:
    """Write a new key. If two processes do so at the same time, the first one wins."""
    draft = path.with_name(f"{_FILE}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_bytes(32).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def public_text(key: Ed25519PrivateKey) -> str:
    """Return the public key as 64 hexadecimal digits."""
    return key.public_key().public_bytes_raw().hex()


def signed_by(public: str, signature: str, message: bytes) -> bool:
    """Return whether ``signature`` of ``message`` was made with the key; both are hexadecimal."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
