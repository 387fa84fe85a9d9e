"""The results of a run: each metric of each split, and what simple models reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.core.figures import number
from trainkit.reporting.page import Markup, element, table
from trainkit.reporting.run_data import RunData

__all__ = ["read_part", "results"]


def read_part(path: Path) -> dict[str, Any]:
    """The content of a JSON file that a run may lack; empty also if it is damaged."""
    try:
        return files.read_json(path)
    except (UserError, OSError):
        return {}


def results(run: RunData) -> Iterator[Markup]:
    """Tables of what the training itself measured, and of what mode=evaluate found since."""
    columns = {
        "train, last epoch": run.summary.get("train") or {},
        "validation, last epoch": run.summary.get("val") or {},
        "test, last weights": run.summary.get("test") or {},
        "test, best weights": run.best.get("test") or {},
    }
    given = {title: values for title, values in columns.items() if values}
    if given:
        rows = [[name, *(number(values.get(name)) for values in given.values())] for name in _names(given)]
        yield table(["", *given], rows)
        yield element(
            "p", "Training values are means over an epoch in which the weights change.", class_="quiet"
        )
    yield from _evaluated(run)


def _evaluated(run: RunData) -> Iterator[Markup]:
    evaluated = read_part(run.run.path / "evaluate.json")
    splits = evaluated.get("results")
    if not isinstance(splits, Mapping) or not splits:
        return
    baselines = evaluated.get("baselines")
    others = baselines if isinstance(baselines, Mapping) else {}
    names = _names({**splits, **others})
    lines = {**splits, **{f"test, {name}": scores for name, scores in others.items()}}
    rows = [[title, *(number(scores.get(name)) for name in names)] for title, scores in lines.items()]
    of_epoch = f"{evaluated.get('checkpoint', '')} checkpoint, epoch {evaluated.get('epoch', '')}"
    yield element("p", f"By mode=evaluate, {of_epoch}, each row counted once:")
    yield table(["", *names], rows)
    if others:
        yield element(
            "p", "The lines below the splits are simple models on the same test rows.", class_="quiet"
        )


def _names(tables: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """The metrics of all tables, the loss first."""
    found = {name for values in tables.values() if isinstance(values, Mapping) for name in values}
    return sorted(found, key=lambda name: (name != "loss", name))
