"""What was measured, as a table for people and documents, and as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.gateway.load import Measured, median
from benchmarks.gateway.targets import LITELLM, NAMED, OURS, PORTKEY, RAW

Runs = Mapping[int, Mapping[str, Sequence[Measured]]]
"""By concurrency, then target."""
_HEADINGS = (
    "concurrency", "target", "requests/s", "of ours", "added p50 ms", "p95", "p99",
    "CPU ms/request", "MB", "errors",
)  # fmt: skip


def rows_of(runs: Runs, latency_ms: int) -> list[list[str]]:
    """Latencies are those beyond the upstream's own."""
    rows = []
    for connections, by_target in runs.items():
        own = median(by_target[OURS]).rate
        for name, measured in by_target.items():
            m = median(measured)
            added = [f"{max(0.0, value - latency_ms):.2f}" for value in (m.p50, m.p95, m.p99)]
            rows.append(
                [str(connections), name, f"{m.rate:,.0f}", f"{m.rate / own:.2f}", *added,
                 f"{m.cpu:.2f}", f"{m.memory:.0f}", str(m.errors)]
            )  # fmt: skip
    return rows


def show(console: Console, title: str, rows: list[list[str]]) -> None:
    table = Table(title=title)
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == "target" else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def as_markdown(rows: list[list[str]]) -> str:
    lines = [_HEADINGS, ["---"] * len(_HEADINGS), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def against_peers(runs: Runs) -> list[str]:
    """The ratios that are promised: of routed requests and of those that name their model."""
    said = []
    for connections, by_target in runs.items():
        for own_name in (OURS, NAMED):
            for peer_name in (LITELLM, PORTKEY, RAW):
                if peer_name not in by_target:
                    continue
                own, peer = median(by_target[own_name]), median(by_target[peer_name])
                if not peer.rate:
                    said.append(f"{connections} at a time: {peer_name} answered nothing in a run")
                    continue
                said.append(
                    f"{connections} at a time, {own_name}: {own.rate / peer.rate:.2f} times the "
                    f"requests/s of {peer_name}, {own.p50 / peer.p50:.3f} of its latency, "
                    f"{own.cpu / peer.cpu:.3f} of its CPU"
                )
    return said


def draw(runs: Runs, title: str, path: Path) -> None:
    """Requests/s and median latency by concurrency, both on logarithmic scales."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (rates, latencies) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    names = next(iter(runs.values())).keys()
    for name in names:
        at = list(runs)
        middle = [median(runs[connections][name]) for connections in at]
        style = {"linewidth": 2.6} if name == OURS else {"linewidth": 1.2}
        rates.plot(at, [m.rate for m in middle], marker="o", label=name, **style)
        latencies.plot(at, [m.p50 for m in middle], marker="o", label=name, **style)
    for axes, label in ((rates, "requests/s"), (latencies, "median latency, ms")):
        axes.set(xscale="log", yscale="log", xlabel="requests at a time", ylabel=label)
        axes.set_xticks(list(runs), [str(connections) for connections in runs])
        axes.grid(alpha=0.3)
    handles, labels = rates.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    plt.close(figure)
