"""manage.py rebuild_evidence: add up all verdicts anew."""

from __future__ import annotations

from typing import Any

from analytics.management.teaching import TeachingCommand
from analytics.quality.evidence import evidence_rebuild


class Command(TeachingCommand):
    help = (
        "Make what routing has learned anew from all feedback, replayed and imported outcomes "
        "included. Needed only after feedback was changed by hand; the service may go on."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Learned anew from {evidence_rebuild()} verdicts.")
