"""Builds what judges answers: the judge, shadow evaluation, the autopilot and the guarantee."""

from __future__ import annotations

import os
from concurrent.futures import Executor

from optimizer.gateway.follow_ups import Watchers
from optimizer.quality.guarantee import ActiveGuarantee
from optimizer.wiring.autopilot import configured_autopilot
from optimizer.wiring.installation.deciding import Deciding
from optimizer.wiring.installation.recording import Recording
from optimizer.wiring.installation.upstream import Upstream
from optimizer.wiring.operation.quality import ActiveQuality, JudgingInForce, Models
from optimizer.wiring.product_settings import ProductSettings
from optimizer.wiring.quality import (
    configured_judge,
    configured_judging,
    configured_lever_pairs,
    configured_shadow,
)


def build_judging(
    product: ProductSettings,
    upstream: Upstream,
    recording: Recording,
    deciding: Deciding,
    background: Executor,
) -> ActiveQuality:
    """Return the judge and the guarantee; judging runs on the thread ``background``."""
    names, caller, prices = upstream.names, upstream.caller, upstream.prices
    health = recording.ledger.health

    def judging_in_force(
        product: ProductSettings, guarantee: ActiveGuarantee | None
    ) -> JudgingInForce:
        judging = configured_judging(
            product, names, caller, prices, background, recording.budgets, lambda: health.can_record
        )
        autopilot = configured_autopilot(product, judging, deciding.options)
        watchers = Watchers(
            judge=configured_judge(product, judging, guarantee, recording.baselines),
            shadow=configured_shadow(product, judging),
            lever_pairs=configured_lever_pairs(product, judging),
            autopilot=autopilot.active,
            trial_answers=autopilot.answers,
        )
        return JudgingInForce(watchers, autopilot)

    models = Models(names, upstream.catalogue, caller, prices)
    return ActiveQuality(
        product, os.environ, models, recording.baselines, deciding.guarantee, judging_in_force
    )
