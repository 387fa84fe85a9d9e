"""`report.html` of a search: its trials, what mattered, and where the good ones lie."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainkit.core.figures import NOTHING, duration, number
from trainkit.reporting.page import Markup, data, element, figures, page, section, table
from trainkit.reporting.series import thinned

__all__ = ["SearchData", "TrialData", "search_html"]

POINTS = 8_000  # of all learning curves together
FEWEST = 20
REFRESH_SECONDS = 20


@dataclass(frozen=True)
class TrialData:
    """One trial.

    Args:
        number: From 0.
        state: `complete`, `pruned`, `failed` or `running`.
        values: One per objective.
        settings: The value of each key.
        seconds: Of its epochs.
        reason: Why it failed.
        curve: Epochs and values of the first objective.
    """

    number: int
    state: str
    values: Sequence[float]
    settings: Mapping[str, Any]
    seconds: float | None = None
    reason: str = ""
    curve: tuple[Sequence[int], Sequence[float]] = ((), ())


@dataclass(frozen=True)
class SearchData:
    """What is shown of a search.

    Args:
        name: Title.
        folder: As people type it.
        objectives: Names of the values.
        directions: `minimize` or `maximize` for each.
        keys: What was searched.
        trials: In order.
        best: Numbers of the best trials: one, or the Pareto front of several objectives.
        importances: Share of each key in the variance of the first objective.
        commands: To be copied, by what they do.
    """

    name: str
    folder: str
    objectives: Sequence[str]
    directions: Sequence[str]
    keys: Sequence[str]
    trials: Sequence[TrialData]
    best: Sequence[int]
    importances: Mapping[str, float] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)


def search_html(search: SearchData) -> str:
    """The page of a search."""
    running = any(trial.state == "running" for trial in search.trials)
    charts = list(_charts(search))
    boxes = [
        (spec["part"], element("div", element("h3", spec["title"]), element("div", id=spec["id"])))
        for spec in charts
    ]

    def part(name: str) -> Markup | None:
        found = [box for where, box in boxes if where == name]
        return element("div", *found, class_="charts") if found else None

    return page(
        search.name,
        element("h1", search.name),
        element("p", f"in {search.folder}", class_="quiet"),
        figures(_headlines(search)),
        section("History", part("history")),
        section("What mattered", *_importances(search)),
        section("Parallel coordinates", element("div", id="parallel") if _complete(search) else None),
        section("Slices", part("slice")),
        section("Pareto front", part("pareto")),
        section("Learning curves", part("curves")),
        section("Trials", _trials(search)),
        section("Commands", *(_command(name, text) for name, text in search.commands.items())),
        data("charts", charts),
        data("search", _parallel(search)),
        scripts=("chart.js", "search.js"),
        refresh=REFRESH_SECONDS if running else None,
    )


def _complete(search: SearchData) -> list[TrialData]:
    return [
        trial
        for trial in search.trials
        if trial.state == "complete" and all(map(math.isfinite, trial.values))
    ]


def _headlines(search: SearchData) -> Iterator[tuple[str, str]]:
    by_number = {trial.number: trial for trial in search.trials}
    if search.best:
        best = by_number[search.best[0]]
        yield f"best {search.objectives[0]}, trial {best.number}", number(best.values[0])
    states = [trial.state for trial in search.trials]
    yield "trials complete", number(states.count("complete"))
    for state in ("running", "pruned", "failed"):
        if state in states:
            yield f"trials {state}", number(states.count(state))
    yield "of training, all trials", duration(sum(trial.seconds or 0.0 for trial in search.trials))


def _charts(search: SearchData) -> Iterator[dict[str, Any]]:
    done = _complete(search)
    if not done:
        return
    name = search.objectives[0]
    down = search.directions[0] == "minimize"
    values = [trial.values[0] for trial in done]
    so_far = [min(values[: i + 1]) if down else max(values[: i + 1]) for i in range(len(values))]
    numbers = [trial.number for trial in done]
    yield {
        "part": "history",
        "title": f"{name} of each trial",
        "id": "history",
        "x": "trial",
        "y": name,
        "wholeX": True,
        "series": [
            {"name": "best so far", "x": numbers, "y": so_far},
            {"name": "trials", "x": numbers, "y": values, "points": True, "names": _labels(done)},
        ],
    }
    for i, key in enumerate(search.keys):
        yield {"part": "slice", "title": key, "id": f"slice-{i}", **_slice(key, done, name)}
    if len(search.objectives) > 1:
        yield _pareto(search, done)
    most = max(FEWEST, POINTS // len(done))
    curves = [
        {
            "name": f"trial {trial.number}",
            **dict(zip("xy", thinned(*trial.curve, most), strict=True)),
            "colour": 0 if trial.number in search.best else 7,
        }
        for trial in done
    ]
    curves.sort(key=lambda one: one["colour"] == 0)  # the best is drawn last, above the others
    yield {
        "part": "curves",
        "title": f"{name}, the best trial in colour",
        "id": "curves",
        "x": "epoch",
        "y": name,
        "wholeX": True,
        "height": 320,
        "legend": False,
        "series": curves,
    }


def _slice(key: str, done: Sequence[TrialData], name: str) -> dict[str, Any]:
    """Values of the objective over one key; choices stand beside each other."""
    given = [trial.settings.get(key) for trial in done]
    axis = _Axis.of(given)
    series = {
        "name": "trials",
        "x": [axis.place(value) for value in given],
        "y": [trial.values[0] for trial in done],
        "names": _labels(done),
    }
    spec: dict[str, Any] = {"x": key, "y": name, "points": True, "series": [series]}
    return {**spec, "xNames": axis.names, "wholeX": True} if axis.names else spec


def _pareto(search: SearchData, done: Sequence[TrialData]) -> dict[str, Any]:
    parts = []
    for label, chosen in (
        ("Pareto front", [trial for trial in done if trial.number in search.best]),
        ("other trials", [trial for trial in done if trial.number not in search.best]),
    ):
        xs, ys = [trial.values[0] for trial in chosen], [trial.values[1] for trial in chosen]
        parts.append({"name": label, "x": xs, "y": ys, "names": _labels(chosen)})
    first, second = search.objectives[:2]
    title = f"{second} over {first}"
    return {
        "part": "pareto",
        "title": title,
        "id": "pareto",
        "x": first,
        "y": second,
        "points": True,
        "series": parts,
    }


@dataclass(frozen=True)
class _Axis:
    """An axis of numbers, or of choices that have names."""

    names: list[str]

    @classmethod
    def of(cls, values: Sequence[Any]) -> _Axis:
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        return cls([] if numbers else sorted({str(value) for value in values}))

    def place(self, value: Any) -> float:
        return float(self.names.index(str(value))) if self.names else float(value)


def _parallel(search: SearchData) -> dict[str, Any]:
    """What `drawParallel` takes: axes with their names of choices, and a line per trial, the best last."""
    done = _complete(search)
    if not done:
        return {}
    down = search.directions[0] == "minimize"
    done.sort(key=lambda trial: -trial.values[0] if down else trial.values[0])
    columns = [[trial.settings.get(key) for trial in done] for key in search.keys]
    columns.append([trial.values[0] for trial in done])
    axes = [_Axis.of(column) for column in columns]
    return {
        "axes": [
            {"name": name, "names": axis.names}
            for name, axis in zip([*search.keys, search.objectives[0]], axes, strict=True)
        ],
        "lines": [
            {"name": label, "at": [axis.place(column[i]) for axis, column in zip(axes, columns, strict=True)]}
            for i, label in enumerate(_labels(done))
        ],
    }


def _labels(trials: Sequence[TrialData]) -> list[str]:
    return [f"trial {trial.number}" for trial in trials]


def _importances(search: SearchData) -> Iterator[Markup]:
    if not search.importances:
        return
    note = (
        f"How much of what a forest of trees knows of {search.objectives[0]} comes from each setting (mean "
        "decrease of impurity)."
    )
    yield element("p", note, class_="quiet")
    yield table(["setting", "share"], [[key, f"{share:.0%}"] for key, share in search.importances.items()])


def _trials(search: SearchData) -> Markup:
    rows = []
    for trial in search.trials:
        values = [number(value) for value in trial.values] or [NOTHING] * len(search.objectives)
        settings = [number(trial.settings.get(key)) for key in search.keys]
        label = element("b", str(trial.number)) if trial.number in search.best else str(trial.number)
        rows.append([label, trial.state, *values, *settings, duration(trial.seconds), trial.reason])
    return table(["trial", "state", *search.objectives, *search.keys, "seconds", "reason"], rows)


def _command(name: str, text: str) -> Markup:
    return element("div", element("h3", name), element("pre", text, class_="command"), class_="copied")
