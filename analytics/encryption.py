"""Columns that are encrypted at rest where a key is given: prompts and answers.

Fernet (AES-128-CBC with HMAC-SHA256), of the ``cryptography`` package. The first of
``ENCRYPTION_KEY``'s keys encrypts, all decrypt, so keys can be replaced. What was
written without a key is read as it is. Nothing can be searched for in such columns.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

_MARK = "fernet:v1:"
UNREADABLE = "(encrypted with a key that is not here)"


def encrypt(text: str) -> str:
    """``text`` as it is stored; itself without a key, or where it is empty."""
    cipher = _cipher(tuple(settings.ENCRYPTION_KEYS))
    if cipher is None or not text:
        return text
    return _MARK + str(cipher.encrypt(text.encode("utf-8", "surrogatepass")).decode())


def decrypt(stored: str) -> str:
    """The text behind ``stored``, or :data:`UNREADABLE`."""
    if not stored.startswith(_MARK):
        return stored
    cipher = _cipher(tuple(settings.ENCRYPTION_KEYS))
    if cipher is None:
        return UNREADABLE
    from cryptography.fernet import InvalidToken

    try:
        found = cipher.decrypt(stored[len(_MARK) :].encode())
    except InvalidToken:
        return UNREADABLE
    return str(found.decode("utf-8", "surrogatepass"))


def is_current(stored: str) -> bool:
    """Whether ``stored`` is as :func:`encrypt` would store it now: with the first key, or plain
    without one.
    """
    keys = tuple(settings.ENCRYPTION_KEYS)
    if not keys or not stored:
        return True
    if not stored.startswith(_MARK):
        return False
    from cryptography.fernet import Fernet, InvalidToken

    try:
        Fernet(keys[0]).decrypt(stored[len(_MARK) :].encode())
    except InvalidToken:
        return False
    return True


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
            "ENCRYPTION_KEY must be 32 random bytes in URL-safe base64, or several, with commas "
            "between. Make one with: manage.py reencrypt --new-key"
        ) from None


class EncryptedTextField(models.TextField):
    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return encrypt(value) if isinstance(value, str) else value

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return decrypt(value) if isinstance(value, str) else value

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return decrypt(value) if isinstance(value, str) else value

    def value_to_string(self, obj: models.Model) -> str:
        """For the journal, which lies on a disk too."""
        return encrypt(super().value_to_string(obj))


class EncryptedJSONField(models.JSONField):
    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return super().get_db_prep_value(self._hidden(value), connection, prepared)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return self.to_python(super().from_db_value(value, expression, connection))

    def to_python(self, value: Any) -> Any:
        if not (isinstance(value, dict) and set(value) == {_MARK}):
            return value
        text = decrypt(value[_MARK])
        return None if text == UNREADABLE else json.loads(text)

    def value_to_string(self, obj: models.Model) -> Any:
        return self._hidden(self.value_from_object(obj))

    @staticmethod
    def is_current(stored: Any) -> bool:
        """As :func:`is_current`, of a column's own content."""
        hidden = isinstance(stored, dict) and set(stored) == {_MARK}
        return is_current(stored[_MARK]) if hidden else not settings.ENCRYPTION_KEYS

    def _hidden(self, value: Any) -> Any:
        if value is None or not settings.ENCRYPTION_KEYS or hasattr(value, "as_sql"):
            return value
        return {_MARK: encrypt(json.dumps(value, cls=self.encoder))}
