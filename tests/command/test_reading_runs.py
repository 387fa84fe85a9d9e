"""mode=report and mode=compare: they read runs, and need no TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tests.support.run_directories import make_run
from trainkit.cli import main
from trainkit.core import files


@pytest.fixture
def three_runs(empty_folder: Path) -> Path:
    """`runs/toy/{a,b}` and `runs/other/c`, which is the newest."""
    make_run(empty_folder / "runs" / "toy" / "20260101-000000-a", rate=0.1, seed=0)
    make_run(empty_folder / "runs" / "toy" / "20260102-000000-b", rate=0.1, seed=1, values=(0.2,))
    make_run(empty_folder / "runs" / "other" / "20260103-000000-c", rate=0.5, status="failed")
    files.link(empty_folder / "runs" / "toy" / "latest", "20260102-000000-b")
    return empty_folder / "runs"


def test_the_report_of_the_newest_run_or_of_one_that_is_named_is_written(three_runs: Path) -> None:
    assert main.main(["mode=report"]) == 0
    assert (three_runs / "other" / "20260103-000000-c" / "report.html").is_file()
    assert main.main(["mode=report", "resume=runs/toy/latest"]) == 0
    assert (three_runs / "toy" / "20260102-000000-b" / "report.html").is_file()


def test_a_report_of_no_run_is_refused_in_one_line(
    empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["mode=report"]) == 2
    assert main.main(["mode=report", "resume=."]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "There is no run in runs yet" in lines[0]
    assert "is no run; expected a run directory" in lines[1]
    assert list(empty_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], ["c", "b", "a"]),
        (["trainer.seed=1"], ["b"]),
        (["optimizer.learning_rate=0.5", "trainer.seed=0"], ["c"]),
        (["compare.status=failed"], ["c"]),
        (["compare.sort=epochs"], ["b", "a", "c"]),
    ],
)
def test_a_command_line_names_the_runs_to_compare(
    three_runs: Path, words: list[str], shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["mode=compare", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [line[len("20260101-000000-")] for line in lines if line.startswith("202601")]
    assert found == shown
    assert (three_runs / "compare.html").is_file()


def test_a_column_that_is_not_there_is_answered_with_those_that_are(
    three_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["mode=compare", "compare.sort=epoch"]) == 2
    said = capsys.readouterr().err
    assert "did you mean epochs? They have run, task, data set, status, epochs, " in said
    assert "--help" not in said


@pytest.mark.slow
def test_two_runs_are_compared_by_plain_words(three_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["runs/toy/20260101-000000-a", "runs/other/20260103-000000-c"]
    assert main.main(["mode=compare", *folders]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "What differs:"
    assert any(line.split() == ["optimizer.learning_rate", "0.1", "0.5"] for line in lines)
    assert main.main(["mode=compare", "compare.runs=[runs/toy/nothing]"]) == 2
    assert main.main(["mode=compare", "trainer.seed=7"]) == 2
    assert main.main(["mode=compare", "callbacks=early_stopping"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert "callbacks= names several settings at once" in errors[2]
    assert "runs/toy/nothing is no run" in errors[0]
    assert "There is no run with trainer.seed=7 in runs, where 3 runs are" in errors[1]


def test_reading_runs_imports_no_tensorflow(three_runs: Path) -> None:
    program = (
        "import sys; from trainkit.cli import main\n"
        "assert main.main(['mode=compare']) == 0 and main.main(['mode=report']) == 0\n"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    words = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{program}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("content", ["a: [", "", "null", "[1]"])
def test_a_run_whose_settings_are_damaged_is_told(three_runs: Path, content: str) -> None:
    (three_runs / "toy" / "20260101-000000-a" / "config.yaml").write_text(content)
    with pytest.warns(UserWarning, match=r"-a/config\.yaml is damaged: this run is shown without settings"):
        assert main.main(["mode=compare"]) == 0


def test_a_run_whose_results_are_damaged_is_told(three_runs: Path) -> None:
    (three_runs / "toy" / "20260101-000000-a" / "summary.json").write_text('{"train": ')
    with pytest.warns(UserWarning, match=r"-a/summary\.json is damaged: .* expected the JSON"):
        assert main.main(["mode=compare"]) == 0
