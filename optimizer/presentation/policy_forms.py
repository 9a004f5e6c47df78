"""A policy as the filled form of a rule or of an experiment, for people to check and save."""

from __future__ import annotations

import re

from optimizer.policies.policy import PolicySpec

_NO_NAME = re.compile(r"[^\w.-]+", re.ASCII)
_LONGEST_NOTE, _LONGEST_NAME = 500, 60
_USUAL = "hybrid"


def rule_fields(policy: PolicySpec, note: str) -> dict[str, str] | None:
    """Return the fields of a rule that does what ``policy`` does; ``None`` if no rule can.

    A rule can force models and set bounds; a strategy is chosen by a request, or tried by an
    experiment. The rule is off until somebody switches it on.
    """
    fields: dict[str, str] = {}
    if policy.only:
        fields |= {"action": "force", "model_names": "\n".join(map(str, sorted(policy.only)))}
    elif policy.strategy != _USUAL:
        return None
    if policy.quality_target is not None:
        fields["quality_target"] = f"{policy.quality_target:g}"
    if policy.cost_cap is not None:
        fields["cost_cap"] = f"{policy.cost_cap:f}"
    if not fields:
        return None
    return {"name": _name(policy, " "), "note": note[:_LONGEST_NOTE], **fields}


def experiment_fields(policy: PolicySpec, note: str) -> dict[str, str] | None:
    """Return the fields of an experiment of ``policy`` against usual routing.

    ``None`` for usual routing itself.
    """
    if policy.name == _USUAL:
        return None
    name = _NO_NAME.sub("-", _name(policy, "-"))
    return {
        "name": name, "control": _USUAL, "treatment": policy.name, "note": note[:_LONGEST_NOTE],
    }  # fmt: skip


def _name(policy: PolicySpec, gap: str) -> str:
    return f"what{gap}if{gap}{policy.name}"[:_LONGEST_NAME]
