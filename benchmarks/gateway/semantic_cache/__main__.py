"""python -m benchmarks.gateway.semantic_cache: hit rates on paraphrases and near misses.

A near miss is a question that looks like another but wants a different answer
(another number, name, direction, a "not"): the hardest there are, and much
rarer in traffic than here. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
import tomllib
from importlib.metadata import version
from math import sqrt
from pathlib import Path

from optimizer.gateway.cache.semantic.embedding import TextEmbedder
from optimizer.gateway.cache.semantic.wording import may_share_answer, wording_of

Pairs = list[tuple[str, str]]
_Z = 1.96


def load(path: Path) -> tuple[Pairs, Pairs]:
    """Pairs to be answered alike, and pairs not to be."""
    questions = tomllib.loads(path.read_text(encoding="utf-8"))["questions"]
    return (
        [(q["prompt"], other) for q in questions for other in q["same"]],
        [(q["prompt"], other) for q in questions for other in q["other"]],
    )


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Wilson's score interval (1927) of a proportion."""
    share, spread = hits / of, _Z * _Z / of
    middle = share + spread / 2
    margin = _Z * sqrt(share * (1 - share) / of + spread / (4 * of))
    return max(0.0, (middle - margin) / (1 + spread)), (middle + margin) / (1 + spread)


def shown(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{hits:3d}/{of:<3d} {hits / of:6.1%} [{low:5.1%}, {high:5.1%}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gateway.semantic_cache", description=__doc__
    )
    parser.add_argument("--word-threshold", type=float, default=0.6)
    parser.add_argument("files", nargs="*", type=Path, help="TOML files of questions of your own")
    arguments = parser.parse_args()
    folder = Path(__file__).parent
    embedder = TextEmbedder()
    least = arguments.word_threshold
    print(f"Python {platform.python_version()}, wordllama {version('wordllama')}, word >= {least}")
    for path in arguments.files or [folder / "pairs.toml", folder / "heldout.toml"]:
        same, other = load(path)
        print(f"\n{path.name}: {len(same)} paraphrases, {len(other)} near misses")
        print(
            "threshold  rule         paraphrases that hit            near misses that hit (wrong)"
        )
        for threshold in (0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95):
            for rule in ("likeness", "and wording"):

                def hits(pairs: Pairs, threshold: float = threshold, rule: str = rule) -> str:
                    found = [
                        float(embedder.embed(a) @ embedder.embed(b)) >= threshold
                        and (
                            rule == "likeness"
                            or may_share_answer(wording_of(a), wording_of(b), embedder.alike, least)
                        )
                        for a, b in pairs
                    ]
                    return shown(sum(found), len(found))

                print(f"{threshold:8.2f}   {rule:11s}  {hits(same)}   {hits(other)}")
    times = []
    for a, _ in same * 5:
        begun = time.perf_counter()
        embedder.embed(a)
        times.append(time.perf_counter() - begun)
    print(f"\nOne embedding: {statistics.median(times) * 1e6:.0f} µs (median)")


if __name__ == "__main__":
    main()
