"""manage.py rebuild_evidence: rebuild what routing has learned from all feedback."""

from __future__ import annotations

from typing import Any

from analytics.management.teaching import TeachingCommand
from analytics.quality.evidence import evidence_rebuild


class Command(TeachingCommand):
    """Rebuild the evidence from all feedback."""

    help = (
        "Rebuild what routing has learned from all feedback, including replayed and imported "
        "outcomes. Only needed after feedback was changed by hand; the service can keep running."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Rebuild the evidence and print how many verdicts it contains."""
        self.stdout.write(f"Rebuilt from {evidence_rebuild()} verdicts.")
