"""Columns that are encrypted at rest: prompts and answers if a key is set, secrets always.

The cipher is Fernet (AES-128-CBC with HMAC-SHA256) of the ``cryptography`` package. The
first key of ``ENCRYPTION_KEY`` encrypts and all of them decrypt, so keys can be replaced.
Values that were written without a key are read as they are. Secrets have one more key, which is
derived from ``SECRET_KEY`` and comes last. Encrypted columns cannot be searched.
"""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

_PREFIX = "fernet:v1:"
UNREADABLE = "(encrypted with a key that is not configured)"


def encrypt(text: str, *, always: bool = False) -> str:
    """Return ``text`` as it is stored: unchanged if it is empty or no key is set.

    With ``always``, as for secrets, a key is derived from ``SECRET_KEY`` if none is set.
    """
    cipher = _cipher(_keys(always=always))
    if cipher is None or not text:
        return text
    return _PREFIX + str(cipher.encrypt(text.encode("utf-8", "surrogatepass")).decode())


def decrypt(stored: str, *, always: bool = False) -> str:
    """Return the text that was stored as ``stored``, or :data:`UNREADABLE` without its key."""
    if not stored.startswith(_PREFIX):
        return stored
    cipher = _cipher(_keys(always=always))
    if cipher is None:
        return UNREADABLE
    from cryptography.fernet import InvalidToken

    try:
        text = cipher.decrypt(stored[len(_PREFIX) :].encode())
    except InvalidToken:
        return UNREADABLE
    return str(text.decode("utf-8", "surrogatepass"))


def is_current(stored: str, *, always: bool = False) -> bool:
    """Return whether ``stored`` is encrypted with the first key.

    Without any key, every value is current. Empty values are never encrypted.
    """
    keys = _keys(always=always)
    if not keys or not stored:
        return True
    if not stored.startswith(_PREFIX):
        return False
    from cryptography.fernet import Fernet, InvalidToken

    try:
        Fernet(keys[0]).decrypt(stored[len(_PREFIX) :].encode())
    except InvalidToken:
        return False
    return True


def _keys(*, always: bool) -> tuple[str, ...]:
    keys = tuple(settings.ENCRYPTION_KEYS)
    return (*keys, _derived_key(settings.SECRET_KEY)) if always else keys


@lru_cache(maxsize=4)
def _derived_key(secret: str) -> str:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derivation = HKDF(SHA256(), length=32, salt=None, info=b"ai-cost-optimizer stored secrets")
    return base64.urlsafe_b64encode(derivation.derive(secret.encode())).decode()


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> Any:
    if not keys:
        return None
    try:
        from cryptography.fernet import Fernet, MultiFernet
    except ImportError:
        raise ImproperlyConfigured(
            "ENCRYPTION_KEY is set, but its package is not installed: "
            "pip install -r requirements/security.txt"
        ) from None
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError:
        raise ImproperlyConfigured(
            "ENCRYPTION_KEY must be 32 random bytes in URL-safe base64, or several such keys "
            "separated by commas. Create one with: manage.py reencrypt --new-key"
        ) from None


class EncryptedTextField(models.TextField):
    """A text column that is encrypted at rest."""

    always = False
    """Whether values are encrypted even if no ``ENCRYPTION_KEY`` is set."""

    def get_prep_value(self, value: Any) -> Any:
        """Return ``value`` encrypted for the database."""
        value = super().get_prep_value(value)
        return encrypt(value, always=self.always) if isinstance(value, str) else value

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return a value of the database decrypted."""
        return decrypt(value, always=self.always) if isinstance(value, str) else value

    def to_python(self, value: Any) -> Any:
        """Return ``value``, such as one of a journal line, decrypted."""
        value = super().to_python(value)
        return decrypt(value, always=self.always) if isinstance(value, str) else value

    def value_to_string(self, obj: models.Model) -> str:
        """Return the value encrypted for the journal, which lies on a disk too."""
        return encrypt(super().value_to_string(obj), always=self.always)

    def is_current(self, stored: str) -> bool:
        """Return whether the content of a column is encrypted with the first key."""
        return is_current(stored, always=self.always)


class SecretTextField(EncryptedTextField):
    """A text column for secrets: it is never stored as plain text."""

    always = True


class EncryptedJSONField(models.JSONField):
    """A JSON column that is encrypted at rest, as an object with one marked text."""

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Return ``value`` encrypted for the database."""
        return super().get_db_prep_value(self._encrypted(value), connection, prepared)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return a value of the database decrypted."""
        return self.to_python(super().from_db_value(value, expression, connection))

    def to_python(self, value: Any) -> Any:
        """Return ``value`` decrypted, or ``None`` if its key is not configured."""
        if not (isinstance(value, dict) and set(value) == {_PREFIX}):
            return value
        text = decrypt(value[_PREFIX])
        return None if text == UNREADABLE else json.loads(text)

    def value_to_string(self, obj: models.Model) -> Any:
        """Return the value encrypted for the journal, which lies on a disk too."""
        return self._encrypted(self.value_from_object(obj))

    @staticmethod
    def is_current(stored: Any) -> bool:
        """Return whether the content of a column is encrypted with the first key."""
        encrypted = isinstance(stored, dict) and set(stored) == {_PREFIX}
        return is_current(stored[_PREFIX]) if encrypted else not settings.ENCRYPTION_KEYS

    def _encrypted(self, value: Any) -> Any:
        if value is None or not settings.ENCRYPTION_KEYS or hasattr(value, "as_sql"):
            return value
        return {_PREFIX: encrypt(json.dumps(value, cls=self.encoder))}
