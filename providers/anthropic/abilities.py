"""What each generation of Claude takes, as the documentation of its models says.

Sources: https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting,
https://platform.claude.com/docs/en/build-with-claude/effort and the migration guides of the
models under https://platform.claude.com/docs/en/models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from providers import features
from providers.effort_levels import NO_EFFORTS, Efforts

_NAME = re.compile(
    r"claude[-_/ ](?:(?P<family>[a-z]+)-)?(?P<major>\d)(?:[-.](?P<minor>\d{1,2}))?(?!\d)", re.I
)
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
# https://openrouter.ai/docs/cookbook/evaluate-and-optimize/model-migrations/claude-5-5
_MEDIUM_BY_DEFAULT = frozenset({("opus", (5, 5)), ("haiku", (5, 5))})
_ALWAYS_THINKING = frozenset({"fable", "mythos"})


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one model takes.

    ``efforts`` are the levels of ``output_config.effort``. ``off`` is the value of ``thinking``
    that turns it off; it is empty if the model does not think unless asked, and ``None`` if it
    always thinks. ``later_system`` is whether a system message may follow a user's turn.
    ``usual`` is the level of a request that names none.
    """

    adaptive: bool = False
    budgets: bool = False
    efforts: tuple[str, ...] = ()
    off: str | None = ""
    sampling: bool = True
    prefill: bool = True
    forced_tools: bool = True
    later_system: bool = False
    usual: str = "high"

    @property
    def all_efforts(self) -> Efforts:
        """The efforts that the model takes as a level, or as a budget if it is asked to think."""
        if self.efforts:
            # A model that thinks only if it is asked to must not begin to by asking for less.
            return Efforts(self.efforts, "" if self.off == "" else self.usual)
        return Efforts(_EFFORTS[:3]) if self.budgets else NO_EFFORTS

    def effort(self, wanted: str) -> str:
        """Return the level that is nearest to ``wanted``; empty if there are none."""
        if not self.efforts or not wanted:
            return ""
        if wanted in self.efforts:
            return wanted
        if wanted in {"none", "minimal"}:
            return self.efforts[0]
        return self.efforts[-1] if wanted in _EFFORTS else ""


@lru_cache(maxsize=1024)
def abilities(model: str, lacks: frozenset[str] = frozenset()) -> Abilities:
    """Return what ``model`` takes, by its name, less what the catalogue says that it lacks."""
    known = _by_name(model)
    return Abilities(
        adaptive=known.adaptive and features.ADAPTIVE not in lacks,
        budgets=known.budgets and features.BUDGETS not in lacks,
        efforts=() if features.EFFORT in lacks else known.efforts,
        off=known.off,
        sampling=known.sampling and features.TEMPERATURE not in lacks,
        prefill=known.prefill and features.PREFILL not in lacks,
        forced_tools=known.forced_tools,
        later_system=known.later_system,
        usual=known.usual,
    )


def _by_name(model: str) -> Abilities:
    match = _NAME.search(model)
    if match is None:
        # Another company's model behind this wire: budgets are what such servers know.
        return Abilities(budgets=True)
    family = (match["family"] or "").lower()
    version = (int(match["major"]), int(match["minor"] or 0))
    if version < (3, 7):
        return Abilities()
    if version < (4, 6):
        known = _EFFORTS[:3] if (family, version) == ("opus", (4, 5)) else ()
        return Abilities(budgets=True, efforts=known)
    if version < (4, 7):
        return Abilities(adaptive=True, budgets=True, efforts=(*_EFFORTS[:3], "max"), prefill=False)
    off: str | None = "" if version < (5, 0) else "disabled"
    if (family == "opus" and version >= (5, 5)) or family in _ALWAYS_THINKING:
        off = None
    elif family == "sonnet" and version >= (5, 5):
        off = "between_tools"
    return Abilities(
        adaptive=True,
        efforts=_EFFORTS,
        off=off,
        sampling=False,
        prefill=False,
        # The models that cannot be kept from thinking refuse a forced choice of tools.
        forced_tools=off not in {None, "between_tools"},
        later_system=version >= (4, 8),
        usual="medium" if (family, version) in _MEDIUM_BY_DEFAULT else "high",
    )
