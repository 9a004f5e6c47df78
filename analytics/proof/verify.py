#!/usr/bin/env python3
"""Verify a proof of AI Cost Optimizer, with python3 verify.py proof-2026-10.zip.

This one file needs Python 3.9 or later and nothing else. It checks the signature of the bundle
and of each day's root, that every row is one of those that were sealed, and computes every
figure of the statement again from the rows, prices and verdicts in the bundle. It prints what
does not agree, and ends with 0 if everything does, else with 1.

A new method of computing an interval, a quality verdict or what a lever saved is a function in
INTERVALS, QUALITIES or LEVER_METHODS, by its name and version; an old bundle keeps the method that
it names.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import statistics
import sys
import zipfile
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

PLACES = Decimal("0.0000000001")
ZERO = Decimal(0)
TIE = 1e-9  # variances that differ by less are equal
SIGNATURE = b"Ed25519 "
Row = dict[str, Any]


class Unreadable(Exception):
    """The file is no bundle, its signature does not fit, or its content has another form."""


# --- Ed25519, as in RFC 8032, section 5.1 --------------------------------------------

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
Point = tuple[int, int, int, int]
_Y = 4 * pow(5, _P - 2, _P) % _P


def _add(one: Point, two: Point) -> Point:
    a = (one[1] - one[0]) * (two[1] - two[0]) % _P
    b = (one[1] + one[0]) * (two[1] + two[0]) % _P
    c, d = 2 * one[3] * two[3] * _D % _P, 2 * one[2] * two[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(number: int, point: Point) -> Point:
    total: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = _add(total, point)
        point, number = _add(point, point), number >> 1
    return total


def _point(text: bytes) -> Point | None:
    value = int.from_bytes(text, "little")
    sign, y = value >> 255, value & ((1 << 255) - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def signature_fits(public: str, signature: str, message: bytes) -> bool:
    """Return whether the Ed25519 signature is the key's; both are lower-case hexadecimal."""
    try:
        key, text = bytes.fromhex(public), bytes.fromhex(signature)
    except ValueError:
        return False
    if len(key) != 32 or len(text) != 64 or text.hex() != signature:
        return False
    a, r, s = _point(key), _point(text[:32]), int.from_bytes(text[32:], "little")
    base = _point(_Y.to_bytes(32, "little"))
    if a is None or r is None or base is None or s >= _ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(text[:32] + key + message).digest(), "little") % _ORDER
    left, right = _times(s, base), _add(r, _times(h, a))
    same_x = (left[0] * right[2] - right[0] * left[2]) % _P == 0
    return same_x and (left[1] * right[2] - right[1] * left[2]) % _P == 0


# --- The random numbers of NumPy's default generator (PCG64, NumPy's SeedSequence) -----

_M32, _M64, _M128 = 2**32 - 1, 2**64 - 1, 2**128 - 1
_MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645


class Random:
    """The numbers that numpy.random.default_rng(seed) draws, for a seed below 2 ** 32."""

    def __init__(self, seed: int) -> None:
        words = self._seed_words(seed)
        state, increment = words[0] << 64 | words[1], words[2] << 64 | words[3]
        self._increment = (increment << 1 | 1) & _M128
        self._state = 0
        self._step()
        self._state = (self._state + state) & _M128
        self._step()

    @staticmethod
    def _seed_words(seed: int) -> list[int]:
        constant = 0x43B0D7E5

        def hashed(value: int) -> int:
            nonlocal constant
            value ^= constant
            constant = constant * 0x931E8875 & _M32
            value = value * constant & _M32
            return value ^ value >> 16

        def mixed(x: int, y: int) -> int:
            value = (0xCA01F9DD * x - 0x4973F715 * y) & _M32
            return value ^ value >> 16

        pool = [hashed(seed)] + [hashed(0) for _ in range(3)]
        for source in range(4):
            for target in range(4):
                if source != target:
                    pool[target] = mixed(pool[target], hashed(pool[source]))
        constant, words = 0x8B51F9DD, []
        for at in range(8):
            value = pool[at % 4] ^ constant
            constant = constant * 0x58F38DED & _M32
            value = value * constant & _M32
            words.append(value ^ value >> 16)
        return [words[at] | words[at + 1] << 32 for at in range(0, 8, 2)]

    def _step(self) -> None:
        self._state = (self._state * _MULTIPLIER + self._increment) & _M128

    def uniform(self) -> float:
        """Return the next number from 0 to 1."""
        self._step()
        value, turn = (self._state >> 64 ^ self._state) & _M64, self._state >> 122
        value = (value >> turn | value << (-turn & 63)) & _M64
        return (value >> 11) * 2.0**-53

    def binomial(self, n: int, p: float) -> int:
        """Return a binomial number by inversion, as NumPy does while n * min(p, 1 - p) <= 30."""
        if n == 0 or p == 0.0:
            return 0
        if p > 0.5:
            return n - self.binomial(n, 1.0 - p)
        q = 1.0 - p
        first, mean = math.exp(n * math.log(q)), n * p
        bound = int(min(float(n), mean + 10.0 * math.sqrt(mean * q + 1)))
        x, share, u = 0, first, self.uniform()
        while u > share:
            x += 1
            if x > bound:
                x, share, u = 0, first, self.uniform()
            else:
                u -= share
                share = (n - x + 1) * p * share / (x * q)
        return x

    def multinomial(self, n: int, groups: int) -> list[int]:
        """Return how many of ``n`` fall into each of so many equally likely groups."""
        counts, left, remaining, share = [0] * groups, n, 1.0, 1 / groups
        for at in range(groups - 1):
            counts[at] = self.binomial(left, share / remaining)
            left -= counts[at]
            if left <= 0:
                return counts
            remaining -= share
        counts[-1] = left
        return counts


# --- Intervals of savings, by the name and version of their method -------------------


def random_groups(method: Row, rows: Sequence[Row], saved: Callable[[Row], Decimal]) -> Row:
    """Return the bootstrap-t interval over groups by the last two digits of the ids.

    Efron & Tibshirani (1993), chapter 12; Wolter (2007), chapters 2 and 6.
    """
    groups: dict[str, list[Any]] = defaultdict(lambda: [0, ZERO])
    for row in rows:
        groups[row["id"][-2:]][0] += paired(row)
        groups[row["id"][-2:]][1] += saved(row)
    size = method["groups"]
    sums = [groups[name] for name in sorted(groups)]
    padding = [0.0] * (size - len(sums))
    counts = [float(count) for count, _ in sums] + padding
    totals = [float(total) for _, total in sums] + padding
    n = sum(counts)
    if n < method["minimum"]:
        return {"saved_low": None, "saved_high": None}
    products = [
        [total * total for total in totals],
        [total * count for total, count in zip(totals, counts)],  # noqa: B905 - strict is of 3.10
        [count * count for count in counts],
    ]

    def estimate(draw: Sequence[int]) -> tuple[float, float]:
        def weighed(values: Sequence[float]) -> float:
            return math.fsum(map(float.__mul__, map(float, draw), values))

        requests = max(weighed(counts), 1.0)
        ratio = weighed(totals) / requests
        squares = weighed(products[0])
        spread = squares - 2 * ratio * weighed(products[1]) + ratio**2 * weighed(products[2])
        return ratio, (math.sqrt(spread) if spread > 1e-12 * squares else 0.0) / requests

    ratio, error = estimate([1] * size)
    values = []
    for draw in _draws(method["seed"], method["replicates"], size):
        other, its_error = estimate(draw)
        if its_error > 0:
            values.append((other - ratio) / its_error)
    if not error or not values:
        return {"saved_low": money(n * ratio), "saved_high": money(n * ratio)}
    values.sort()
    low, high = percentile(values, 2.5), percentile(values, 97.5)
    return {
        "saved_low": money(n * (ratio - high * error)),
        "saved_high": money(n * (ratio - low * error)),
    }


@lru_cache(maxsize=2)
def _draws(seed: int, replicates: int, size: int) -> list[list[int]]:
    random = Random(seed)
    return [random.multinomial(size, size) for _ in range(replicates)]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile of sorted values, interpolated."""
    place = (len(values) - 1) * percent / 100
    at = int(place)
    above = values[min(at + 1, len(values) - 1)]
    return values[at] + (above - values[at]) * (place - at)


Clusters = Sequence[tuple[float, float]]
Spread = tuple[float, float, float, str]
Z_90 = 1.281552


class TooFew(Exception):
    """The requests are too few, or come from too few sessions or users."""


def clustered(method: Row, rows: Sequence[Row], saved: Callable[[Row], Decimal]) -> Row:
    """Return the interval over the clusters that vary most: requests, sessions, users, keys, days.

    Bell & McCaffrey (2002); Imbens & Kolesar (2016); Hall (1992), section 3.8; Cameron, Gelbach
    & Miller (2011).
    """
    clusters = {
        by: clusters_of(rows, saved, of)
        for by, of in (
            ("request", lambda row: "r" + row["id"][-2:]),
            ("session", lambda row: bucket(row, "session_id")),
            ("user", lambda row: bucket(row, "user_id", "session_id")),
            ("key", lambda row: bucket(row, "api_key", "user_id", "session_id")),
            ("day", lambda row: row["created_at"][:10]),
        )
    }
    names = "saved_low", "saved_high", "next_saved_low", "next_saved_high"
    for by, column in (("user", "user_id"), ("key", "api_key")):
        named = {bucket(row, column) for row in rows if row[column]}
        if len(named) < method["fewest_clusters"]:
            del clusters[by]
    try:
        spread = most_spread(method, clusters)
        tail = tail_of(method, clusters, spread) if "most_wider" in method else 0.0
    except TooFew as error:
        return {**dict.fromkeys(names), "varies_by": None, "no_interval": str(error)}
    total = math.fsum(total for _, total in clusters["request"])
    bounds = [
        total + side * math.sqrt(times)
        for times in (1, 2)
        for side in sides_of(method, spread, tail)
    ]
    figures = {name: money(bound) for name, bound in zip(names, bounds)}  # noqa: B905
    return {**figures, "varies_by": spread[3], "no_interval": ""}


def sides_of(method: Row, spread: Spread, tail: float = 0.0) -> tuple[float, float]:
    """Return how far below (negative) and above the bounds lie; ``tail`` is a skewness too."""
    variance, freedom, skewness, _ = spread
    if not variance:
        return 0.0, 0.0
    quantile = t_quantile((1 + method["level"]) / 2, freedom)
    middle = quantile
    if "student" in method:
        middle = statistics.NormalDist().inv_cdf((1 + method["level"]) / 2)
        quantile = middle + method["student"] * (quantile - middle)
    shift = skewness * (2 * 1.959964**2 + 1) / 6
    # Earlier versions leave the side of the shorter tail as it is.
    longer, shorter = method["skew"] * abs(shift), method.get("short_skew", 0.0) * abs(shift)
    below, above = quantile - shorter, quantile + longer
    if shift < 0:
        below, above = above, below
    tail *= method["skew"] * (2 * 1.959964**2 + 1) / 6
    if tail > 0:
        above = max(above, middle + tail)
    elif tail < 0:
        below = max(below, middle - tail)
    error = math.sqrt(variance)
    return -error * below, error * above


def tail_of(method: Row, clusters: Mapping[str, Clusters], spread: Spread) -> float:
    """Return the skewness that the middle of users or keys shows, of a log-normal distribution.

    Raise TooFew if it widens a side too much.
    """
    requests = sum(count for count, _ in clusters["request"])
    usable = usable_kinds(method, clusters, requests)
    tails = {
        by: method["tail"] * tail_of_one(clusters[by]) for by in ("user", "key") if by in usable
    }
    if not tails or not spread[0]:
        return 0.0
    by = max(tails, key=lambda kind: abs(tails[kind]))
    plain, wider = sides_of(method, spread), sides_of(method, spread, tails[by])
    if any(abs(new) > method["most_wider"] * abs(old) for old, new in zip(plain, wider)):  # noqa: B905
        squares = sum(count * count for count, _ in clusters[by])
        raise TooFew(
            f"the {by}s differ so strongly that {requests**2 / squares:.0f} do not show their mean"
        )
    return tails[by]


def tail_of_one(clusters: Clusters) -> float:
    """Return that skewness for the total of these clusters, without those that save nothing.

    They weigh by their requests.
    """
    saving = [(count, total) for count, total in clusters if count > 0 and total != 0]
    if not saving:
        return 0.0
    effective = sum(count for count, _ in saving) ** 2 / sum(count * count for count, _ in saving)
    means = sorted((total / count, count) for count, total in saving)
    low, middle, high = (weighted_percentile(means, at) for at in (0.1, 0.5, 0.9))
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        return 0.0
    bowley = (high + low - 2 * middle) / (high - low)
    square = math.exp((2 * math.atanh(min(abs(bowley), 0.98)) / Z_90) ** 2)
    return math.copysign((square + 2) * math.sqrt(square - 1) / math.sqrt(effective), bowley)


def weighted_percentile(pairs: Sequence[tuple[float, float]], share: float) -> float:
    """Return the value below which ``share`` of the weights of sorted (value, weight) lies."""
    whole, passed, before = sum(weight for _, weight in pairs), 0.0, None
    for value, weight in pairs:
        at = (passed + weight / 2) / whole
        if at >= share:
            if before is None or at == share:
                return value
            (last, place) = before
            return last + (value - last) * (share - place) / (at - place)
        before, passed = (value, at), passed + weight
    return pairs[-1][0]


def bucket(row: Row, *columns: str) -> str:
    """Return the group of a row by the first of these columns that is not empty."""
    for name in columns:
        if row[name]:
            digest = hashlib.md5(row[name].encode(), usedforsecurity=False).hexdigest()
            return name[0] + digest[-2:]
    return "r" + str(row["id"][-2:])


def clusters_of(
    rows: Sequence[Row], saved: Callable[[Row], Decimal], of: Callable[[Row], str]
) -> Clusters:
    """Return the number of compared requests and what they saved, of each cluster."""
    sums: dict[str, list[Any]] = defaultdict(lambda: [0, ZERO])
    for row in rows:
        one = sums[of(row)]
        one[0] += paired(row)
        one[1] += saved(row)
    clusters = [(count, float(total)) for _, (count, total) in sorted(sums.items())]
    return [one for one in clusters if any(one)]


def most_spread(method: Row, clusters: Mapping[str, Clusters]) -> Spread:
    """Return variance, degrees of freedom, skewness and kind of the clusters that vary most."""
    n = sum(count for count, _ in clusters["request"])
    if n < method["minimum"]:
        raise TooFew(f"{n} requests are too few; {method['minimum']} are needed")

    usable = usable_kinds(method, clusters, n)
    one = math.fsum(e * e for e in _residuals(clusters["request"])) / n
    if "tails" in method:
        refuse_heavy_tails(method, clusters, usable)
    return widest_spread({by: spread_of(clusters[by], one, by) for by in usable})


def refuse_heavy_tails(method: Row, clusters: Mapping[str, Clusters], kinds: Iterable[str]) -> None:
    """Raise TooFew if users or keys are too unlike for their number.

    Cochran (1977), section 2.15, with the skewness of a log-normal distribution that has the
    middle of their means.
    """
    for by in [by for by in ("user", "key") if by in kinds]:
        saving = [(count, total) for count, total in clusters[by] if count > 0 and total != 0]
        if not saving:
            continue
        squares = sum(count * count for count, _ in saving)
        effective = sum(count for count, _ in saving) ** 2 / squares
        means = sorted(total / count for count, total in saving)
        low, middle, high = (percentile(means, at) for at in (10, 50, 90))
        if high - low <= 1e-12 * max(abs(low), abs(high)):
            continue
        certain = abs(high + low - 2 * middle) / (high - low)
        certain -= method["tail_noise"] / math.sqrt(effective)
        if certain <= 0:
            continue
        square = math.exp((2 * math.atanh(min(certain, 0.98)) / Z_90) ** 2)
        needed = method["tails"] * ((square + 2) * math.sqrt(square - 1)) ** 2
        if effective < needed:
            raise TooFew(
                f"the {by}s differ so strongly that {effective:.0f} do not show their "
                f"mean: about {min(needed, 1e6):.0f} are needed"
            )


def usable_kinds(method: Row, clusters: Mapping[str, Clusters], n: float) -> list[str]:
    """Return the kinds of clusters that can be told apart; raise TooFew if few have it all."""

    def effective(by: str) -> float:
        squares = sum(count * count for count, _ in clusters[by])
        return float(n * n / squares)

    fewest = method["fewest_clusters"]
    if effective("request") < 2:
        raise TooFew("nearly all requests are in one group")
    usable = ["request"]
    for by in [by for by in ("session", "user", "key", "day") if by in clusters]:
        few = effective(by) < method["fewest_days" if by == "day" else "fewest_clusters"]
        given = by != "session" and len(clusters[by]) < fewest
        if by != "day" and few and not given:
            raise TooFew(
                f"the requests weigh like those of {effective(by):.1f} {by}s; {fewest} are needed"
            )
        if not few and max(count for count, _ in clusters[by]) / n < 0.9:
            usable.append(by)
    return usable


def widest_spread(spreads: Mapping[str, Spread]) -> Spread:
    """Return the widest spread, or what users and days, which cross, come to together."""

    def widest(kinds: Sequence[str]) -> Spread | None:
        # Of equal ones the first: rounding must not decide.
        among = [spreads[by] for by in kinds if by in spreads]
        least = max((spread[0] for spread in among), default=0.0) * (1 - TIE)
        return next((spread for spread in among if spread[0] >= least), None)

    most, coarse, day = widest(list(spreads)), widest(("user", "key")), spreads.get("day")
    fine = widest(("request", "session"))
    if most is None or fine is None or coarse is None or day is None:
        return most or fine or spreads["request"]
    together = coarse[0] + day[0] - fine[0]
    if together <= most[0] * (1 + TIE):
        return most
    squares = coarse[0] ** 2 / coarse[1] + day[0] ** 2 / day[1]
    return together, together**2 / squares, most[2], most[3]


def _residuals(clusters: Clusters) -> list[float]:
    ratio = math.fsum(total for _, total in clusters) / sum(count for count, _ in clusters)
    return [total - ratio * count for count, total in clusters]


def spread_of(clusters: Clusters, one: float, by: str) -> Spread:
    """Return the variance of the total by these clusters, its degrees of freedom and skewness."""
    requests = sum(count for count, _ in clusters)
    residuals, sizes = _residuals(clusters), [float(count) for count, _ in clusters]
    shares = [size / requests for size in sizes]
    left = [(1 - share) ** -0.5 for share in shares]
    corrected = [e * a for e, a in zip(residuals, left)]  # noqa: B905
    squares = math.fsum(e * e for e in corrected)
    if squares <= 1e-12 * math.fsum(total * total for _, total in clusters):
        return 0.0, 1.0, 0.0, by
    pairs = sum(size * (size - 1) for size in sizes)
    rho = 0.0
    if pairs > 0 and one > 0:
        rho = (math.fsum(e * e * a for e, a in zip(residuals, left)) / one - requests) / pairs  # noqa: B905
    rho = min(max(rho, 0.0), 1.0)
    v = [size + rho * size * max(size - 1, 0) for size in sizes]
    total = math.fsum(v)
    w = [a * a for a in left]
    beside = [h * h * total - 2 * h * x for h, x in zip(shares, v)]  # noqa: B905
    each = list(zip(w, shares, v, beside))  # noqa: B905
    trace = math.fsum(w * (x + b) for w, h, x, b in each)
    a = math.fsum(w * h * h for w, h, x, b in each)
    b2 = math.fsum(w * x * x for w, h, x, b in each)
    c = math.fsum(w * h * x for w, h, x, b in each)
    square = 2 * a * b2 + 2 * c * c + (a * total) ** 2 - 4 * total * a * c
    square += math.fsum(w * w * ((x + b) ** 2 - b * b) for w, h, x, b in each)
    freedom = max(1.0, trace**2 / square) if square > 0 else 1.0
    return squares, freedom, math.fsum((e / math.sqrt(squares)) ** 3 for e in corrected), by


def t_quantile(probability: float, freedom: float) -> float:
    """Return the value that Student's t is below with this probability, above a half."""
    tail, low, high = 2 * (1 - probability), 0.0, 1.0
    while high - low > 1e-15 * high:
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        if _incomplete_beta(freedom / 2, 0.5, middle) < tail:
            low = middle
        else:
            high = middle
    x = (low + high) / 2
    return math.sqrt(freedom * (1 - x) / x)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function (Press et al., 2007, section 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(front + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    def kept(value: float) -> float:
        return value if abs(value) > 1e-300 else 1e-300

    c, d = 1.0, 1 / kept(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 300):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for term in (even, odd):
            d, c = 1 / kept(1 + term * d), kept(1 + term / c)
            change = d * c
            result *= change
        if abs(change - 1) < 1e-15:
            break
    return result


INTERVALS: dict[tuple[str, int], Callable[..., Row]] = {
    ("random-groups-bootstrap-t", 1): random_groups,
    ("clustered", 1): clustered,
    ("clustered", 2): clustered,
    ("clustered", 3): clustered,
    ("clustered", 4): clustered,
}

# --- Quality and its verdict, by the name and version of the method ------------------

Mean = dict[str, Any]
NO_MEAN: Mean = {"mean": None, "low": None, "high": None, "count": 0}


def mean_of(method: Row, values: Sequence[float], minimum: float = 0.0) -> Mean:
    """Return a mean with the interval of Agresti & Coull (1998): two values more at each bound."""
    count = len(values)
    if not count:
        return dict(NO_MEAN)
    mean = {**NO_MEAN, "mean": sum(values) / count, "count": count}
    if count >= method["minimum"]:
        n = count + 4
        centre = (sum(values) + 2 * (minimum + 1)) / n
        second = (sum(value**2 for value in values) + 2 * (minimum**2 + 1)) / n
        half = method["z"] * math.sqrt(max(second - centre**2, 0.0) / n)
        mean["low"], mean["high"] = max(minimum, centre - half), min(1.0, centre + half)
    return mean


def pairs_or_ratings(
    method: Row, rows: Mapping[str, Row], pairs: Sequence[Row], ratings: Sequence[Row]
) -> Row:
    """Return the quality from answers that were compared, or else from ratings within a kind."""
    served = [pair for pair in pairs if pair["served"] and pair["score"] is not None]
    gains = [pair["score"] - pair["reference_score"] for pair in served]
    difference, basis = mean_of(method, gains, -1.0), "pairs"
    baseline = mean_of(method, [pair["reference_score"] for pair in served])
    routed = mean_of(method, [pair["score"] for pair in served])
    if difference["count"] < method["minimum"]:
        difference, baseline, basis = dict(NO_MEAN), dict(NO_MEAN), "nothing"
        routed = mean_of(method, [rating["score"] for rating in ratings])
        across = _across_kinds(method, _kinds(rows, ratings))
        if across is not None:
            difference, baseline, basis = across[0], across[1], "ratings"
    return _with_verdict(method, routed, baseline, difference, basis)


def _kinds(rows: Mapping[str, Row], ratings: Sequence[Row]) -> list[list[list[float]]]:
    kinds: dict[tuple[str, str], list[list[float]]] = defaultdict(lambda: [[], []])
    for rating in ratings:
        row = rows[rating["request"]]
        if row["decided"] and row["decision.baseline_model"]:
            baseline = row["decision.baseline_provider"], row["decision.baseline_model"]
            same = (rating["provider"], rating["model"]) == baseline
            kinds[rating["pattern"], rating["tier"]][same].append(rating["score"])
    return [kind for kind in kinds.values() if len(kind[0]) > 1 and len(kind[1]) > 1]


def _across_kinds(method: Row, kinds: list[list[list[float]]]) -> tuple[Mean, Mean] | None:
    others, rated = sum(len(kind[0]) for kind in kinds), sum(len(kind[1]) for kind in kinds)
    if min(others, rated) < method["minimum"]:
        return None

    def variance(values: list[float]) -> float:
        mean = (sum(values) + 1) / (len(values) + 2)
        return max((sum(v**2 for v in values) + 1) / (len(values) + 2) - mean**2, 0.0)

    def normal(mean: float, spread: float, count: int, minimum: float) -> Mean:
        half = method["z"] * math.sqrt(spread)
        return {
            "mean": mean, "low": max(minimum, mean - half), "high": min(1.0, mean + half),
            "count": count,
        }  # fmt: skip

    gain = spread = level = level_spread = 0.0
    for other, reference in kinds:
        n, m = len(other), len(reference)
        share, weight = n / (others + rated), (n + m) / (others + rated)
        gain += share * (sum(other) / n - sum(reference) / m)
        spread += share**2 * (variance(other) / n + variance(reference) / m)
        level += weight * sum(reference) / m
        level_spread += weight**2 * variance(reference) / m
    return normal(gain, spread, others + rated, -1.0), normal(level, level_spread, rated, 0.0)


def pairs_or_weighed_ratings(
    method: Row, rows: Mapping[str, Row], pairs: Sequence[Row], ratings: Sequence[Row]
) -> Row:
    """Return the quality from answers that were compared, or from ratings by propensity."""
    served = [pair for pair in pairs if pair["served"] and pair["score"] is not None]
    difference, baseline, basis = dict(NO_MEAN), dict(NO_MEAN), "nothing"
    if len(served) >= method["minimum"]:
        labels = labels_of(
            method,
            [(str(p["id"]), p["session"], p["user"], p["key"], p["created_at"]) for p in served],
        )
        basis = "pairs"
        gains = [pair["score"] - pair["reference_score"] for pair in served]
        difference = bounded_mean(method, gains, labels, -1.0)
        baseline = bounded_mean(method, [pair["reference_score"] for pair in served], labels)
        routed = bounded_mean(method, [pair["score"] for pair in served], labels)
    else:
        routed = mean_of(method, [rating["score"] for rating in ratings])
        rated = _rated_difference(method, rows, ratings)
        if rated is not None:
            (difference, baseline), basis = rated, "ratings"
    return _with_verdict(method, routed, baseline, difference, basis)


def _with_verdict(method: Row, routed: Mean, baseline: Mean, difference: Mean, basis: str) -> Row:
    low, high, verdict = difference["low"], difference["high"], "not shown"
    if low is not None and high is not None:
        if low >= -method["tolerance"]:
            verdict = "holds"
        elif high < -method["tolerance"]:
            verdict = "falls short"
    return {
        "routed": routed, "baseline": baseline, "difference": difference, "basis": basis,
        "tolerance": method["tolerance"], "verdict": verdict,
    }  # fmt: skip


Labels = dict[str, list[str]]


def labels_of(method: Row, origins: Sequence[tuple[Any, ...]]) -> Labels:
    """Return the names of the clusters of each (id, session, user, key, time)."""
    sessions = [f"s{one[1]}" if one[1] else f"r{one[0]}" for one in origins]
    users = [f"u{one[2]}" if one[2] else name for one, name in zip(origins, sessions)]  # noqa: B905
    keys = [f"k{one[3]}" if one[3] else name for one, name in zip(origins, users)]  # noqa: B905
    labels = {
        "session": sessions, "user": users, "key": keys, "day": [one[4][:10] for one in origins],
    }  # fmt: skip
    for by, at in (("user", 2), ("key", 3)):
        if len({one[at] for one in origins if one[at]}) < method["fewest_clusters"]:
            del labels[by]
    return labels


def labelled(values: Sequence[float], labels: Labels) -> dict[str, Clusters]:
    """Return the number and sum of the values of each cluster, by kind."""
    clusters: dict[str, Clusters] = {"request": [(1, value) for value in values]}
    for by, names in labels.items():
        sums: dict[str, list[Any]] = defaultdict(lambda: [0, []])
        for name, value in zip(names, values):  # noqa: B905
            sums[name][0] += 1
            sums[name][1].append(value)
        clusters[by] = [(count, math.fsum(of)) for _, (count, of) in sorted(sums.items())]
    return clusters


def bounded_mean(
    method: Row, values: Sequence[float], labels: Labels, minimum: float = 0.0
) -> Mean:
    """Return a mean of values up to 1, with two more at each bound (Agresti & Coull 1998)."""
    mean = {**NO_MEAN, "mean": math.fsum(values) / len(values), "count": len(values)}
    clusters = labelled(values, labels)
    try:
        kinds = usable_kinds(method, clusters, len(values))
    except TooFew:
        return mean
    alone = spread_of(clusters["request"], 1.0, "request")[0]
    added = {}
    for by in kinds:
        size = sum(count**2 for count, _ in clusters[by]) / len(values)
        each = 1.0
        if by not in {"request", "day"}:
            spread = spread_of(clusters[by], 1.0, by)[0]
            each = min(max(spread / alone, 1.0), size) if alone else size
        bounds = [(each, each * minimum)] * 2 + [(each, each)] * 2
        added[by] = [*clusters[by], *bounds]
    one = math.fsum(e * e for e in _residuals(added["request"]))
    one /= sum(count for count, _ in added["request"])
    spreads, centres = {}, {}
    for by, of in added.items():
        total = sum(count for count, _ in of)
        variance, freedom, skewness, _ = spread_of(of, one, by)
        spreads[by] = (variance / total**2, freedom, skewness, by)
        centres[by] = math.fsum(value for _, value in of) / total
    most = widest_spread(spreads)
    low, high = sides_of(method, most)
    centre = centres[most[3]]
    return {**mean, "low": max(minimum, centre + low), "high": min(1.0, centre + high)}


def _rated_difference(
    method: Row, rows: Mapping[str, Row], ratings: Sequence[Row]
) -> tuple[Mean, Mean] | None:
    def comparable(row: Row) -> bool:
        answered = not row["cache_hit"] and row["status"] not in {"error", "refused"}
        return bool(answered and row["decided"] and row["decision.baseline_model"])

    def kind(row: Row) -> tuple[str, ...]:
        return row["pattern"], row["tier"], row["provider"], row["model"]

    latest = sorted(
        (rating for rating in ratings if comparable(rows[rating["request"]])),
        key=lambda rating: (
            rows[rating["request"]]["created_at"],
            rating["request"],
            -rating["id"],
        ),
        reverse=True,
    )
    scores: dict[str, list[float]] = defaultdict(list)
    chance_of: dict[str, float] = {}
    for rating in latest[: method["most_rated"]]:
        scores[rating["request"]].append(rating["score"])
        chance_of[rating["request"]] = rating["propensity"]
    answers: dict[tuple[str, ...], int] = defaultdict(int)
    rated: dict[tuple[str, ...], int] = defaultdict(int)
    for row in rows.values():
        answers[kind(row)] += comparable(row)
    for name in scores:
        rated[kind(rows[name])] += 1
    names, score = list(scores), [sum(of) / len(of) for of in scores.values()]
    chance = [min(1.0, rated[kind(rows[name])] / answers[kind(rows[name])]) for name in names]
    propensity = [chance_of[name] for name in names]
    same = [
        (rows[name]["provider"], rows[name]["model"])
        == (rows[name]["decision.baseline_provider"], rows[name]["decision.baseline_model"])
        for name in names
    ]
    was = [1 / c for c in chance]
    had = [1 / (p * c) if s and p > 0 else 0.0 for p, c, s in zip(propensity, chance, same)]  # noqa: B905
    if not names or min(_kish(was), _kish(had)) < method["fewest_effective"]:
        return None
    beyond = math.fsum(w for w, p in zip(was, propensity) if p <= 0) / math.fsum(was)  # noqa: B905
    if beyond > method["most_unsupported"]:
        return None
    columns = ("id", "session_id", "user_id", "api_key", "created_at")
    labels = labels_of(method, [tuple(rows[name][column] for column in columns) for name in names])
    (mean, parts, added), (level, its, more) = _weighed(score, was), _weighed(score, had)
    try:
        gains = [one - other for one, other in zip(parts, its)]  # noqa: B905
        low, high = _sum_bounds(method, gains, [*added, *(-one for one in more)], labels)
        level_low, level_high = _sum_bounds(method, its, more, labels)
    except TooFew:
        return None
    gain, below, above = mean - level, beyond * (1 - level), beyond * level
    return (
        {"mean": gain, "low": max(-1.0, gain + low - below), "high": min(1.0, gain + high + above),
         "count": len(names)},
        {"mean": level, "low": max(0.0, level + level_low - above),
         "high": min(1.0, level + level_high + below), "count": sum(same)},
    )  # fmt: skip


def _kish(weights: Sequence[float]) -> float:
    squares = math.fsum(weight**2 for weight in weights)
    return math.fsum(weights) ** 2 / squares if squares else 0.0


def _weighed(
    score: Sequence[float], weights: Sequence[float]
) -> tuple[float, list[float], list[float]]:
    total = math.fsum(weights)
    mean = math.fsum(w * s for w, s in zip(weights, score)) / total  # noqa: B905
    parts = [w * (s - mean) / total for w, s in zip(weights, score)]  # noqa: B905
    return mean, parts, [-mean / _kish(weights), (1 - mean) / _kish(weights)]


def _sum_bounds(
    method: Row, parts: Sequence[float], added: Sequence[float], labels: Labels
) -> tuple[float, float]:
    alone = [f"added {at}" for at in range(len(added))]
    named = {by: [*names, *alone] for by, names in labels.items()}
    values = [*parts, *added]
    clusters = labelled(values, named)
    low, high = sides_of(method, most_spread({**method, "minimum": 2}, clusters))
    total = math.fsum(values)
    return total + low, total + high


QUALITIES: dict[tuple[str, int], Callable[..., Row]] = {
    ("pairs-or-ratings", 1): pairs_or_ratings,
    ("pairs-or-ratings", 2): pairs_or_weighed_ratings,
    ("pairs-or-ratings", 3): pairs_or_weighed_ratings,
    ("pairs-or-ratings", 4): pairs_or_weighed_ratings,
}

# --- Figures -----------------------------------------------------------------------


def money(value: float) -> Decimal:
    """Return USD with ten places."""
    return Decimal(repr(value)).quantize(PLACES)


def paired(row: Row) -> bool:
    """Return whether both prices of the request are known, so that it is compared."""
    names = ("actual_cost", "baseline_cost", "routing_saved")
    return all(row[f"decision.{name}"] is not None for name in names)


def lost(row: Row) -> Decimal:
    """Return the cost of a request that got no answer."""
    return (row["cost"] or ZERO) if row["status"] == "error" else ZERO


def saved_by(row: Row) -> Decimal:
    """Return what a request saved: its baseline's cost, less its own."""
    if not paired(row):
        return -lost(row)
    saved: Decimal = row["decision.baseline_cost"] - row["decision.actual_cost"] - lost(row)
    return saved


def part(rows: Iterable[Row]) -> Row:
    """Return the figures of some requests, as each line of the statement has them."""
    rows = list(rows)
    both = [row for row in rows if paired(row)]

    def total(name: str, of: Sequence[Row]) -> Decimal:
        return sum((row[name] or ZERO for row in of), ZERO)

    routing, cache = total("decision.routing_saved", both), total("decision.cache_saved", both)
    baseline, loss = total("decision.baseline_cost", both), sum(map(lost, rows), ZERO)
    saved = routing + cache - loss
    return {
        "requests": len(rows),
        "failed": sum(row["status"] == "error" for row in rows),
        "cache_hits": sum(row["cache_hit"] for row in rows),
        "tokens_in": sum(row["tokens_in"] for row in rows),
        "tokens_out": sum(row["tokens_out"] for row in rows),
        "cost": total("cost", rows),
        "baseline_cost": baseline,
        "routing_saved": routing,
        "cache_saved": cache,
        "failed_requests_cost": loss,
        "saved": saved,
        "saved_percent": round(float(100 * saved / baseline), 2) if baseline else 0.0,
    }


def savings_of(rows: Sequence[Row], pairs: Sequence[Row], method: Row) -> Row:
    """Return the savings of the month with their interval."""
    judging = sum((pair["judge_cost"] + pair["answer_cost"] for pair in pairs), ZERO)
    both = [row for row in rows if paired(row)]
    sums = part(rows)
    baseline, loss = sums["baseline_cost"], sums["failed_requests_cost"]
    spent = sum((row["decision.actual_cost"] for row in both), ZERO)
    saved = baseline - spent - loss - judging
    interval = INTERVALS[method["name"], method["version"]](method, rows, saved_by)
    explored = [row["decision.routing_saved"] for row in both if row["decision.explored"]]
    prompt_cache = (row["decision.prompt_cache_saved"] or ZERO for row in both)
    return {
        "total_saved": saved,
        **{
            name: figure - judging if isinstance(figure, Decimal) else figure
            for name, figure in interval.items()
        },
        "percent_saved": round(float(100 * saved / baseline), 2) if baseline else 0.0,
        "intelligent_cost": spent + loss + judging,
        "baseline_cost": baseline,
        "routing_saved": sums["routing_saved"],
        "cache_saved": sums["cache_saved"],
        "failed_requests_cost": loss,
        "judging_cost": judging,
        "explored_saved": sum(explored, ZERO),
        "prompt_cache_saved": sum(prompt_cache, ZERO),
        "paired_requests": len(both),
        "unpriced_requests": sum(row["decided"] for row in rows) - len(both),
    }


class Prices:
    """The prices in the bundle, by model and hour."""

    def __init__(self, records: Iterable[Row]) -> None:
        self._spans: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for record in records:
            self._spans[record["provider"], record["model"]].append(record)

    def cost(self, provider: str, model: str, row: Row) -> Decimal | None:
        """Return what the tokens of a row cost at the model's prices; ``None`` if unknown."""
        hour = row["created_at"][:13]
        for record in self._spans.get((provider, model), ()):
            if record["from"] <= hour <= record["to"]:
                return None if record["rates"] is None else _cost(record["rates"], row)
        return None


def _cost(rates: Mapping[str, Any], row: Row) -> Decimal:
    size = row["tokens_in"]
    reads = min(row["cache_read_tokens"], size)
    writes = min(row["cache_write_tokens"], size - reads)

    def rate(name: str) -> Decimal:
        steps = rates.get(name) or rates["input"]
        return next(Decimal(price) for above, price in reversed(steps) if size > above)

    total = rate("input") * (size - reads - writes) + rate("output") * row["tokens_out"]
    total += rate("cache_read") * reads + rate("cache_write") * writes
    total += Decimal(rates.get("request") or 0) * 1_000_000
    return (total / 1_000_000).quantize(PLACES, rounding=ROUND_HALF_EVEN)


def basis_of(row: Row, charged: Decimal | None, expected: Decimal | None) -> str:
    """Return how a cost came about."""
    if charged is None:
        return "unpriced"
    if charged == expected:
        return "equal"
    if row.get("price_basis") == "reported":
        return "reported"
    if row["usage_estimated"]:
        return "estimated"
    return "no price" if expected is None else "other units"


def priced(rows: Iterable[Row], prices: Prices) -> Row:
    """Return how many costs of answers and baselines are usage times price, and their sums."""
    sums: Row = {"answers": {}, "baselines": {}}
    for row in rows:
        if row["cache_hit"] or row["status"] == "error":
            continue
        charged = None if row["cost"] is None else row["cost"] - row["failed_cost"]
        costs = [("answers", row["provider"], row["model"], charged)]
        if row["decided"] and row["decision.baseline_model"]:
            baseline = row["decision.baseline_provider"], row["decision.baseline_model"]
            costs.append(("baselines", *baseline, row["decision.baseline_cost"]))
        for kind, provider, model, cost in costs:
            basis = basis_of(row, cost, prices.cost(provider, model, row))
            count, total = sums[kind].get(basis, (0, ZERO))
            sums[kind][basis] = [count + 1, total + (cost or ZERO)]
    return sums


def named(by: str, row: Row) -> list[str]:
    """Return the lines of the statement that a request is part of."""
    if by == "tag":
        return list(dict.fromkeys(row["tags"])) or ["(none)"]
    if by == "model":
        name = f"{row['provider']}/{row['model']}"
        return ["(none)" if name == "/" else name]
    return [row["created_at"][:10] if by == "day" else row["user_id"] or "(none)"]


def statement(bundle: Bundle) -> Row:
    """Compute every figure of the statement from the bundle."""
    rows = [row for row in bundle.rows if row["status"] != "refused"]
    methods = bundle.manifest["methods"]
    lines: dict[str, dict[str, list[Row]]] = {
        by: defaultdict(list) for by in ("day", "model", "user", "tag")
    }
    for row in rows:
        for by, groups in lines.items():
            for name in named(by, row):
                groups[name].append(row)
    quality = QUALITIES[methods["quality"]["name"], methods["quality"]["version"]]
    measured = {}
    if levers := methods.get("levers"):
        measured["levers"] = LEVER_METHODS[levers["name"], levers["version"]](levers, rows)
    return {
        **measured,
        "total": part(rows),
        "failed_attempts_cost": sum((row["failed_cost"] for row in rows), ZERO),
        "refused": len(bundle.rows) - len(rows),
        "savings": savings_of(rows, bundle.comparisons, methods["interval"]),
        "quality": quality(
            methods["quality"], {row["id"]: row for row in bundle.rows}, bundle.comparisons,
            bundle.ratings,
        ),
        "prices": priced(rows, Prices(bundle.prices)),
        **{f"by_{by}": {name: part(of) for name, of in groups.items()}
           for by, groups in lines.items()},
    }  # fmt: skip


# --- What levers saved, by the name and version of their method ------------------------


def pretended_arms(method: Row, rows: Sequence[Row]) -> Row:
    """Return what each lever saved, and all together, against the requests left alone.

    The costs without the lever are predicted by a regression on the requests left alone; the
    quantiles of its error come from arms drawn from the changed requests (docs/levers.md).
    """
    trials: dict[str, list[Any]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["id"]):
        if not row.get("levers") or row["replayed"]:
            continue
        cost = None if row["cost"] is None else float(row["cost"])
        alone = f"request {row['id']}"
        unit = f"{row['tenant']}\0{row['session_id']}" if row["session_id"] else alone
        for name, trial in row["levers"].items():
            own = alone if name in method["by_request"] else unit
            trials[name].append((cost, trial["arm"] == "treated", trial["p"], own,
                                 trial.get("x"), bool(trial.get("joint"))))  # fmt: skip
        if any(trial["p"] < 1 for trial in row["levers"].values()):
            joint = any(trial.get("joint") for trial in row["levers"].values())
            first: Row = next((row["levers"][name] for name in method["order"]
                               if name in row["levers"]), {})  # fmt: skip
            trials[""].append((cost, not joint, 1 - method["joint_share"], unit, first.get("x"),
                               False))  # fmt: skip
    return {name: _lever_saving(method, of) for name, of in sorted(trials.items())}


def _lever_saving(method: Row, trials: Sequence[Any]) -> Row:
    own = [one for one in trials if not one[5]]
    used = [one for one in own if one[0] is not None and one[2] < 1]
    result: Row = {
        "eligible": len(own),
        "treated": sum(one[1] for one in own),
        "measured": sum(one[1] for one in used),
        "saved": None,
        "saved_low": None,
        "saved_high": None,
    }
    known = [float(one[4]) for one in used if one[4] is not None]
    expected = None
    if used and known and len(known) / len(used) >= method["known"]:
        mean = math.fsum(known) / len(known)
        expected = [max(mean if one[4] is None else float(one[4]), 0.0) for one in used]
    treated, control = (_arm(used, expected, arm) for arm in (True, False))
    if min(len(treated), len(control)) < method["fewest"]:
        return result
    means = [unit[2] / unit[0] for unit in control]
    middle = math.fsum(means) / len(means)
    deviation = math.sqrt(math.fsum((mean - middle) ** 2 for mean in means) / len(means))
    if expected is None or deviation <= 1e-9 * middle or not middle > 0:
        treated, control = ([(n, t, 0.0, odds) for n, t, _, odds in arm]
                            for arm in (treated, control))  # fmt: skip
    aims = _arm_sum(treated, 0), _arm_sum(treated, 2)
    total, error = _predicted(control, *aims)
    shown = treated
    if sum(unit[1] != 0 for unit in treated) / len(treated) < method["nonzero"]:
        shown = _as_other(treated, control)
    studentised = []
    size, truth = min(len(control), method["largest"]), _arm_sum(shown, 1)
    at = _places(method["draws"] * size, shown)
    for draw in range(method["draws"]):
        drawn = [shown[place] for place in at[draw * size : (draw + 1) * size]]
        with suppress(ZeroDivisionError):
            guess, its_error = _predicted(drawn, _arm_sum(shown, 0), _arm_sum(shown, 2))
            studentised.append((guess - truth) / its_error)
    if len(studentised) < method["fewest_draws"]:
        return result
    studentised.sort()
    rank = int((len(studentised) + 1) * (1 - method["level"]) / 2)
    error *= math.sqrt(1 + len(control) / len(treated))
    spent = _arm_sum(treated, 1)
    low, high = studentised[rank - 1], studentised[-rank]
    return {
        **result,
        "saved": money(total - spent),
        "saved_low": money(total - high * error - spent),
        "saved_high": money(total - low * error - spent),
    }


# Requests, their cost, their expected cost, and the odds of being in the other arm.
Unit = tuple[float, float, float, float]


def _arm(used: Sequence[Any], expected: Sequence[float] | None, arm: bool) -> list[Unit]:
    units: dict[tuple[str, float], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    chances = {one[2] for one in used if one[1] is arm}
    for at, (cost, treated, chance, unit, *_) in enumerate(used):
        if treated is arm:
            sums = units[unit, chance]
            sums[0] += 1
            sums[1] += cost
            sums[2] += 0.0 if expected is None else expected[at]
    listed = []
    for (_, chance), (n, total, x) in units.items():
        odds = (1 - chance) / chance if arm else chance / (1 - chance)
        listed.append((n, total, x, odds if len(chances) > 1 else 1.0))
    return sorted(listed, key=lambda unit: (unit[1], unit[0], unit[2], unit[3]))


def _arm_sum(units: Sequence[Unit], at: int) -> float:
    return math.fsum(unit[at] for unit in units)


def _predicted(units: Sequence[Unit], requests: float, expected: float) -> tuple[float, float]:
    """Return the predicted cost of so many requests, and its standard error."""
    if not expected:
        weight = math.fsum(odds * n for n, _, _, odds in units)
        mean = math.fsum(odds * t for _, t, _, odds in units) / weight
        square = math.fsum(
            (odds * requests / weight * (t - mean * n)) ** 2 / max(1 - odds * n / weight, 0.02)
            for n, t, _, odds in units
        )
        return mean * requests, math.sqrt(square)
    per = expected / requests
    weighed = [(odds / (n + x / per), n, x, t) for n, t, x, odds in units]
    nn = math.fsum(w * n * n for w, n, _, _ in weighed)
    nx = math.fsum(w * n * x for w, n, x, _ in weighed)
    xx = math.fsum(w * x * x for w, _, x, _ in weighed)
    nt = math.fsum(w * n * t for w, n, _, t in weighed)
    xt = math.fsum(w * x * t for w, _, x, t in weighed)
    square = nn * xx - nx * nx
    for_n, for_x = (
        (xx * requests - nx * expected) / square,
        (nn * expected - nx * requests) / square,
    )
    slope_n, slope_x = (xx * nt - nx * xt) / square, (nn * xt - nx * nt) / square
    parts = (
        (w * (n * for_n + x * for_x) * (t - slope_n * n - slope_x * x)) ** 2
        / max(1 - w * (n * n * xx - 2 * n * x * nx + x * x * nn) / square, 0.02)
        for w, n, x, t in weighed
    )
    return slope_n * requests + slope_x * expected, math.sqrt(math.fsum(parts))


def _as_other(units: Sequence[Unit], other: Sequence[Unit]) -> list[Unit]:
    at = 2 if all(unit[2] > 0 for unit in other) else 0
    drawn = (other[place] for place in _places(len(units), other))
    return [(n, one[1] / one[at] * (n if at == 0 else x), x, odds)
            for (n, _, x, odds), one in zip(units, drawn)]  # noqa: B905  # fmt: skip


def _places(count: int, units: Sequence[Unit]) -> list[int]:
    """Return the places of units drawn with the random numbers of SplitMix64."""
    equal = len({unit[3] for unit in units}) == 1
    total, bounds = 0.0, []
    for unit in units:
        total += 1 / unit[3]
        bounds.append(total)
    places, size = [], len(units)
    for number in range(1, count + 1):
        state = number * 0x9E3779B97F4A7C15 & _M64
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _M64
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _M64
        uniform = ((state ^ state >> 31) >> 11) * 2.0**-53
        place = int(uniform * size) if equal else bisect_right(bounds, uniform * total)
        places.append(min(place, size - 1))
    return places


def pretended_arms_of_requests(method: Row, rows: Sequence[Row]) -> Row:
    """Return the same where several records may be of one request: their costs are added.

    Such a record says in its trial of the batch lane of which request it is a part. If that has no
    record here, its parts count with the first of them.
    """
    of: dict[str, list[Row]] = defaultdict(list)
    whole: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        if not row.get("levers") or row["replayed"]:
            continue
        belongs = row["levers"].get("batch", {}).get("part_of")
        if belongs is None:
            whole[row["id"]] = row
        else:
            of[belongs].append(row)
    for belongs, parts in of.items():
        own = whole.get(belongs)
        first, others = (parts[0], parts[1:]) if own is None else (own, parts)
        costs = [first["cost"], *(row["cost"] for row in others)]
        known = [cost for cost in costs if cost is not None]
        cost = sum(known[1:], known[0]) if len(known) == len(costs) else None
        whole[first["id"]] = {**first, "cost": cost}
    return pretended_arms(method, list(whole.values()))


LEVER_METHODS = {
    ("pretended-arms", 1): pretended_arms,
    ("pretended-arms", 2): pretended_arms_of_requests,
}


# --- The bundle ----------------------------------------------------------------------


class Bundle:
    """What a bundle holds, once its signature is verified."""

    def __init__(self, data: bytes) -> None:
        signed, signature = data[:-128], data[-128:]
        if signed[-len(SIGNATURE) :] != SIGNATURE:
            raise Unreadable("the file does not end with a signature: it is no bundle, or cut off")
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                manifest = json.loads(archive.read("manifest.json"))
                self.key: str = manifest["key"]
                message = hashlib.sha256(signed).digest()
                fits = signature_fits(self.key, signature.decode("latin-1"), message)
                # What nobody signed is not unpacked: it may be of any size.
                files = {name: archive.read(name) for name in archive.namelist()} if fits else {}
        except Exception as error:  # noqa: BLE001 - whatever a changed byte does to the archive
            raise Unreadable(f"the bundle cannot be read: {type(error).__name__}") from None
        if not fits:
            raise Unreadable("the signature does not fit: something in the file was changed")
        self.manifest: Row = manifest
        self.hashes = {
            name: hashlib.sha256(text).hexdigest()
            for name, text in files.items()
            if name != "manifest.json"
        }
        try:
            self._read(files)
        except Exception as error:  # noqa: BLE001 - anybody can sign anything with a key of theirs
            raise Unreadable(f"a file of the bundle has another form: {_named(error)}") from None

    def _read(self, files: Mapping[str, bytes]) -> None:
        self._money = set(self.manifest["money"])
        lines = [json.loads(line) for line in files["rows.jsonl"].splitlines()]
        self.leaves = {line["row"]["id"]: leaf_of(line) for line in lines}
        self.rows = [self._row(line["row"]) for line in lines]
        self.comparisons = [self._with_money(one) for one in json.loads(files["comparisons.json"])]
        self.ratings: list[Row] = json.loads(files["ratings.json"])
        self.prices: list[Row] = json.loads(files["prices.json"])
        self.days: list[Row] = json.loads(files["days.json"])
        self.statement: Row = json.loads(files["statement.json"])

    def _row(self, row: Row) -> Row:
        return self._with_money({**self.manifest["defaults"], **row})

    def _with_money(self, row: Row) -> Row:
        for name in self._money & row.keys():
            if row[name] is not None:
                row[name] = Decimal(row[name])
        return row


def _named(error: Exception) -> str:
    return f"{type(error).__name__} {str(error)[:80]}".rstrip()


def leaf_of(line: Row) -> bytes:
    """Return the hash that the ledger's seal has of a row."""
    text = json.dumps(line["row"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(b"\0" + text.encode() + b"\n" + line["rest"].encode()).digest()


def root_of(leaves: Sequence[bytes]) -> str:
    """Return the Merkle root of RFC 9162 over leaves in the order of their ids."""
    level = list(leaves)
    if not level:
        return hashlib.sha256(b"").hexdigest()
    while len(level) > 1:
        pairs = [
            hashlib.sha256(b"\1" + level[at] + level[at + 1]).digest()
            for at in range(0, len(level) - 1, 2)
        ]
        level = pairs + level[len(pairs) * 2 :]
    return level[0].hex()


def roots_that_differ(bundle: Bundle) -> Iterable[str]:
    """Yield what is wrong with the days: a root, its hash, its signature, or days without one."""
    days: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for row in bundle.rows:
        days[row["created_at"][:10]].append((row["id"], bundle.leaves[row["id"]]))
    for day in bundle.days:
        leaves = [leaf for _, leaf in sorted(days.pop(day["day"], []))]
        if len(leaves) != day["rows"] or root_of(leaves) != day["root"]:
            yield f"{day['day']}: the rows are not those of the day's signed root"
        text = "day-1\n{previous}\n{day}\n{revision}\n{rows}\n{root}\n".format(**day)
        digest = hashlib.sha256(text.encode()).digest()
        if digest.hex() != day["hash"] or not signature_fits(day["key"], day["signature"], digest):
            yield f"{day['day']}: the signature of the day's root does not fit"
    for name in sorted(days):
        yield f"{name}: there is no signed root of the day's rows"
    signed = {day["day"] for day in bundle.days}
    began = str(bundle.manifest.get("began") or "")
    # Bundles of earlier versions have no roots of days without rows.
    for name in days_without_rows(bundle) if began else ():
        if name >= began and name not in signed:
            yield f"{name}: there is no signed root that says that the day has no rows"


def files_that_differ(bundle: Bundle) -> Iterable[str]:
    """Yield the files that are not those which the manifest names."""
    named = bundle.manifest["files"]
    for name in sorted(named.keys() | bundle.hashes.keys()):
        if named.get(name) != bundle.hashes.get(name):
            yield f"{name}: the file is not the one that the manifest names"


def days_without_rows(bundle: Bundle) -> list[str]:
    """Return the days of the period that have no rows."""
    day = date.fromisoformat(bundle.manifest["since"][:10])
    until = date.fromisoformat(bundle.manifest["until"][:10])
    known, idle = {row["created_at"][:10] for row in bundle.rows}, []
    while day < until:
        if day.isoformat() not in known:
            idle.append(day.isoformat())
        day += timedelta(days=1)
    return idle


def differences(stated: Any, computed: Any, name: str = "") -> Iterable[str]:
    """Yield each figure of the statement that is not the computed one."""
    if isinstance(computed, dict) and isinstance(stated, dict):
        for key in sorted(stated.keys() | computed.keys()):
            where = f"{name}.{key}" if name else key
            if key not in stated or key not in computed:
                yield f"{where}: {'not stated' if key not in stated else 'not in the rows'}"
            else:
                yield from differences(stated[key], computed[key], where)
    elif isinstance(computed, list) and isinstance(stated, list) and len(computed) == len(stated):
        for at, (one, other) in enumerate(zip(stated, computed)):  # noqa: B905
            yield from differences(one, other, f"{name}[{at}]")
    elif not _same(stated, computed, name):
        yield f"{name}: stated {stated}, computed {computed}"


def _same(stated: Any, computed: Any, name: str) -> bool:
    if stated is None or computed is None or isinstance(computed, bool):
        return bool(stated is computed)
    if isinstance(computed, Decimal):
        # The bounds are computed in floating point; every other amount is exact.
        bound = name.rsplit(".", 1)[-1].endswith(("saved_low", "saved_high"))
        bound = bound or name.startswith("levers.")
        allowed = max(PLACES * 2, abs(computed) * Decimal("1e-9")) if bound else ZERO
        return abs(Decimal(str(stated)) - computed) <= allowed
    if isinstance(computed, float):
        return abs(stated - computed) <= 2e-6
    return bool(stated == computed)


def verify(data: bytes, key: str = "") -> tuple[list[str], Bundle]:
    """Return what does not agree, and the bundle.

    Raise Unreadable if the signature is wrong, or if the content has not the form of a bundle.
    """
    bundle = Bundle(data)
    try:
        return _disagreements(bundle, key), bundle
    except Exception as error:  # noqa: BLE001 - anybody can sign anything with a key of theirs
        raise Unreadable(f"the figures cannot be computed: {_named(error)}") from None


def _disagreements(bundle: Bundle, key: str) -> list[str]:
    problems = []
    if key and key.lower() != bundle.key:
        problems.append(f"the bundle is signed by {bundle.key}, not by {key}")
    if bundle.manifest["format"] != 1:
        problems.append(f"this verifier does not know format {bundle.manifest['format']}")
        return problems
    methods = bundle.manifest["methods"]
    for kind, known in (("interval", INTERVALS), ("quality", QUALITIES)):
        method = methods[kind]
        if (method["name"], method["version"]) not in known:
            problems.append(f"unknown method: {kind} {method['name']} {method['version']}")
            return problems
    levers = methods.get("levers")
    if levers and (levers["name"], levers["version"]) not in LEVER_METHODS:
        problems.append(f"unknown method: levers {levers['name']} {levers['version']}")
        return problems
    span = bundle.manifest["since"], bundle.manifest["until"]
    if any(not span[0] <= row["created_at"] < span[1] for row in bundle.rows):
        problems.append("there are rows of another month")
    if len(bundle.leaves) != len(bundle.rows):
        problems.append("there are rows with the same id")
    problems += files_that_differ(bundle)
    problems += roots_that_differ(bundle)
    problems += differences(bundle.statement, statement(bundle))
    return problems


def main() -> int:
    """Verify the file that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument(
        "--key", default="", metavar="HEX",
        help="the installation's public key, if you know it (manage.py prove --key shows it)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args()
    bundle = None
    try:
        problems, bundle = verify(options.bundle.read_bytes(), options.key)
    except OSError as error:
        parser.error(f"{options.bundle} cannot be read: {error.strerror}")
    except Unreadable as error:
        problems = [str(error)]
    if options.json:
        month = None if bundle is None else bundle.manifest["month"]
        print(json.dumps({"agrees": not problems, "month": month, "problems": problems}))
        return 1 if problems else 0
    if bundle is not None:
        try:
            print(_printable("\n".join(_statement_lines(bundle, options.key))))
        except Exception as error:  # noqa: BLE001 - the statement is whatever was signed
            problems.append(f"the statement has another form: {_named(error)}")
    for problem in problems:
        print(_printable(f"DOES NOT AGREE  {problem}".replace("\n", " ")))
    if not problems:
        print("Everything agrees.")
    return 1 if problems else 0


def _statement_lines(bundle: Bundle, key: str) -> Iterable[str]:
    stated, savings = bundle.statement, bundle.statement["savings"]
    yield f"Proof of {bundle.manifest['month']}, signed by {bundle.key}"
    if not key:
        yield "  (give the key that you know with --key: anybody can sign with a key of their own)"
    yield f"  {stated['total']['requests']} requests, cost ${stated['total']['cost']}"
    bounds = f" [{savings['saved_low']}, {savings['saved_high']}]"
    if savings["saved_low"] is None:
        bounds = f" (no interval: {savings.get('no_interval') or 'too few requests'})"
    yield f"  saved ${savings['total_saved']}{bounds}"
    yield f"  quality: {stated['quality']['verdict']} (from {stated['quality']['basis']})"
    for name, lever in stated.get("levers", {}).items():
        what = f"lever {name}" if name else "all levers together"
        if lever["saved"] is not None:
            yield f"  {what}: saved ${lever['saved']} [{lever['saved_low']}, {lever['saved_high']}]"
        else:
            yield f"  {what}: too few requests were left alone"
    for kind, bases in stated["prices"].items():
        text = ", ".join(f"{count} {basis} (${cost})" for basis, (count, cost) in bases.items())
        yield f"  {kind}: {text or 'none'}"
    began = bundle.manifest.get("began")
    if began and began > bundle.manifest["since"][:10]:
        yield f"  the ledger begins on {began}"
    if idle := [day for day in days_without_rows(bundle) if day >= (began or "")]:
        signed = " (each with a signed root of no rows)" if began else ""
        yield f"  days without requests{signed}: {', '.join(idle)}"


def _printable(text: str) -> str:
    """Return ``text`` without control characters: names in a bundle must not move the cursor."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


if __name__ == "__main__":
    sys.exit(main())
