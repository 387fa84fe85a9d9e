"""mode=fit over several folds and seeds."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest

from tests.support.commands import QUIET, read
from tests.support.toys import Toy
from trainkit.cli import main
from trainkit.config import FitConfig
from trainkit.core.datasets import Arrays, Fold, Splits
from trainkit.core.errors import UserError
from trainkit.data.folds import fold_of, unsplit
from trainkit.data.splits import holdout
from trainkit.experiment import runner
from trainkit.experiment.job import Job
from trainkit.experiment.repeats import note_alone
from trainkit.runs.run_dir import RunDir


@pytest.mark.slow
def test_folds_and_seeds_are_runs_with_their_mean_and_spread(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("fit.cv=2", "fit.seeds=2", "trainer.seed=5", "trainer.epochs=1", "run_dir=all") == 0
    found = read("repeats.json", "all")
    names = [f"fold-{fold}-seed-{seed}" for fold in (1, 2) for seed in (5, 6)]
    assert list(found["runs"]) == names
    values = [found["runs"][name]["best val_loss"] for name in names]
    assert found["mean"]["best val_loss"] == pytest.approx(fmean(values))
    assert found["spread"]["best val_loss"] == pytest.approx(stdev(values))
    assert len(set(values)) == 4
    assert all(Path("all", name, "checkpoints", "best").is_dir() for name in names)
    assert "seed: 6" in Path("all/fold-1-seed-6/config.yaml").read_text()
    printed = capsys.readouterr().out
    assert "mean" in printed
    assert "spread" in printed


KILL = "callbacks.extra=[{_target_: mine.Kill, name: SIGINT, epoch: 2}]"
BREAK = "callbacks.extra=[{_target_: mine.Break}]"


def test_folds_that_are_continued_equal_uninterrupted_ones(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("fit.cv=2", "run_dir=whole") == 0
    assert train("fit.cv=2", "run_dir=parts", KILL) == 130
    assert capsys.readouterr().out.endswith("(0/2 runs done)\nContinue:  python -m trainkit resume=parts\n")
    begun = read("repeats.json", "parts")
    assert (begun["done"], begun["of"]) == (0, 2)
    assert begun["exits"] == {"fold-1": 130, "fold-2": None}
    assert main.main(["resume=parts/fold-1", "callbacks.extra=[]", *QUIET]) == 0
    whole, alone = read("repeats.json", "whole"), read("repeats.json", "parts")
    assert (alone["done"], alone["exits"]) == (1, {"fold-1": 0, "fold-2": None})
    assert alone["runs"] == {"fold-1": whole["runs"]["fold-1"]}
    assert main.main(["resume=parts", "callbacks.extra=[]", *QUIET]) == 0
    assert read("repeats.json", "parts") == read("repeats.json", "whole")
    assert read("manifest.json", "parts/fold-1")["resumed"][0]["epoch"] == 2
    assert "resumed" not in read("manifest.json", "parts/fold-2")


def test_runs_that_are_done_are_not_trained_again(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("fit.seeds=1", "trainer.epochs=1", "run_dir=all") == 0
    before = Path("all/seed-0/manifest.json").read_text()
    assert train("fit.seeds=2", "trainer.epochs=1", "run_dir=all", "resume=last") == 0
    assert "Done before: all/seed-0" in capsys.readouterr().out
    assert Path("all/seed-0/manifest.json").read_text() == before
    found = read("repeats.json", "all")
    assert (found["done"], found["of"], list(found["runs"])) == (2, 2, ["seed-0", "seed-1"])
    assert train("fit.seeds=2", "run_dir=all") == 2
    assert train("fit.cv=2", "run_dir=all", "resume=last") == 2
    assert "holds seed-0, seed-1, and these settings ask for other runs" in capsys.readouterr().err


def test_a_run_that_fails_does_not_end_the_others(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("fit.seeds=2", "trainer.epochs=1", "run_dir=all", BREAK) == 1
    assert read("repeats.json", "all")["exits"] == {"seed-0": 1, "seed-1": 1}
    assert "(0/2 runs done, 2 failed)" in capsys.readouterr().out
    assert main.main(["resume=all", "callbacks.extra=[]", *QUIET]) == 0
    assert read("repeats.json", "all")["done"] == 2


def test_a_run_that_came_to_its_end_is_done_whoever_ended_it(
    train: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though a signal came while it was tested, or another process resumed it meanwhile."""
    assert train("fit.seeds=2", "trainer.epochs=1", "run_dir=all") == 0
    whole = read("repeats.json", "all")
    note_alone(RunDir(Path("all/seed-0")), 143)
    assert read("repeats.json", "all") == whole
    status = Path("all/seed-0/status.json")
    done = status.read_text()
    status.unlink()

    def fail(job: Job) -> int:
        status.write_text(done)  # by the other process
        return 1

    monkeypatch.setattr(runner, "fit", lambda job, **others: fail(job))
    assert main.main(["resume=all", *QUIET]) == 0
    assert read("repeats.json", "all") == whole
    assert list(read("repeats.json", "all")["runs"]) == ["seed-0", "seed-1"]


@pytest.mark.parametrize("content", ["[1]", "{", '{"exits": ["run"]}', '{"exits": {"run": 0}}'])
def test_a_file_of_the_users_that_has_this_name_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "repeats.json").write_text(content)
    note_alone(RunDir(tmp_path / "run"), 0)
    assert [path.name for path in tmp_path.iterdir()] == ["repeats.json"]
    assert (tmp_path / "repeats.json").read_text() == content


def test_a_folder_of_several_runs_is_the_newest_and_names_them_where_one_is_needed(
    trained: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained("fit.cv=2", "trainer.epochs=1") == 0
    whole = Path("runs/tiny/latest").resolve()
    assert Path(whole, "repeats.json").is_file()
    capsys.readouterr()
    here = f"runs/tiny/{whole.name}"
    for words in (["mode=evaluate"], ["mode=predict", f"resume={here}"], ["mode=report"], ["resume=best"]):
        assert main.main(words) == 2
        expected = f"trainkit: {here} holds fold-1, fold-2: name one, such as resume={here}/fold-1.\n"
        assert capsys.readouterr().err == expected
    assert main.main(["resume=last", *QUIET]) == 0
    assert f"Done before: {here}/fold-2" in capsys.readouterr().out
    shutil.rmtree("runs")
    assert trained("fit.cv=2", "trainer.epochs=1", "run_dir=runs/both") == 0
    capsys.readouterr()
    assert main.main(["mode=evaluate"]) == 2
    assert "runs/both holds fold-1, fold-2: name one" in capsys.readouterr().err


def test_a_run_of_a_fold_knows_its_fold(train: Callable[..., int]) -> None:
    assert train("fit.cv=2", "trainer.epochs=2", "run_dir=all") == 0
    assert train("fit.cv=2", "fit.fold=2", "trainer.epochs=1", "run_dir=part") == 0
    assert main.main(["resume=part", "trainer.epochs=2", *QUIET]) == 0
    whole, part = read("summary.json", "all/fold-2"), read("summary.json", "part")
    assert part["val"] == whole["val"]
    assert part["test"] == whole["test"]
    assert main.main(["mode=evaluate", "resume=all/fold-2/checkpoints/last", *QUIET]) == 0
    found = json.loads(next(Path("all/fold-2").rglob("evaluate.json")).read_text())["results"]
    assert found["validation"]["loss"] == pytest.approx(whole["val"]["loss"], rel=1e-5)
    with pytest.raises(UserError, match="there are 3 folds"):
        FitConfig(cv=3, fold=4).check("fit.")


def test_what_is_wrong_with_all_runs_makes_nothing(
    train: Callable[..., int], empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("fit.cv=3", "trainer.batch_size=4000") == 2
    assert train("fit.cv=1") == 2
    assert list(empty_folder.iterdir()) == []
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_every_row_validates_once_and_test_rows_stay() -> None:
    task = Toy()
    base = task.data()
    held = []
    for number in range(4):
        same, splits = fold_of(task, number, 4)
        assert same is task
        assert splits is not None
        assert isinstance(splits.train, Arrays)
        assert splits.validation is not None
        assert splits.test is not None
        np.testing.assert_array_equal(splits.test.x, base.test.x)
        assert len(splits.train) + len(splits.validation) == 75 + 21
        held.append(splits.validation)
    rows = np.concatenate([part.x for part in held])
    assert len(np.unique(rows, axis=0)) == 75 + 21
    counts = [np.bincount(part.y, minlength=3) for part in held]
    assert np.ptp(counts, axis=0).max() <= 1, "each class is spread evenly"
    whole = unsplit(task)[1]
    assert whole is not None
    assert whole.validation is None
    assert len(whole.train) == 75 + 21


def test_holdout_takes_a_fold() -> None:
    rows = Arrays(np.arange(10.0)[:, None], np.arange(10))
    parts = [holdout(rows, Fold(number, 5), seed=0) for number in range(5)]
    assert sorted(np.concatenate([held.y for _, held in parts if held is not None])) == list(range(10))
    assert all(set(rest.y) | set(held.y) == set(range(10)) for rest, held in parts if held is not None)


def test_a_dataset_has_no_folds() -> None:
    import tensorflow as tf

    data = Splits(tf.data.Dataset.from_tensor_slices((np.zeros((4, 6)), np.zeros(4))))
    with pytest.raises(UserError, match="folds need them as arrays"):
        fold_of(Toy(), 0, 2, data)


def structured(rows: int, begin: int) -> Arrays:
    """Rows of which each array tells by its values which it is; dicts are not in the order of their keys."""
    numbers = np.arange(begin, begin + rows, dtype="float32")[:, None]
    x = {"width": numbers, "area": {"z": numbers + 1000, "a": numbers + 2000}}
    return Arrays(
        x, {"price": numbers + 3000, "kind": numbers[:, 0] + 4000}, {"price": numbers, "kind": numbers}
    )


def test_arrays_of_a_fold_are_those_of_their_names() -> None:
    splits = Splits(structured(7, 0), structured(5, 100))
    everything = unsplit(Toy(), splits)[1]
    assert everything is not None
    rows = np.concatenate([np.arange(7), np.arange(100, 105)])
    for fold in (everything, fold_of(Toy(), 1, 3, splits)[1]):
        assert fold is not None
        train = fold.train
        assert isinstance(train, Arrays)
        numbers = train.x["width"][:, 0]
        assert set(numbers) <= set(rows)
        for found, apart in (
            (train.x["area"]["z"][:, 0], 1000),
            (train.x["area"]["a"][:, 0], 2000),
            (train.y["price"][:, 0], 3000),
            (train.y["kind"], 4000),
            (train.weight["price"][:, 0], 0),
        ):
            np.testing.assert_array_equal(found, numbers + apart)
    assert len(everything.train) == 12


def test_rows_of_two_forms_have_no_folds() -> None:
    other = Arrays({"width": np.zeros([5, 2])}, np.zeros(5))
    with pytest.raises(UserError, match=r"validation rows .*'x/width': \(2,\)"):
        unsplit(Toy(), Splits(structured(7, 0), dataclasses.replace(other, weight=np.ones(5))))
