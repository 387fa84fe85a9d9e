"""The page of a search, from trials that no training made."""

from __future__ import annotations

import re

from tests.unit.test_reporting import Page
from trainkit.reporting.search_page import SearchData, TrialData, search_html

HOSTILE = "</script><img src=x>"


def trials() -> list[TrialData]:
    settings = [{"rate": 0.001 * 10**i, "units": f"[{8 * (i + 1)}]"} for i in range(3)]
    curve = ([1, 2], [0.9, 0.5])
    return [
        TrialData(0, "complete", [0.5, 2.0], settings[0], 1.5, curve=curve),
        TrialData(1, "failed", [], settings[1], 0.1, reason=HOSTILE),
        TrialData(2, "complete", [0.4, 3.0], settings[2], 2.5, curve=curve),
        TrialData(3, "complete", [0.45, 2.5], settings[0], 2.0, curve=([1], [float("nan")])),
        TrialData(4, "running", [], settings[1]),
    ]


def search(objectives: int = 2) -> SearchData:
    return SearchData(
        name="Search",
        folder="runs/toy/tune-1",
        objectives=["val_loss", "seconds"][:objectives],
        directions=["minimize", "minimize"][:objectives],
        keys=["rate", "units"],
        trials=trials(),
        best=[2, 3, 0][: 1 if objectives == 1 else 3],
        importances={"rate": 0.8, "units": 0.2},
        commands={"Train the best": "python -m trainkit experiment=best"},
    )


def test_a_search_is_one_page_without_a_network() -> None:
    text = search_html(search())
    page = Page(text)
    charts = {chart["id"]: chart for chart in page.data["charts"]}  # type: ignore[attr-defined]
    assert charts["history"]["series"][0] == {"name": "best so far", "x": [0, 2, 3], "y": [0.5, 0.4, 0.4]}
    assert charts["slice-0"]["series"][0]["x"] == [0.001, 0.1, 0.001]
    assert charts["slice-1"]["xNames"] == ["[24]", "[8]"]
    assert charts["slice-1"]["series"][0]["x"] == [1.0, 0.0, 1.0]
    assert [len(part["x"]) for part in charts["pareto"]["series"]] == [3, 0]
    assert charts["curves"]["series"][-1]["colour"] == 0
    lines = page.data["search"]["lines"]  # type: ignore[index]
    assert [line["name"] for line in lines] == ["trial 0", "trial 3", "trial 2"], "the best one is last"
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert HOSTILE not in text
    assert 'http-equiv="refresh"' in text
    assert len(text) < 200_000


def test_one_objective_has_no_front_and_no_trial_has_no_charts() -> None:
    assert "Pareto" not in search_html(search(1))
    empty = SearchData("Search", "x", ["val_loss"], ["minimize"], ["rate"], [], [])
    assert Page(search_html(empty)).data["charts"] == []
