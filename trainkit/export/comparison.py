"""What a file gives in its own runtime, in a fresh process, and how far that is from the model."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trainkit.core.errors import one_line
from trainkit.export import runtimes
from trainkit.export.processes import run_alone
from trainkit.export.runtimes import Named

__all__ = ["Unusable", "largest_difference", "outputs_of"]


class Unusable(Exception):
    """A file that its own runtime cannot use."""


def outputs_of(path: Path, rows: Named) -> Named:
    """The outputs of an exported file for named rows, by its runtime in a fresh process without trainkit.

    Raises:
        Unusable: if it does not load, or does not run.
    """
    with tempfile.TemporaryDirectory() as scratch:
        given = Path(scratch) / "rows.npz"
        found = Path(scratch) / "outputs.npz"
        columns = {name: _storable(column) for name, column in rows.items()}
        np.savez(given, **columns)  # type: ignore[arg-type]  # the stubs take a name for an option
        done = run_alone(runtimes.__file__, [str(path), str(given), str(found)])
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise Unusable(one_line(lines[-1] if lines else f"exit code {done.returncode}")[:300])
        with np.load(found) as stored:
            return {name: stored[name] for name in stored.files}


def largest_difference(expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> float:
    """The largest difference of any output, relative to values larger than 1; infinite for another text.

    Raises:
        Unusable: if names or shapes are others.
    """
    if set(expected) != set(found):
        raise Unusable(f"its outputs are {', '.join(sorted(found))}; expected {', '.join(sorted(expected))}")
    largest = 0.0
    for name, values in expected.items():
        other = found[name]
        if values.shape != other.shape:
            raise Unusable(f"{name} has the shape {other.shape}; expected {values.shape}")
        if values.dtype.kind in "OUS":
            largest = max(largest, 0.0 if bool((values.astype(str) == other.astype(str)).all()) else np.inf)
        elif values.size:
            a = values.astype(np.float64)
            b = other.astype(np.float64)
            both_nan = np.isnan(a) & np.isnan(b)
            gap = np.where(both_nan, 0.0, np.abs(a - b) / np.maximum(1.0, np.abs(a)))
            largest = max(largest, float(np.nan_to_num(gap, nan=np.inf).max()))
    return largest


def _storable(column: np.ndarray) -> np.ndarray:
    """Texts as characters, which need no pickle."""
    if column.dtype.kind != "O":
        return column
    texts = [v.decode() if isinstance(v, bytes) else str(v) for v in column.reshape(-1)]
    return np.array(texts, dtype=str).reshape(column.shape)
