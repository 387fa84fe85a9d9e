"""Reports and comparisons, from run directories that no training made."""

from __future__ import annotations

import html
import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.support.run_directories import make_run
from trainkit.core import figures, files
from trainkit.core.errors import UserError
from trainkit.reporting.compare_page import compare_html
from trainkit.reporting.comparison import Compared, differences, rows_of, seed_groups, sorted_rows
from trainkit.reporting.report import report_html, write_report
from trainkit.reporting.run_data import all_runs, read_run
from trainkit.reporting.series import thinned
from trainkit.reporting.terminal import pair_lines, table_lines

HOSTILE = "</script><img src=x onerror=alert(1)>&'\""


class Page(HTMLParser):
    """The tags of a page, and the JSON in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.data: dict[str, object] = {}
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._in = dict(attrs).get("id") or "" if tag == "script" else ""

    def handle_data(self, data: str) -> None:
        if self._in:
            self.data[self._in] = json.loads(data)


def test_a_report_holds_curves_results_and_commands_in_one_file_without_a_network(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "toy" / "a")
    text = write_report(run.path).read_text()
    page = Page(text)
    loss = page.data["charts"][0]  # type: ignore[index]
    assert loss["series"][1] == {"name": "validation", "x": [1, 2, 3], "y": [0.5, 0.3, 0.4]}
    assert loss["mark"] == {"x": 2, "text": "best: epoch 2"}
    names = [chart["y"] for chart in page.data["charts"]]  # type: ignore[attr-defined]
    assert names == ["loss", "learning rate"]
    assert f"mode=evaluate resume={files.shown(run.path)}" in text
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert "connect-src" not in text
    assert "default-src 'none'" in text
    assert len(text) < 500_000


def test_a_report_shows_what_was_evaluated_since(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    scores = {"results": {"test": {"loss": 0.125}}, "baselines": {"nearest": {"loss": 0.75}}, "epoch": 2}
    files.write_json(run.path / "evaluate.json", {"checkpoint": "best", **scores})
    text = report_html(read_run(run.path))
    assert "By mode=evaluate, best checkpoint, epoch 2" in text
    assert '<td>test</td><td class="number">0.125</td>' in text
    assert '<td>test, nearest</td><td class="number">0.75</td>' in text


def test_what_a_run_says_cannot_become_html(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", task=HOSTILE, monitor=HOSTILE, execution_reason=HOSTILE)
    dataset = {"name": HOSTILE, "origin": HOSTILE, "substitute_for": HOSTILE}
    files.write_json(run.manifest, {"argv": [HOSTILE], "dataset": dataset})
    files.write_text(run.model_summary, HOSTILE)
    for text in (
        report_html(read_run(run.path)),
        compare_html(rows_of([Compared(read_run(run.path), {HOSTILE: 1})]), HOSTILE),
    ):
        page = Page(text)
        assert "img" not in page.tags
        assert page.data


def test_a_run_that_goes_on_or_failed_has_a_report_that_says_so(tmp_path: Path) -> None:
    running = report_html(read_run(make_run(tmp_path / "a", status="running").path))
    assert 'http-equiv="refresh"' in running
    failed = report_html(read_run(make_run(tmp_path / "b", status="failed").path))
    assert "failed: the lamp went out" in failed
    assert 'http-equiv="refresh"' not in failed
    assert "Resume it" in failed


def test_a_report_names_the_commands_that_work(tmp_path: Path) -> None:
    """Nothing is evaluated of a run without an epoch; one from Python has no settings to be read."""
    run = make_run(tmp_path / "a")
    assert "Evaluate it" in report_html(read_run(run.path))
    files.write_json(run.summary, {})
    files.write_json(run.path / "status.json", {"status": "failed"})
    started = report_html(read_run(run.path))
    assert "Repeat it" in started
    assert "Evaluate it" not in started
    (run.path / "config.yaml").unlink()
    assert "Repeat it" not in report_html(read_run(run.path))


def test_the_commands_of_a_report_name_its_folder_whatever_that_is_called(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r =1, (it's)", status="preempted")
    written = re.findall(r'<pre class="command">([^<]*)', report_html(read_run(run.path)))
    commands = [shlex.split(html.unescape(command)) for command in written]
    assert len(commands) == 5
    for words in commands:
        _, _, _, *rest = words
        named = [word for word in rest if word.startswith("resume=")]
        if named:
            assert OverridesParser.create().parse_override(named[0]).value() == files.shown(run.path)
        else:
            assert rest == ["--config-dir", files.shown(run.path), "--config-name", "config"]


def test_a_run_that_failed_has_its_task_wherever_it_lies(tmp_path: Path) -> None:
    run = make_run(tmp_path / "results" / "a", status="failed")
    assert read_run(run.path).task == "results", "as an older run, which did not say it"
    files.write_json(run.manifest, {**files.read_json(run.manifest), "task": "toy"})
    assert "<title>toy a" in report_html(read_run(run.path))


def test_a_damaged_file_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    run.summary.write_text("{")
    text = report_html(read_run(run.path))
    assert "summary.json is damaged" in text
    assert "Curves" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "under 0.01 ms"), (8e-9, "under 0.01 ms"), (0.035, "35 ms"), (4.2, "4.2 s"), (3900, "1 h 05 min")],
)
def test_a_time_too_short_to_be_measured_is_no_figure(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


def test_a_thinned_curve_keeps_its_ends_and_its_extremes() -> None:
    y = [1.0] * 5000
    y[1234] = 9.0
    y[4321] = -9.0
    x, kept = thinned(list(range(5000)), y)
    assert len(x) <= 410
    assert (x[0], x[-1]) == (0, 4999)
    assert (max(kept), min(kept)) == (9.0, -9.0)
    assert thinned([1, 2], [float("nan"), 1.0]) == ([2], [1.0])


def compared(folder: Path, **about: object) -> Compared:
    run = make_run(folder, **about)  # type: ignore[arg-type]
    seed, rate = about.get("seed", 0), about.get("rate", 0.1)
    return Compared(read_run(run.path), {"trainer.seed": seed, "optimizer.learning_rate": rate})


def test_runs_are_sorted_by_what_each_monitors(tmp_path: Path) -> None:
    runs = [
        compared(tmp_path / "a", values=(0.5, 0.4)),
        compared(tmp_path / "b", values=(0.5, 0.2)),
        compared(tmp_path / "c", values=(0.5, 0.3)),
    ]
    order = [row.values["run"] for row in sorted_rows(rows_of(runs), None)]
    assert order == ["b", "c", "a"]
    up = [compared(tmp_path / f"up-{value}", values=(value,), direction="max") for value in (0.1, 0.9, 0.5)]
    assert [row.values["best"] for row in sorted_rows(rows_of(up), None)] == [0.9, 0.5, 0.1]
    with pytest.raises(UserError, match="did you mean test/loss"):
        sorted_rows(rows_of(runs), "test/los")


def test_runs_that_differ_in_their_seeds_alone_are_one_training(tmp_path: Path) -> None:
    runs = [
        compared(tmp_path / "a", seed=0, values=(0.2,)),
        compared(tmp_path / "b", seed=1, values=(0.4,)),
        compared(tmp_path / "c", seed=0, rate=0.5),
    ]
    assert differences(runs) == ["trainer.seed", "optimizer.learning_rate"]
    (group,) = seed_groups(rows_of(runs))
    assert [row.values["run"] for row in group.rows] == ["a", "b"]
    assert group.text("best") == "0.3 ± 0.14"
    assert (group.kind, group.apart) == ("2 seeds", {})
    runs.append(compared(tmp_path / "d", seed=1, rate=0.5))
    lines = [line for line in table_lines(rows_of(runs), 140, 5) if line.startswith("2 seeds")]
    rates = [line.partition(": best")[0] for line in lines]
    assert rates[1] == "2 seeds, toy, optimizer.learning_rate 0.5"
    assert rates[0].startswith("2 seeds, toy, optimizer.learning_rate ")
    assert rates[0] != rates[1]


def test_folds_are_no_seeds_and_every_run_has_a_name_of_its_own(tmp_path: Path) -> None:
    def folds(place: Path, seeds: int) -> list[Compared]:
        found = [(fold, seed) for fold in (1, 2, 3) for seed in range(seeds)]
        return [
            Compared(one.data, {**one.settings, "fit.cv": 3, "fit.fold": fold})
            for fold, seed in found
            for one in [compared(place / f"fold-{fold}-seed-{seed}", seed=seed)]
        ]

    runs = folds(tmp_path / "a", 2)
    plain = compared(tmp_path / "plain", seed=1)  # on all rows: another training
    rows = rows_of([*runs, *folds(tmp_path / "b", 1), plain])
    names = [row.values["run"] for row in rows]
    assert names[1:2] + names[6:7] + names[9:] == ["a/fold-1-seed-1", "b/fold-1-seed-0", "plain"]
    assert seed_groups(rows_of(runs))[0].kind == "3 folds x 2 seeds"
    assert seed_groups(rows_of(runs[::2]))[0].kind == "3 folds"
    (group,) = seed_groups(rows_of([*runs[:5], plain]))
    assert group.kind == "5 runs of 3 folds x 2 seeds"
    assert "5 runs of 3 folds x 2 seeds, toy: best" in "\n".join(table_lines(group.rows, 140, 5))
    (group,) = seed_groups(rows)  # each fold of `b` again
    assert group.kind == "3 folds x 2 seeds"


@pytest.mark.parametrize("place", [0, 2])
def test_a_seed_that_was_trained_twice_counts_once_by_its_newest_run(tmp_path: Path, place: int) -> None:
    runs = [compared(tmp_path / f"seed-{seed}", seed=seed, values=(seed / 10,)) for seed in (1, 3)]
    again = compared(tmp_path / "again", seed=1, values=(0.5,))
    ended = replace(again.data, status={**again.data.status, "heartbeat": "2999-01-01T00:00:00+00:00"})
    runs.insert(place, Compared(ended, again.settings))
    (group,) = seed_groups(rows_of(runs))
    assert (group.kind, group.text("best")) == ("2 seeds", "0.4 ± 0.14")
    assert seed_groups(rows_of([run for run in runs if run.settings == again.settings])) == []


@pytest.mark.parametrize("width", [80, 140])
def test_tables_fit_the_terminal(tmp_path: Path, width: int) -> None:
    runs = [compared(tmp_path / f"20261127-22000{i}-0123456{i}", seed=i, rate=i / 10 + 0.1) for i in range(3)]
    lines = table_lines(rows_of(runs), width, 2)
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("20261127") for line in lines) == 2
    assert "1 more runs" in "\n".join(lines)
    pair = pair_lines(runs[0], runs[1], rows_of(runs[:2]), width)
    assert max(map(len, pair)) <= width
    assert pair[0] == "What differs:"
    assert any(line.split() == ["optimizer.learning_rate", "0.1", "0.2"] for line in pair)


def test_runs_are_found_once_whatever_links_to_them(tmp_path: Path) -> None:
    make_run(tmp_path / "toy" / "a")
    make_run(tmp_path / "toy" / "tune-1" / "b")
    files.link(tmp_path / "toy" / "latest", "a")
    assert [run.name for run in all_runs(tmp_path)] == ["a", "b"]
