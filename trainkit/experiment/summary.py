"""The results of a run: the last lines on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainkit.callbacks.progress import format_values
from trainkit.core.figures import left_out

__all__ = ["closing_lines"]

WAITED_SHARE = 0.2  # of the time, from which it is said


def closing_lines(
    summary: Mapping[str, Any],
    run: str,
    action: str,
    command: str,
    last_weights: str = "last weights",
    *,
    stopped: str = "",
    feed: str = "",
) -> str:
    """The last lines of a run: where it is, its best value, its test results, and the command to go on with.

    Args:
        summary: `monitor`, `best`, `test`, `steps`, `skipped_steps`, `bottleneck`, as `summarise` makes them.
        run: The run directory.
        action: What the command does: `Evaluate` or `Resume`.
        command: To be copied.
        last_weights: Which weights gave the result `test`.
        stopped: Why the training ended before its last epoch; empty if it did not.
        feed: How the rows came.
    """
    best = summary["best"]
    skipped = left_out(summary.get("skipped_steps"), summary.get("steps", 0))
    value = "none" if summary.get("epochs") else "no epoch is complete"
    if best:
        value = f"{summary['monitor']} {best['value']:.6g} in epoch {best['epoch']}"
    lines = {"Run": run, **({"Stopped": stopped} if stopped else {}), "Best": value}
    if summary["test"]:
        lines["Test last"] = f"{format_values(summary['test'])}  ({last_weights})"
    if best.get("test"):
        lines["Test best"] = f"{format_values(best['test'])}  (best weights, epoch {best['epoch']})"
    if skipped:
        lines["Skipped"] = f"{skipped}, since they were not finite"
    waited = summary.get("bottleneck", {}).get("input_share", 0.0)
    if waited >= WAITED_SHARE:
        lines["Waited"] = f"for rows, {waited:.0%} of the time of the training ({feed})"
    lines[action] = command
    return "\n".join(f"{label + ':':<11}{text}" for label, text in lines.items())
