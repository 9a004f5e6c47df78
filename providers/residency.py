"""Where data must stay: regions, and the feature that a model has if it serves within them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations

MOST_REGIONS = 6
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
NO_RESIDENCY: frozenset[str] = frozenset()


class ResidencyError(ValueError):
    """What names regions cannot be read; the message says what they may be."""


def read_regions(value: object) -> frozenset[str]:
    """Return the regions of a list, or of a text with commas. Raises :class:`ResidencyError`."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or len(names) > MOST_REGIONS:
        raise ResidencyError(f"must be a list of at most {MOST_REGIONS} regions, such as eu.")
    if not all(isinstance(name, str) for name in names):
        raise ResidencyError("must be texts such as eu or us-east.")
    regions = frozenset(text for name in names if (text := name.strip().lower()))
    for name in regions:
        if not _REGION.fullmatch(name):
            raise ResidencyError(
                "has at most 32 letters, digits and hyphens in each region, such as eu or us-east."
            )
    return regions


def regions_text(regions: Iterable[str]) -> str:
    """Return regions as people read them: "de and eu"."""
    return " and ".join(sorted(regions))


def residency_feature(residency: Iterable[str]) -> str:
    """Return the feature of a model that serves within all regions of ``residency``."""
    return f"data residency in {regions_text(residency)}"


def residency_features(regions: frozenset[str]) -> frozenset[str]:
    """Return the features of what serves within ``regions``, one for each residency that it meets.

    One feature stands for all regions of a request, so that two places that have one each do not
    look like one that has both.
    """
    return frozenset(
        residency_feature(some)
        for size in range(1, len(regions) + 1)
        for some in combinations(sorted(regions), size)
    )
