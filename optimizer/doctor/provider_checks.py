"""Checks of providers, prices and API keys."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution, version

from django.conf import settings

from analytics.access.keys import keys_version
from optimizer.doctor.findings import Finding, ok, warning, wrong
from optimizer.lab.connection_test import Connections, NotConfigured
from optimizer.quality.model_comparison import (
    compared_models,
    comparison_lines,
    model_comparison,
)
from providers.abilities import AbilityTable
from providers.catalogue import Catalogue
from providers.pricing import PriceBook
from providers.registry import configured_names, missing_package

_OLD_PRICES_DAYS = 90


def configured_providers(
    catalogue: Catalogue, environment: Mapping[str, str], *, local: bool
) -> Iterator[Finding]:
    """Check that a provider is configured; ``local``: whether the embedded model is enabled."""
    names = configured_names(catalogue, environment)
    for name in names:
        if package := missing_package(catalogue.providers[name], environment):
            remedy = "pip install --require-hashes -r requirements/locked/clouds.txt"
            yield wrong(f"provider {name}", f"It needs the package {package}.", remedy)
    if names:
        yield ok("providers", f"Configured: {', '.join(names)}.")
    elif local:
        yield warning(
            "providers",
            "Only the embedded model is available.",
            "Set GEMINI_API_KEY, ANTHROPIC_API_KEY, OPENROUTER_API_KEY or OPENAI_API_KEY.",
        )
    else:
        yield wrong(
            "providers",
            "No provider is configured: every request is refused.",
            "Set GEMINI_API_KEY, ANTHROPIC_API_KEY, OPENROUTER_API_KEY or OPENAI_API_KEY.",
        )


async def check_connections(connections: Connections) -> list[Finding]:
    """Ask each configured provider's cheapest model for a few tokens, which costs money."""
    findings = []
    for state in connections.states():
        if not state.configured:
            continue
        about = f"provider {state.name}"
        try:
            result = await connections.test(state.name, "doctor")
        except NotConfigured:
            continue
        if result.works:
            findings.append(ok(about, f"{result.model} answers in {result.took_ms:.0f} ms."))
        else:
            findings.append(wrong(about, result.words, result.hint))
    return findings


def prices(
    catalogue: Catalogue, book: PriceBook, environment: Mapping[str, str]
) -> Iterator[Finding]:
    """Check that each model of a configured provider has a price, and how old the table is."""
    known = configured_names(catalogue, environment)
    models = [
        (spec.provider, spec.id)
        for spec in (*catalogue.models, *catalogue.embeddings)
        if spec.provider in known
    ]
    unpriced = [f"{p}/{m}" for p, m in models if book.source(p, m) == "unknown"]
    if unpriced:
        yield warning(
            "prices",
            f"No price is known for {', '.join(unpriced)}: their cost is recorded as unknown.",
            "Set a price in the admin, under Prices, or in CATALOGUE_FILE.",
        )
    elif models:
        yield ok("prices", f"Prices are known for all {len(models)} models that can be called.")
    deprecated = [f"{p}/{m}" for p, m in models if book.deprecated(p, m)]
    if deprecated:
        yield warning(
            "prices",
            f"Deprecated according to the price table: {', '.join(deprecated)}.",
            "Set their successors in CATALOGUE_FILE.",
        )
    yield _age_of_prices()


def models(
    catalogue: Catalogue,
    book: PriceBook,
    abilities: AbilityTable,
    environment: Mapping[str, str],
) -> Iterator[Finding]:
    """Name the best of the configured models, near-twins, and those not worth their price."""
    known = configured_names(catalogue, environment)
    configured = (spec for spec in catalogue.models if spec.provider in known)
    compared = compared_models(configured, book.rates, abilities)
    for words in comparison_lines(model_comparison(compared)):
        yield ok("models", words)


def _age_of_prices() -> Finding:
    package = "genai-prices"
    try:
        table = distribution(package).locate_file("genai_prices/data.py")
        day = datetime.fromtimestamp(os.stat(str(table)).st_mtime, UTC)
    except (PackageNotFoundError, OSError):
        return wrong("prices", f"{package} is not installed.", "Run make run again.")
    age = (datetime.now(UTC) - day).days
    words = f"{package} {version(package)}, installed {age} days ago."
    if age > _OLD_PRICES_DAYS:
        return warning("prices", words, f"pip install --upgrade {package}: prices change.")
    return ok("prices", words)


def api_keys() -> Iterator[Finding]:
    """Check whether requests need an API key, and whether there is one."""
    count = keys_version()[1]
    if settings.AUTH == "off":
        yield warning("API keys", "AUTH is off: anyone who reaches the service may use it.",
                      "Use AUTH=off only behind a proxy that authenticates.")  # fmt: skip
    elif count:
        yield ok("API keys", f"{count} exist, and every request needs one.")
    elif settings.AUTH == "on":
        yield wrong("API keys", "There is none, but every request needs one: all are refused.",
                    "Create one: manage.py create_key NAME")  # fmt: skip
    else:
        yield warning("API keys", "There is none: only this machine is served.",
                      "Create one: manage.py create_key NAME")  # fmt: skip
