"""A table of your own trains, evaluates and predicts by the command, and what cannot be is refused."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.commands import QUIET, read, table
from tests.support.tables import LABELLED, NEW, write_tables
from trainkit.cli import main
from trainkit.core.errors import UserError
from trainkit.data import Preparation, Schema, read_table
from trainkit.experiment import pictures, predictions
from trainkit.tasks.boston import Boston
from trainkit.tasks.tabular import TabularClassification, TabularRegression

CLASSES = ("task=tabular_classification", f"data.path={LABELLED}", "data.target=outcome")
NUMBER = ("task=tabular_regression", f"data.path={LABELLED}", "data.target=price")
SHORT = ("trainer.epochs=2", *QUIET)
STREAMED = (
    *("data.columns.price=ignore", "trainer.feed=stream", "callbacks.csv=true"),
    *("task.scores=[accuracy,auc,{name: f1,average: per_class}]", "task.class_weights=balanced"),
)
AGE_ALONE = [f"data.columns.{name}=ignore" for name in ("customer", "town", "joined", "zip", "price")]


@pytest.fixture
def tables(empty_folder: Path) -> Path:
    write_tables(empty_folder)
    return empty_folder


@pytest.fixture(scope="module")
def folder_of_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables, and `run/`: a training of the classes, whose batches stream."""
    folder = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_tables(folder)
        assert main.main([*CLASSES, *SHORT, *STREAMED, "run_dir=run"]) == 0
    return folder


@pytest.fixture
def with_run(empty_folder: Path, folder_of_run: Path) -> Path:
    """The working directory, with a copy of the tables and of the run that tests share."""
    shutil.copytree(folder_of_run, empty_folder, dirs_exist_ok=True)
    return empty_folder


@pytest.mark.slow
def test_classes_train_evaluate_and_predict_new_rows(
    tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*CLASSES, *SHORT, *STREAMED, "run_dir=run"]) == 0
    assert {"loss", "accuracy", "auc", "f1_leaves", "f1_stays"} == set(
        read("summary.json", "run")["best"]["test"]
    )
    kinds = {column["name"]: column["kind"] for column in read("schema.json", "run")["columns"]}
    assert (kinds["customer"], kinds["zip"], kinds["joined"]) == ("id", "category", "date")

    assert main.main(["mode=evaluate", "resume=run"]) == 0
    assert set(read("evaluate.json", "run")["results"]) == {"train", "validation", "test"}

    Path(LABELLED).unlink()  # the run holds all that new rows need
    capsys.readouterr()
    assert main.main(["mode=predict", "resume=run", f"predict.path={NEW}"]) == 0
    said = capsys.readouterr().out
    assert "'extra'" in said
    assert f"\nRows:        {NEW}\nCheckpoint:  run/checkpoints/best (epoch " in said
    assert f", {NEW})" not in said
    rows = table("predictions.csv", "run")
    assert list(rows[0]) == ["row", "predicted", "confidence", "probability_leaves", "probability_stays"]
    assert len(rows) == 7
    for row in rows:
        shares = {name: float(row[f"probability_{name}"]) for name in ("leaves", "stays")}
        assert row["predicted"] == max(shares, key=lambda name: shares[name])
        assert float(row["confidence"]) == pytest.approx(max(shares.values()), abs=1e-5)


@pytest.mark.slow
def test_numbers_are_predicted_in_their_unit_by_run_and_by_served_model(tables: Path) -> None:
    words = ("data.columns.outcome=ignore", "data.target_scaling=log", "trainer.epochs=40", "run_dir=run")
    assert main.main([*NUMBER, *QUIET, *words]) == 0
    test = read("summary.json", "run")["best"]["test"]
    assert main.main(["mode=predict", "resume=run", f"predict.path={LABELLED}"]) == 0
    predicted = np.array([float(row["predicted"]) for row in table("predictions.csv", "run")])
    rows = read_table(LABELLED).columns
    actual = rows["price"].astype(float)
    assert np.abs(predicted - actual).mean() < 40
    assert test["rmse"] < 60

    model = keras.saving.load_model("run/model.keras")  # by plain Keras
    task = TabularRegression().of_run(Path("run"))
    preparation = Preparation.load("run/preparation.json")
    served = task.serving_model(model)
    columns = Schema.from_dict(json.loads(Path("run/schema.json").read_text())).read(rows, roles=("feature",))
    raw = {key: columns[e.name] for key, e in zip(preparation.keys, preparation.encoders, strict=True)}
    as_tensors = {key: keras.ops.convert_to_tensor(values.tolist()) for key, values in raw.items()}
    np.testing.assert_allclose(np.asarray(served(as_tensors)["predicted"]), predicted, rtol=1e-6)


@pytest.mark.slow
def test_a_table_that_is_kept_in_a_file_trains_as_in_memory(
    with_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main.main([*CLASSES, *SHORT, *STREAMED, "run_dir=b", "data.memory=65000", "data.cache=cache"]) == 0
    assert "is read from cache/people.csv-" in read("schema.json", "b")["notes"][-1]
    epochs = [[{**row, "seconds": ""} for row in table("metrics.csv", run)] for run in ("run", "b")]
    assert epochs[0] == epochs[1]
    assert read("summary.json", "run")["test"] == read("summary.json", "b")["test"]
    monkeypatch.setattr(predictions, "BLOCK", 7)
    monkeypatch.setattr(pictures, "SAMPLE", 5)
    for run in ("run", "b"):
        assert main.main(["mode=evaluate", f"resume={run}", "evaluate.importance=true"]) == 0
        assert main.main(["mode=predict", f"resume={run}", f"predict.path={LABELLED}"]) == 0
    said = capsys.readouterr().out
    assert "Importance:  of columns on a sample of 5 of 12 test rows" in said
    assert f"is read from cache/{LABELLED}-" in said
    assert Path("run/predictions.csv").read_bytes() == Path("b/predictions.csv").read_bytes()
    assert len(table("predictions.csv", "b")) == 60


@pytest.mark.slow
def test_without_test_rows_what_needs_them_names_the_setting(
    tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*CLASSES, *SHORT, *AGE_ALONE, "data.test=0", "run_dir=run"]) == 0
    assert main.main(["mode=evaluate", "resume=run"]) == 0
    capsys.readouterr()
    for words, needed_by in (
        (["mode=evaluate", "evaluate.baselines=true"], "evaluate.baselines=true"),
        (["mode=evaluate", "evaluate.importance=true"], "evaluate.importance=true"),
        (["mode=predict"], "predict.split=test"),
    ):
        assert main.main([*words, "resume=run"]) == 2
        error = capsys.readouterr().err
        assert f"{needed_by} needs test rows, and data.test=0 leaves none. " in error
        assert error.count("\n") == 1
    assert main.main(["mode=predict", "resume=run", "predict.split=validation"]) == 0


@pytest.mark.slow
def test_sizes_follow_the_rows_unless_they_are_given(with_run: Path) -> None:
    config = Path("run/config.yaml").read_text()
    assert "  epochs: 2\n" in config
    assert "  batch_size: 32\n" in config
    assert read("summary.json", "run")["steps"] == 4  # 38 rows train


@pytest.mark.slow
def test_a_run_is_resumed_from_another_folder(
    with_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path("run").resolve()
    monkeypatch.chdir(tmp_path)
    assert main.main([f"resume={run}", "trainer.epochs=3", *QUIET]) == 0


@pytest.mark.slow
def test_a_file_that_has_changed_is_not_trained_on(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([*CLASSES, *SHORT, *STREAMED, "run_dir=run"]) == 0
    text = Path(LABELLED).read_text()
    Path(LABELLED).write_text(text.replace("Rome", "Roma"))
    assert main.main(["resume=run", "trainer.epochs=4", *QUIET]) == 2
    assert f"data.path={LABELLED} has changed" in capsys.readouterr().err
    Path(LABELLED).write_text(text)
    assert main.main(["resume=run", "trainer.epochs=4", "data.columns.town=ignore", *QUIET]) == 2
    assert "data.columns.town: kind is 'text' now" in capsys.readouterr().err


@pytest.mark.in_parts(2)
@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("task=tabular_classification",), "needs data.path=<file>"),
        (("task=tabular_classification", "data.path=peple.csv", "data.target=x"), "did you mean people.csv?"),
        ((*CLASSES[:2],), "data.target is not set; expected one of the columns customer"),
        ((*CLASSES[:2], "data.target=outcom"), "did you mean outcome?"),
        ((*NUMBER[:2], "data.target=outcome"), "a regression needs numbers"),
        ((*CLASSES[:2], "data.target=customer"), "60 classes in 60 rows"),
        ((*CLASSES, "data.columns.ages=numeric"), "data.columns.ages: the data have no column 'ages'"),
        ((*CLASSES, "data.columns.town=numeric"), "45 of 60 cells are no number"),
        ((*CLASSES, "data.split=time"), "set data.split_column"),
        ((*CLASSES, "data.folds=5", "data.fold=5"), "data.fold=5: expected 0 to 4"),
        ((*CLASSES, "data.source=mnist"), "expected one of both"),
        ((*CLASSES, "data.weight=joined"), "data.columns.joined: 60 of 60 cells are no number"),
        ((*CLASSES, "data.weight=town", "data.columns.town=category"), "in row 1 is a text"),
        ((*CLASSES, "task.scores=[acuracy]"), "did you mean accuracy?"),
        ((*CLASSES, "task.scores=[acc]"), "did you mean accuracy?"),
        ((*CLASSES, "task.scores=[{name: f1,averag: micro}]"), "averag"),
        ((*CLASSES, "task.loss_function=categorical_crossentropy"), "needs data.labels=one_hot"),
        ((*CLASSES, "task.loss_function=mse"), "task.loss_function=mse needs data.labels=one_hot"),
        ((*CLASSES, "data.test=0.9", "data.validation=0.95"), "of 2 classes. Lower data.validation."),
        ((*CLASSES, "task.class_weights={stay: 1}"), "did you mean stays?"),
        (("task=mnist", "data.path=people.csv"), "task mnist brings its own data"),
        (("task=boston", "data.augment=light"), "task boston brings its own data, and does not read this"),
        ((*CLASSES, "data.image_size=[8,8]"), "only images have this"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tables: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    before = sorted(tables.iterdir())
    assert main.main([*words, *SHORT]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tables.iterdir()) == before


def test_folds_are_disjoint_and_cover_all_rows(tables: Path) -> None:
    held = []
    for fold in range(3):
        task = TabularClassification(
            settings={"path": LABELLED, "target": "outcome", "folds": 3, "fold": fold}
        )
        rows = task.table.rows
        assert sum(map(len, rows.values())) == 60
        assert not set(rows["test"]) & set(rows["train"])
        held += rows["test"].tolist()
    assert sorted(held) == list(range(60))


def test_predictions_of_a_split_name_the_rows_of_the_file(tables: Path) -> None:
    task = TabularClassification(settings={"path": LABELLED, "target": "outcome"})
    outcome = read_table(LABELLED).columns["outcome"]
    numbers = []
    for split, arrays in task.data().in_memory().items():
        outputs = np.eye(2)[arrays.y]
        rows = predictions.rows_of_split(task, split, len(arrays))
        text = "".join(predictions.Predictions(task, outputs, arrays.y, rows=rows).csv())
        told = list(csv.DictReader(io.StringIO(text)))
        assert [row["actual"] for row in told] == [outcome[int(row["row"]) - 1] for row in told]
        assert [row["row"] for row in told] == task.shown_columns(split, np.arange(len(told)))["row"]
        numbers += [int(row["row"]) for row in told]
    assert sorted(numbers) == list(range(1, 61))
    assert list(predictions.rows_of_split(Boston(), "test", 3)["row"]) == [1, 2, 3]


def test_only_training_rows_are_fitted(tables: Path) -> None:
    """What stands in the rows of the other splits changes nothing."""
    rows = {"train": list(range(0, 40)), "validation": list(range(40, 50)), "test": list(range(50, 60))}
    Path("split.json").write_text(json.dumps(rows))
    settings = {"path": LABELLED, "target": "price", "split": "file", "split_file": "split.json"}
    settings["columns"] = {"outcome": "ignore", "customer": "ignore"}
    before = TabularRegression(settings=settings).preparation
    lines = Path(LABELLED).read_text().splitlines()
    head, train, rest = lines[0], lines[1:41], lines[41:]
    cells = [line.split(",") for line in rest]
    mixed = [
        ",".join([c[0], str(900 + i), c[2], c[3], c[4], c[5], str(5000 + i)]) for i, c in enumerate(cells)
    ]
    Path(LABELLED).write_text("\n".join([head, *train, *reversed(mixed)]) + "\n")
    assert TabularRegression(settings=settings).preparation == before


def test_a_task_that_reads_no_files_says_so(empty_folder: Path) -> None:
    with pytest.raises(UserError, match=r"predict.path=x.csv: task boston reads no files"):
        Boston().new_rows("x.csv")
