"""Secrets from files, as Docker, Kubernetes and systemd hand them over."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_SUFFIX = "_FILE"
_NAMES = frozenset(
    {
        "SECRET_KEY",
        "DATABASE_URL",
        "CACHE_URL",
        "EMAIL_URL",
        "OIDC_CLIENT_SECRET",
        "ENCRYPTION_KEY",
    }
)
_KEYS = "_API_KEY"


def read_secret_files(environ: MutableMapping[str, str]) -> None:
    """For every secret X, set X to what stands in the file that X_FILE names.

    Secrets are :data:`_NAMES` and every ``…_API_KEY``. Raises ``ImproperlyConfigured``
    where both are given or the file cannot be read; never says what is in it.
    """
    for variable, path in list(environ.items()):
        name = variable.removesuffix(_SUFFIX)
        if name == variable or not path or not (name in _NAMES or name.endswith(_KEYS)):
            continue
        if environ.get(name):
            raise ImproperlyConfigured(f"Give either {name} or {variable}, not both.")
        try:
            environ[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            kind = type(error).__name__
            raise ImproperlyConfigured(f"{variable}: {path} cannot be read ({kind}).") from None
