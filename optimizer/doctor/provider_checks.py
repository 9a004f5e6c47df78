"""Providers, prices, keys, and what routing and learning need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution, version

from django.conf import settings

from analytics.access.keys import keys_version
from optimizer.doctor.findings import Finding, ok, warning, wrong
from optimizer.lab.connection_test import Connections, NotConfigured
from providers.catalogue import Catalogue
from providers.pricing import PriceBook
from providers.registry import is_configured

_OLD_PRICES_DAYS = 90


def configured_providers(catalogue: Catalogue, *, local: bool) -> Iterator[Finding]:
    names = [n for n, spec in catalogue.providers.items() if is_configured(spec, os.environ)]
    if names:
        yield ok("providers", f"Configured: {', '.join(names)}.")
    elif local:
        yield warning(
            "providers",
            "Only the embedded model.",
            "Set GEMINI_API_KEY, ANTHROPIC_API_KEY, OPENROUTER_API_KEY or OPENAI_API_KEY.",
        )
    else:
        yield wrong(
            "providers",
            "None is configured: every request is refused.",
            "Set GEMINI_API_KEY, ANTHROPIC_API_KEY, OPENROUTER_API_KEY or OPENAI_API_KEY.",
        )


async def connections(found: Connections) -> list[Finding]:
    """Asks each configured provider's cheapest model for a few tokens, which costs money."""
    said = []
    for state in found.states():
        if not state.configured:
            continue
        about = f"provider {state.name}"
        try:
            result = await found.test(state.name, "doctor")
        except NotConfigured:
            continue
        if result.works:
            said.append(ok(about, f"{result.model} answers in {result.took_ms:.0f} ms."))
        else:
            said.append(wrong(about, result.words, result.hint))
    return said


def prices(catalogue: Catalogue, book: PriceBook) -> Iterator[Finding]:
    """Whether each model that can be asked has a price, and how old the table is."""
    asked = [
        (spec.provider, spec.id)
        for spec in (*catalogue.models, *catalogue.embeddings)
        if is_configured(catalogue.providers[spec.provider], os.environ)
    ]
    unpriced = [f"{p}/{m}" for p, m in asked if book.source(p, m) == "unknown"]
    if unpriced:
        yield warning(
            "prices",
            f"None is known for {', '.join(unpriced)}: what they cost is recorded as unknown.",
            "Set one in the admin, under Prices, or in CATALOGUE_FILE.",
        )
    elif asked:
        yield ok("prices", f"Known for all {len(asked)} models that can be asked.")
    leaving = [f"{p}/{m}" for p, m in asked if book.deprecated(p, m)]
    if leaving:
        yield warning(
            "prices",
            f"On their way out by the price table: {', '.join(leaving)}.",
            "Name their successors in CATALOGUE_FILE.",
        )
    yield _age_of_prices()


def _age_of_prices() -> Finding:
    package = "genai-prices"
    try:
        made = distribution(package).locate_file("genai_prices/data.py")
        day = datetime.fromtimestamp(os.stat(str(made)).st_mtime, UTC)
    except (PackageNotFoundError, OSError):
        return wrong("prices", f"{package} is not installed.", "Run make run again.")
    age = (datetime.now(UTC) - day).days
    words = f"{package} {version(package)}, installed {age} days ago."
    if age > _OLD_PRICES_DAYS:
        return warning("prices", words, f"pip install --upgrade {package}: prices move.")
    return ok("prices", words)


def api_keys() -> Iterator[Finding]:
    """Whether strangers could ask."""
    count = keys_version()[1]
    if settings.AUTH == "off":
        yield warning("API keys", "AUTH is off: whoever reaches the service may ask.",
                      "Leave it so only behind something else that asks.")  # fmt: skip
    elif count:
        yield ok("API keys", f"{count}, and one is asked for.")
    elif settings.AUTH == "on":
        yield wrong("API keys", "There is none, and one is asked for: nobody may ask.",
                    "Create one: manage.py create_key NAME")  # fmt: skip
    else:
        yield warning("API keys", "There is none: only this machine may ask.",
                      "Create one: manage.py create_key NAME")  # fmt: skip
