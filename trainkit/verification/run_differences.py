"""Where two run directories of one training first differ, in anything but time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.checkpoint import members
from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.runs.metrics_csv import read_rows
from trainkit.runs.run_dir import RunDir

__all__ = ["run_differences"]

# Of a summary: times differ from run to run, and a resumed training has another reason for its execution.
TIMES = ("seconds", "throughput", "bottleneck", "execution_reason")
CHECKPOINTS = ("last", "best")


def run_differences(one: Path, other: Path) -> list[str]:
    """The first difference in each file of two runs, bit for bit; empty if they are equal.

    Compared are the checkpoints `last` and `best` (weights, slots, seeds, metrics, position, states of the
    callbacks), `metrics.csv` and `summary.json`, without what they say of times.
    """
    a, b = RunDir(one), RunDir(other)
    found = [_first(name, _checkpoint(a.checkpoints / name, b.checkpoints / name)) for name in CHECKPOINTS]
    found.append(_first(a.metrics.name, _tables(read_rows(a.metrics), read_rows(b.metrics))))
    found.append(_first(a.summary.name, _values(_summary(a), _summary(b), "")))
    return [difference for difference in found if difference is not None]


def _first(name: str, differences: Iterator[str]) -> str | None:
    try:
        difference = next(differences, None)
    except UserError as error:
        return f"{name}: {error}"
    return None if difference is None else f"{name}: {difference}"


def _checkpoint(a: Path, b: Path) -> Iterator[str]:
    if not a.exists() and not b.exists():
        return
    one, other = members.check(a), members.check(b)
    for member, key in members.MEMBERS.items():
        arrays = zip(members.read_arrays(a, one, member), members.read_arrays(b, other, member), strict=False)
        for (name, x), (_, y) in arrays:
            if x.tobytes() != y.tobytes():
                yield f"{name} {_array_difference(x, y)}"
        if len(one[key]) != len(other[key]):
            yield f"{len(one[key])} and {len(other[key])} {key}"
    for key in ("position", "skipped", "execution", "callbacks"):
        yield from _values(one.get(key), other.get(key), key)


def _array_difference(x: np.ndarray, y: np.ndarray) -> str:
    if x.shape != y.shape or x.dtype != y.dtype:
        return f"{x.dtype}{x.shape} and {y.dtype}{y.shape}"
    width = x.dtype.itemsize
    bits = [np.frombuffer(array.tobytes(), np.uint8).reshape(-1, width) for array in (x, y)]
    place = int(np.flatnonzero((bits[0] != bits[1]).any(1))[0])
    values = (str(array.reshape(-1)[place]) for array in (x, y))  # as short as tells a float32 from others
    return f"at {place}: {' and '.join(values)}"


def _tables(a: Sequence[Mapping[str, str]], b: Sequence[Mapping[str, str]]) -> Iterator[str]:
    for one, other in zip(a, b, strict=False):
        plain, others = ({k: v for k, v in row.items() if k != "seconds"} for row in (one, other))
        yield from _values(plain, others, f"epoch {one.get('epoch')}")
    if len(a) != len(b):
        yield f"{len(a)} and {len(b)} rows"


def _summary(run: RunDir) -> dict[str, Any]:
    return {key: value for key, value in files.read_json(run.summary).items() if key not in TIMES}


def _values(a: Any, b: Any, where: str) -> Iterator[str]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys([*a, *b]):
            yield from _values(a.get(key), b.get(key), f"{where}/{key}" if where else str(key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _values(one, other, f"{where}/{i}")
    elif repr(a) != repr(b):
        yield f"{where}: {a!r} and {b!r}"
