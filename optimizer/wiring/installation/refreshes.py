"""What a process reads again and again: the data that others may change."""

from __future__ import annotations

from collections.abc import Callable

from optimizer.wiring.installation.deciding import Deciding
from optimizer.wiring.installation.recording import Recording
from optimizer.wiring.installation.upstream import Upstream
from optimizer.wiring.operation.quality import ActiveQuality


def data_of_others(
    upstream: Upstream, recording: Recording, deciding: Deciding, quality: ActiveQuality
) -> dict[str, Callable[[], object]]:
    """Return what reads the data that other workers, the admin or a command may change."""
    refreshes: dict[str, Callable[[], object]] = {
        # Also twice a second while the service runs; commands only read what is here.
        "the providers and models set here": upstream.operation.refresh,
        "the outcomes": deciding.evidence.refresh,
        "the rules": deciding.rules.refresh,
        "the experiments": deciding.experiments.refresh,
        "the lengths of answers": deciding.output_lengths.refresh,
        "the speed of models": deciding.speeds.refresh,
        "judge, guarantee and baseline": quality.refresh,
        "the compared answers": quality.refresh_guarantee,
        "the counts of shadow evaluation": quality.write_counts,
        "the trials of the autopilot": quality.refresh_trials,
        "the cascades": deciding.cascade_outcomes.refresh,
    }
    if recording.sessions is not None:
        refreshes["the lengths of sessions"] = recording.sessions.refresh
    return refreshes
