"""The models and prices of the ``genai-prices`` package, without the package's own code.

The package brings pydantic and an HTTP client, to read prices that somebody else serves and to
update them: 14 MB in each worker, of which looking up a price needs nothing. Its table is Python
that calls one constructor for each model and price, so it is run with the constructors of
:mod:`providers.listed_prices.types`. A table that these cannot read, of a later version perhaps,
is read by the package itself: it has the same attributes, so that nobody sees a difference.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from providers.listed_prices.types import ListedProvider

logger = logging.getLogger(__name__)
_PACKAGE = "genai_prices"


@cache
def listed_providers() -> list[ListedProvider]:
    """Return the providers of the price table. Raises ``ImportError`` without the package."""
    try:
        return _read_table()
    except Exception:
        logger.info("The price table is read by its package, which takes 14 MB", exc_info=True)
        from genai_prices.data_snapshot import get_snapshot

        providers: Any = get_snapshot().providers
        return list(providers)


def _read_table() -> list[ListedProvider]:
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{_PACKAGE} is not installed")
    path = Path(spec.submodule_search_locations[0]) / "data.py"
    code = SourceFileLoader(f"{_PACKAGE}.data", str(path)).get_code(f"{_PACKAGE}.data")
    # It imports all of ``.types``: as a module of this package, those beside this file.
    table: dict[str, Any] = {"__name__": f"{__name__}.data", "__package__": __name__}
    exec(code, table)  # type: ignore[arg-type]  # noqa: S102 - the package's code, as by import
    providers: list[ListedProvider] = table["providers"]
    return providers
