"""python -m benchmarks.analytics.replayed FILE...: does the report say what the file says?

Replays recorded outcomes through the service in a scratch database, reads the
report, and works the same figures out from the file alone: what each request
cost, what its baseline would have cost on the same tokens and on the baseline's
own, and how good both answers were.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import django

MILLION = Decimal(1_000_000)


class Direct(NamedTuple):
    """From the file and who answered each prompt: USD, and quality a request."""

    cost: Decimal
    baseline_cost: Decimal
    baseline_cost_own_tokens: Decimal
    quality: float
    baseline_quality: float


def direct(prompts: Sequence[Any], prices: Any, served: dict[str, tuple[str, str]]) -> Direct:
    """``served`` maps a prompt to the models that answered it and that would have."""
    cost = baseline = own = Decimal(0)
    quality = reference = 0.0
    for prompt in prompts:
        model, other = served[prompt.prompt]
        outcome, would = prompt.outcomes[model], prompt.outcomes[other]
        cost += priced(prices[model], outcome)
        baseline += priced(prices[other], outcome)
        own += priced(prices[other], would)
        quality += outcome.quality
        reference += would.quality
    count = len(prompts)
    return Direct(cost, baseline, own, quality / count, reference / count)


def priced(price: tuple[Decimal, Decimal], outcome: Any) -> Decimal:
    return (price[0] * outcome.input_tokens + price[1] * outcome.output_tokens) / MILLION


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.analytics.replayed", description=__doc__
    )
    parser.add_argument("data", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--prices", type=Path, required=True, metavar="FILE", help="TOML")
    options = parser.parse_args()
    scratch = tempfile.TemporaryDirectory()
    os.environ.update(DATA_DIR=scratch.name, DATABASE_URL="", LOG_LEVEL="ERROR")
    del os.environ["DATABASE_URL"]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "optimizer.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for path in options.data:
        check(path, options.prices)
        call_command("replay", "--remove", verbosity=0)


def check(path: Path, price_file: Path) -> None:
    from analytics.models import RequestRecord
    from analytics.reports.report import routing_report
    from optimizer.lab.price_list import read_price_list
    from optimizer.lab.replay import ReplayPlan
    from optimizer.wiring.offline.replay import replay
    from routing.outcomes import read_outcomes

    prices = read_price_list(price_file)
    # One prompt may be recorded twice; the replay knows prompts by their text.
    prompts = list({prompt.prompt: prompt for prompt in read_outcomes([path])}.values())
    asyncio.run(replay(prompts, prices, ReplayPlan(days=5)))
    served = {
        record.prompt: (record.model, record.decision.baseline_model)
        for record in RequestRecord.objects.filter(replayed=True).select_related("decision")
    }
    expected = direct(prompts, prices, served)
    report = routing_report(7)
    savings, adjusted, quality = report["savings"], report["adjusted"], report["quality"]
    print(f"\n{path.name}: {len(prompts)} prompts")
    exact = [
        ("spent", savings["intelligent_cost"], expected.cost),
        ("baseline, same tokens", savings["baseline_cost"], expected.baseline_cost),
        ("saved, same tokens", savings["total_saved"], expected.baseline_cost - expected.cost),
    ]
    for name, reported, worked_out in exact:
        same = "equal" if abs(reported - worked_out) < Decimal("1e-6") else "DIFFERENT"
        print(f"  {name:28s} reported {reported:14.8f}  file {worked_out:14.8f}  {same}")
    for name, reported, worked_out in (
        ("quality of routed answers", quality["routed"]["mean"], expected.quality),
        ("quality of the baseline", quality["baseline"]["mean"], expected.baseline_quality),
    ):
        same = "equal" if abs(reported - worked_out) < 1e-5 else "DIFFERENT"
        print(f"  {name:28s} reported {reported:14.6f}  file {worked_out:14.6f}  {same}")
    own = expected.baseline_cost_own_tokens - expected.cost
    inside = adjusted["saved_low"] <= own <= adjusted["saved_high"]
    print(
        f"  {'saved, own tokens':28s} reported {adjusted['total_saved']:14.8f} "
        f"[{adjusted['saved_low']:.8f}, {adjusted['saved_high']:.8f}]  file {own:14.8f}  "
        f"{'inside' if inside else 'OUTSIDE'}; lengths known for {adjusted['known_percent']} %"
    )
    print(f"  quality verdict: {quality['verdict']} (tolerance {quality['tolerance']})")


if __name__ == "__main__":
    main()
