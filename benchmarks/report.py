"""What the rounds of a contest say: medians, spreads, ratios, and whether the work was the same."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.contest import Entry
from benchmarks.workloads import Workload

TITLES = {
    "trainkit_trainer": "trainkit",
    "keras_fit": "model.fit",
    "handwritten": "tf.function step + tf.data",
    "torch_plain": "PyTorch",
    "lightning_trainer": "Lightning",
    "jax_scan": "JAX",
    "ceiling": "products alone",
}
# A contender that starts from weights of its own may be so many times the tolerance apart.
OWN_START = 3.0
MAX_LOSSES = 20  # of a run that are written


@dataclass
class Result:
    """An entry with what it means beside the others of its row.

    Args:
        entry: What was measured.
        median: Steps per second.
        low: The lowest of all rounds.
        high: The highest of all rounds.
        ratios: By the name of another entry: the median over the rounds of the ratio of both entries'
            steps per second.
        loss: Median training loss at the compared epoch.
        same_work: Whether that loss is close to that of `model.fit`; None if there is none to compare.
    """

    entry: Entry
    median: float = 0.0
    low: float = 0.0
    high: float = 0.0
    ratios: dict[str, float] | None = None
    loss: float | None = None
    same_work: bool | None = None

    @property
    def name(self) -> str:
        return f"{TITLES[self.entry.contender]} {self.entry.variant}".strip()


def results(workload: Workload, entries: list[Entry]) -> list[Result]:
    """The results of a workload's entries, in their order."""
    made = [Result(entry) for entry in entries]
    measured = [r for r in made if r.entry.status == "measured" and r.entry.steps_per_second]
    for result in measured:
        speeds = result.entry.steps_per_second
        result.median = statistics.median(speeds)
        result.low = min(speeds)
        result.high = max(speeds)
        losses = [run.losses[workload.compare - 1] for run in result.entry.runs if run.losses]
        result.loss = statistics.median(losses) if losses else None
    marks = _marks(measured)
    for result in measured:
        result.ratios = {name: _ratio(result.entry, mark.entry) for name, mark in marks.items()}
        reference = marks.get("fit default")
        if result.loss is not None and reference is not None and reference.loss is not None:
            tolerance = workload.tolerance * (OWN_START if result.entry.runs[0].own_start else 1)
            result.same_work = abs(result.loss / reference.loss - 1) <= tolerance
    return made


def _marks(measured: list[Result]) -> dict[str, Result]:
    """What the others are measured by: `model.fit` as it comes, and the best variant of each contender."""
    marks = {}
    for result in measured:
        if (result.entry.contender, result.entry.variant) == ("keras_fit", "default"):
            marks["fit default"] = result
    names = {
        "fit best": "keras_fit",
        "Lightning": "lightning_trainer",
        "PyTorch": "torch_plain",
        "JAX": "jax_scan",
        "ceiling": "ceiling",
    }
    for name, contender in names.items():
        own = [result for result in measured if result.entry.contender == contender]
        if own:
            marks[name] = max(own, key=lambda result: result.median)
    return marks


def _ratio(one: Entry, other: Entry) -> float:
    """Round by round, so that a slow hour of the machine counts for both."""
    return statistics.median(
        a / b for a, b in zip(one.steps_per_second, other.steps_per_second, strict=False)
    )


def table(workload: Workload, made: list[Result], about: dict[str, Any]) -> str:
    """The row as text, the fastest first."""
    lines = [
        f"{workload.title}: {about.get('source', '?')}, {about.get('rows', 0):,} rows, "
        f"batch {workload.batch}, {about.get('steps', 0)} steps per epoch",
        f"  {'':<44}{'steps/s':>10} {'lowest to highest':>21} {'compile s':>10} {'x fit':>8} "
        f"{'x best fit':>11} {'% of products':>14}  loss",
    ]
    for r in sorted(made, key=lambda r: -r.median):
        if not r.median:
            lines.append(f"  {r.name:<44}{r.entry.status}: {r.entry.note}")
            continue
        ratios = r.ratios or {}
        spread = f"{r.low:,.1f} to {r.high:,.1f}"
        warning = "  NOT THE SAME WORK" if r.same_work is False else ""
        loss = "" if r.loss is None else f"{r.loss:.4f}{warning}"
        share = f"{100 * ratios['ceiling']:.0f}" if "ceiling" in ratios else "-"
        by = [f"{ratios[name]:.2f}" if name in ratios else "-" for name in ("fit default", "fit best")]
        lines.append(
            f"  {r.name:<44}{r.median:>10,.1f} {spread:>21} {r.entry.compile_seconds:>10.1f} {by[0]:>8} "
            f"{by[1]:>11} {share:>14}  {loss}"
        )
    lines += _ours(made)
    return "\n".join(lines)


def _ours(made: list[Result]) -> list[str]:
    """trainkit's `auto` beside each peer, and beside its own best mode."""
    modes = {r.entry.variant: r for r in made if r.entry.contender == "trainkit_trainer" and r.median}
    if "auto" not in modes:
        return []
    auto = modes["auto"]
    best = max((r for name, r in modes.items() if not name.startswith("command")), key=lambda r: r.median)
    beside = ", ".join(f"{ratio:.2f}x {name}" for name, ratio in (auto.ratios or {}).items())
    return [
        f"  trainkit auto ({auto.entry.note})",
        f"    {beside}; {100 * _ratio(auto.entry, best.entry):.0f} % of its best mode ({best.entry.variant})",
    ]


def plain(made: list[Result]) -> list[dict[str, Any]]:
    """The results for JSON, with the losses of the first epochs."""
    rows = []
    for r in made:
        row = asdict(r) | {"name": r.name}
        for run in row["entry"]["runs"]:
            run["losses"] = run["losses"][:MAX_LOSSES]
        rows.append(row)
    return rows


def picture(path: Path, rows: dict[str, tuple[Workload, list[Result]]], title: str) -> None:
    """Draw a bar for each entry with its spread, one panel per row, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = {
        name: sorted((r for r in made if r.median), key=lambda r: r.median)
        for name, (_, made) in rows.items()
    }
    heights = [max(2, len(bars)) + 1.5 for bars in shown.values()]
    figure, axes = pyplot.subplots(
        len(shown),
        1,
        figsize=(10, 0.3 * sum(heights) + 0.6),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    colours = {"trainkit_trainer": "#d1495b", "keras_fit": "#edae49", "ceiling": "#9aa5b1"}
    for axis, (name, bars) in zip(axes[:, 0], shown.items(), strict=True):
        values = [r.median for r in bars]
        spread = [[r.median - r.low for r in bars], [r.high - r.median for r in bars]]
        axis.barh(
            [r.name for r in bars],
            values,
            xerr=spread,
            color=[colours.get(r.entry.contender, "#30638e") for r in bars],
            ecolor="#444444",
            capsize=2,
        )
        axis.set_xscale("log")
        axis.set_title(rows[name][0].title, loc="left", fontsize=10)
        axis.tick_params(labelsize=8)
        axis.margins(x=0.15)
        for y, r in enumerate(bars):
            axis.annotate(
                f" {r.median:,.0f}" if r.median >= 100 else f" {r.median:.1f}",
                (r.high, y),
                va="center",
                fontsize=7,
            )
    axes[-1, 0].set_xlabel("optimizer steps per second (median; lines: lowest to highest round)", fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
