"""Secrets from files, as Docker, Kubernetes and systemd provide them."""

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
        "WEBHOOK_SECRET",
        "AWS_BEARER_TOKEN_BEDROCK",
    }
)
_KEY_SUFFIX = "_API_KEY"


def read_secret_files(environ: MutableMapping[str, str]) -> None:
    """Set every secret X to the content of the file that X_FILE names.

    Secrets are :data:`_NAMES` and every ``…_API_KEY``. Raises ``ImproperlyConfigured`` if
    both are set or the file cannot be read; the message never contains the content.
    """
    for variable, path in list(environ.items()):
        name = variable.removesuffix(_SUFFIX)
        if name == variable or not path or not (name in _NAMES or name.endswith(_KEY_SUFFIX)):
            continue
        if environ.get(name):
            raise ImproperlyConfigured(f"Set either {name} or {variable}, not both.")
        try:
            environ[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            kind = type(error).__name__
            raise ImproperlyConfigured(f"{variable}: {path} cannot be read ({kind}).") from None
