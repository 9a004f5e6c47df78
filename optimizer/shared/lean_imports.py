"""Imports libraries without what they load only because it happens to be installed.

DRF and httpx import optional packages where they find them: a database driver, another HTTP
client, Markdown, a command line with colours. The service uses none of them through these
libraries, and a worker would hold 20 MB for them. The libraries have no setting for it, but each
works without these packages, so they are hidden while the libraries are first imported, and then
found as before by whoever imports them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Make the import of these modules fail, unless they are loaded.

    ``None`` in ``sys.modules`` is how the import system says that there is no such module:
    https://docs.python.org/3/reference/import.html#the-module-cache
    """
    absent = dict.fromkeys(name for name in names if name not in sys.modules)
    sys.modules.update(absent)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def import_libraries() -> None:
    """Import httpx and DRF, before any other module does."""
    with _hidden("httpx._main"):
        import httpx  # noqa: F401 - imported for its place in sys.modules, like the others
    # The fields of PostgreSQL (and psycopg) are for serializers that are made from models.
    with _hidden("django.contrib.postgres.fields", "markdown", "pygments", "requests", "yaml"):
        import rest_framework.compat  # noqa: F401
