"""Why spending changed: from the figures by model of a period and of the one before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from analytics.reports.exploration.cells import Cells, most_requests, readable_span, row_cells
from analytics.reports.exploration.change_causes import (
    Effects,
    ModelTraffic,
    change_causes,
    total_effects,
)
from analytics.reports.exploration.question import SpendQuestion
from analytics.reports.exploration.scans import CellQuery
from analytics.reports.figures import add_figures, no_figures


@dataclass(frozen=True, slots=True)
class ChangeExplanation:
    """Why spending changed: USD by cause, and by model; ``question`` has the periods compared."""

    question: SpendQuestion
    before: Decimal
    now: Decimal
    effects: Effects
    by_model: Mapping[str, Effects]

    @property
    def change(self) -> Decimal:
        """USD now less USD before; the effects add up to it."""
        return self.now - self.before


def period_pair(
    question: SpendQuestion, by: tuple[str, ...] = (), step: Any = None
) -> list[CellQuery]:
    """Return the queries of the period and of the one before."""
    return [
        CellQuery(by, question.since, question.until, step),
        CellQuery(by, *question.previous, step),
    ]


def explained_from_rows(
    question: SpendQuestion, output_weights: Mapping[str, float] | None
) -> ChangeExplanation:
    """Explain as much of the end of the period as can be read request by request."""
    most = most_requests(())
    edge = readable_span(question.filters, question.before, question.until, most)
    question = question.within(edge)
    now, before = row_cells(period_pair(question, ("model",)), question.filters)
    return explained(question, now, before, output_weights)


def explained(
    question: SpendQuestion, now: Cells, before: Cells, output_weights: Mapping[str, float] | None
) -> ChangeExplanation:
    """Explain the change from the cells of both periods by model."""
    earlier, later = _traffic(before), _traffic(now)
    effects = change_causes(earlier, later, output_weights)
    return ChangeExplanation(
        question, _cost_of(earlier), _cost_of(later), total_effects(effects), effects
    )


def _cost_of(period: Mapping[str, ModelTraffic]) -> Decimal:
    return sum((one.cost for one in period.values()), Decimal(0))


def _traffic(cells: Cells) -> dict[str, ModelTraffic]:
    sums: dict[str, Any] = {}
    for (_, (model,)), figures in cells.items():
        add_figures(sums.setdefault(model, no_figures()), figures)
    return {
        model: ModelTraffic(
            figures["requests"],
            figures["failed"],
            figures["cache_hits"],
            figures["tokens_in"],
            figures["tokens_out"],
            figures["cost"],
            figures["prompt_cache_saved"],
        )
        for model, figures in sums.items()
    }
