"""A run is measured on new rows that have labels, and stays what it is; what it cannot use is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from keras.utils import save_img
from omegaconf import DictConfig, OmegaConf

from tests.support.commands import QUIET, read
from tests.support.tables import LABELLED, NEW, write_tables
from trainkit.cli import arguments, compose, main
from trainkit.cli.resumed import merged_with_run
from trainkit.cli.settings import as_yaml, plain
from trainkit.core.errors import UserError
from trainkit.tasks.image_classification import ImageClassification
from trainkit.tasks.tabular import TabularClassification
from trainkit.tasks.text_classification import TextClassification

SETTINGS = ("task=tabular_classification", f"data.path={LABELLED}", "data.target=outcome", "data.weight=age")


@pytest.mark.slow
def test_new_rows_are_measured_as_the_same_rows_of_the_run_are(
    empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tables(empty_folder)
    text = Path(LABELLED).read_text().replace(",,", ",30,")  # weights have no gaps
    Path(LABELLED).write_text(text)
    head, *lines = text.splitlines()
    words = ("data.columns.customer=ignore", "data.split=time", "data.split_column=price")
    assert main.main([*SETTINGS, *words, "trainer.epochs=1", *QUIET, "run_dir=run"]) == 0
    assert main.main(["mode=evaluate", "resume=run"]) == 0
    before = Path("run/evaluate.json").read_bytes()
    tested = TabularClassification(
        settings={"path": LABELLED, "target": "outcome", "split": "time", "split_column": "price"}
    ).table.rows["test"]
    Path("more.csv").write_text("\n".join([head, *(lines[row] for row in tested)]) + "\n")
    Path("other.csv").write_text("\n".join([head, *lines[:40]]) + "\n")
    capsys.readouterr()
    assert main.main(["mode=evaluate", "resume=run", "evaluate.path=more.csv"]) == 0
    said = capsys.readouterr().out
    assert f"more.csv{len(tested):>21}" in said
    found = read("evaluate-new.json", "run")
    assert found["rows"]["count"] == len(tested)
    assert found["results"] == pytest.approx(read("evaluate.json", "run")["results"]["test"], rel=1e-5)
    assert Path("run/evaluate.json").read_bytes() == before

    assert main.main(["mode=predict", "resume=run", "predict.path=more.csv"]) == 0
    assert "has the target 'outcome': mode=evaluate evaluate.path=more.csv" in capsys.readouterr().out
    for wrong, message in (
        ((f"evaluate.path={NEW}",), "The rows have no column 'outcome', which the training had"),
        (("evaluate.path=nowhere.csv",), "evaluate.path=nowhere.csv does not exist"),
        (("evaluate.path=more.csv", "evaluate.baselines=true"), "leave it or evaluate.path out"),
        (("data.path=other.csv",), "has other rows than the run was trained on (people.csv): leave it out"),
    ):
        assert main.main(["mode=evaluate", "resume=run", *wrong]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_labels_of_new_rows_are_those_of_the_training_and_rows_without_one_are_refused(
    empty_folder: Path,
) -> None:
    write_tables(empty_folder)
    given = {"path": LABELLED, "target": "outcome", "columns": {"customer": "ignore"}}
    task = TabularClassification(settings=given)
    _, *lines = Path(LABELLED).read_text().splitlines()
    rows = task.labelled_rows(LABELLED)
    names = [line.split(",")[5] for line in lines]
    assert [task.labels.classes[code] for code in rows.arrays.y] == names
    for new, message in (
        ("goes", "'goes' in row 1 is no class of the training.* Correct the cell"),
        ("", "has no value in 1 of 60 rows"),
    ):
        bad = lines[0].split(",")
        bad[5] = new
        head = Path(LABELLED).read_text().splitlines()[0]
        Path("bad.csv").write_text("\n".join([head, ",".join(bad), *lines[1:]]) + "\n")
        with pytest.raises(UserError, match=message):
            task.labelled_rows("bad.csv")
        if new:  # a second file, of which the rows would run on
            with pytest.raises(UserError, match="'goes' is no class of the training"):
                task.labelled_rows([LABELLED, "bad.csv"])
    kept = TabularClassification(settings={**given, "skip_bad": True}).labelled_rows("bad.csv")
    assert len(kept.arrays) == 59
    stored = {**given, "memory": 65_000, "cache": "cache"}
    outside = TabularClassification(settings=stored).labelled_rows(LABELLED)
    assert "not held in memory" in " ".join(outside.notes)
    assert outside.arrays.y.tolist() == rows.arrays.y.tolist()


def test_folders_of_classes_are_new_rows_with_labels(empty_folder: Path) -> None:
    for part in ("old", "new"):
        for label, level in (("dark", 40), ("light", 200)):
            for i in range(10):
                folder = empty_folder / part / label
                folder.mkdir(parents=True, exist_ok=True)
                save_img(folder / f"{i}.png", np.full((4, 4, 1), level + i), scale=False)
                (folder / f"{i}.txt").write_text(f"a {label} word")
    for task in (
        ImageClassification(settings={"path": "old", "format": "images"}),
        TextClassification(settings={"path": "old", "format": "text"}),
    ):
        rows = task.labelled_rows("new").arrays
        assert rows.y.tolist() == [0] * 10 + [1] * 10
        with pytest.raises(UserError, match=r"evaluate\.path=nowhere does not exist"):
            task.labelled_rows("nowhere")


@pytest.mark.parametrize(("then", "now"), [(None, "/b"), ("/a", None), ("/a", "/b")])
def test_settings_reach_the_task_of_a_run_whatever_the_folder_of_data_is_now(
    then: str | None, now: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def composed(value: str | None, *words: str) -> DictConfig:
        monkeypatch.delenv("TRAINKIT_DATA", raising=False)
        if value is not None:
            monkeypatch.setenv("TRAINKIT_DATA", value)
        (one,) = compose.compose(arguments.parse(["task=tabular_regression", *words]))
        return one.settings

    begun = composed(then, "data.path=/old.csv")
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra/config.yaml").write_text(OmegaConf.to_yaml(begun))
    (tmp_path / "config.yaml").write_text(as_yaml(plain(begun, resolve=True)))
    mine = composed(now, "data.path=/new.csv")
    merged, _ = merged_with_run(mine, {"data.path"}, tmp_path)
    read_by_task = plain(merged, resolve=True)["task"]["settings"]
    assert (read_by_task["path"], read_by_task["dir"]) == ("/new.csv", now or then)
