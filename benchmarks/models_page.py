"""The page of `benchmarks.models`: seconds per epoch and of the whole process, and how many times as fast."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

OWN = ("trainkit", "trainkit, second run")
Seconds = Callable[[Mapping[str, Any]], Sequence[float]]


def spread(seconds: Sequence[float]) -> str:
    """Median, and half of what lies between the smallest and the largest."""
    if not seconds:
        return "-"
    return f"{statistics.median(seconds):.3g} ± {(max(seconds) - min(seconds)) / 2:.2g}"


def page(content: Mapping[str, Any]) -> str:
    """The page in Markdown, of what `benchmarks.models` keeps as JSON."""
    versions = content["versions"]
    lines = content["rows"]
    counts = list(lines[0]["whole"])
    text = [
        f"{content['processor']}, {content['threads']} threads; TensorFlow {versions['tensorflow']}, Keras",
        f"{versions['keras']}, JAX {versions['jax']}. Seconds: median ± half the range,",
        f"of {content['rounds']} interleaved rounds; in brackets, how many times trainkit is as fast. A",
        "contender that the first round shows far behind is measured once.",
        "",
        "Seconds per epoch in the longest training, the first left out:",
        "",
        *_table(lines, lambda line: line["epoch"], OWN[:1]),
    ]
    for count in counts:
        title = f"The whole process, {count} {'epoch' if int(count) == 1 else 'epochs'}, importing included:"
        text += ["", title, ""]
        text += _table(lines, partial(_whole, count), OWN)
    return "\n".join(text) + "\n"


def _whole(count: Any, line: Mapping[str, Any]) -> Sequence[float]:
    return list(line["whole"][count])


def _table(lines: Sequence[Mapping[str, Any]], of: Seconds, own: Sequence[str]) -> list[str]:
    contenders = list(dict.fromkeys(line["contender"] for line in lines if line["contender"] not in OWN))
    fits = [name for name in contenders if name.startswith("fit")]
    header = ["model", *own, *contenders]
    rows = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    best: list[float] = []
    leads: list[float] = []  # seconds that the fastest other is ahead
    fit: list[float] = []
    for model in dict.fromkeys(line["model"] for line in lines):
        found: dict[str, list[float]] = {
            name: [] for name in contenders
        }  # one that is not written for this model has no line
        found |= {line["contender"]: list(of(line)) for line in lines if line["model"] == model}
        ours = statistics.median(found[own[0]]) if found[own[0]] else math.nan
        medians = [statistics.median(found[name]) for name in contenders if found[name]]
        best.append(min(medians) / ours)
        leads.append(ours - min(medians))
        fit.append(min(statistics.median(found[name]) for name in fits if found[name]) / ours)
        cells = [spread(found[name]) for name in own]
        cells += [_compared(found[name], ours) for name in contenders]
        rows.append(f"| {model} | " + " | ".join(cells) + " |")
    behind = sum(ratio < 1 for ratio in best)
    text = f"fast as the fastest of all others, of which one is ahead in {behind} of {len(best)}"
    if len(own) > 1:  # a whole process
        text += f", by more than a second in {sum(lead > 1 for lead in leads)}"
    return [
        *rows,
        "",
        f"Geometric means: {_mean(fit):.2f} times as fast as `fit` at its best, {_mean(best):.2f} times as",
        f"{text}.",
    ]


def _mean(ratios: Sequence[float]) -> float:
    """Geometric."""
    return math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))


def _compared(seconds: Sequence[float], ours: float) -> str:
    if not seconds:
        return "-"
    return f"{spread(seconds)} ({statistics.median(seconds) / ours:.2f}x)"
