"""Prices a thousand answers with the service's own readers and prices, and by hand.

    python -m benchmarks.pricing.study [ANSWERS] [SEED]

Published prices are in published.toml, with their sources. The exit status is 1 if a cost
differs in any place.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path
from random import Random

from benchmarks.pricing.answers import Answer, Draw
from benchmarks.pricing.by_hand import read_published
from benchmarks.pricing.more_answers import EVERY_KIND
from optimizer.gateway.provider_objects.batch_results import BatchTally
from providers import usage as reports
from providers.catalogue import load_catalogue
from providers.completion import Usage
from providers.gemini.usage import GeminiUsageOfStream
from providers.gemini.usage import read_usage as read_gemini
from providers.pricing import CallPrice, PriceBook
from providers.usage_estimates import complete_embedded_usage

ANSWERS = 1_000
SEED = 25


def price_book() -> PriceBook:
    """Return the prices of the built-in catalogue, with the study's own providers."""
    return PriceBook(load_catalogue(Path(__file__).with_name("catalogue.toml")))


def answers(count: int, seed: int) -> Iterator[Answer]:
    """Yield answers of every kind of every price, in turn, with drawn quantities."""
    chance = Random(seed)
    published = read_published()
    others = {price.model: price for price in published if price.provider in ("claude", "openai")}
    pairs = [(price, kind) for price in published for kind in price.kinds]
    for price, kind in islice(cycle(pairs), count):
        yield EVERY_KIND[kind](Draw(price, chance, others))


def priced(book: PriceBook, answer: Answer) -> CallPrice:
    """Return what the service says that the answer cost."""
    provider, model = answer.price.provider, answer.price.model
    if answer.shape == "batch":
        return _batch(book, answer)
    usage = usage_of(answer)
    assert usage is not None, answer
    assert not usage.unreported, answer
    return book.price(provider, model, usage, answer.served.at)


def usage_of(answer: Answer) -> Usage | None:
    """Return the usage that the service reads from the answer."""
    first, *_ = answer.bodies
    own = answer.price.provider == "gemini"
    if answer.shape == "embeddings":
        return complete_embedded_usage(reports.read_usage(first), {"input": ""})
    if answer.shape == "whole":
        return read_gemini(answer.price.model, first) if own else reports.read_usage(first)
    usage = None
    stream = GeminiUsageOfStream(answer.price.model) if own else reports.UsageOfStream()
    for event in answer.bodies:
        usage = stream.add(event) or usage
    return usage


def _batch(book: PriceBook, answer: Answer) -> CallPrice:
    def price(model: str, usage: Usage) -> CallPrice:
        return book.price(answer.price.provider, model, usage, answer.served.at)

    tally = BatchTally(price)
    for body in answer.bodies:
        tally.line(json.dumps(body).encode())
    (total,) = tally.sums
    return CallPrice(total.cost, total.price_basis)  # type: ignore[arg-type]


def main() -> int:
    """Run the study and print how many costs agree."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ANSWERS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else SEED
    book, kinds, bases, wrong = price_book(), Counter[str](), Counter[str](), 0
    total = Decimal(0)
    for answer in answers(count, seed):
        price = priced(book, answer)
        kinds[f"{answer.price.provider} {answer.kind}"] += 1
        bases[price.basis] += 1
        total += answer.cost
        if price.cost != answer.cost:
            wrong += 1
            print(f"{answer.price.provider}/{answer.price.model} {answer.kind} "
                  f"{answer.served}: {price.cost} instead of {answer.cost}")  # fmt: skip
    for kind, number in sorted(kinds.items()):
        print(f"{number:5} {kind}")
    print(f"{count} answers of {total:.2f} USD; basis: {dict(bases)}; {wrong} costs differ.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
