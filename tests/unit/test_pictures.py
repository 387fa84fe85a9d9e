"""What the pictures of the test rows show, and how simple models are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn import metrics

from tests.support.tables import LABELLED, write_tables
from trainkit.core.datasets import Arrays, Fold
from trainkit.core.errors import UserError
from trainkit.data.augmentation import make_augmentation
from trainkit.experiment import pictures
from trainkit.experiment.baselines import baselines, check, verdict
from trainkit.runs import figures
from trainkit.tasks.mnist import MNIST
from trainkit.tasks.tabular import TabularClassification, TabularRegression

RNG = np.random.default_rng(0)


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_tables(tmp_path)
    return tmp_path


def classes(**settings: Any) -> TabularClassification:
    columns = {"price": "ignore", "customer": "ignore"}
    return TabularClassification(
        settings={"path": LABELLED, "target": "outcome", "columns": columns, **settings}
    )


def numbers() -> TabularRegression:
    columns = {"outcome": "ignore", "customer": "ignore", "price": {"unit": "k$"}}
    return TabularRegression(settings={"path": LABELLED, "target": "price", "columns": columns})


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("labels", ["integer", "one_hot"])
def test_classes_have_their_pictures_and_worst_rows(tables: Path, labels: str) -> None:
    task = classes(labels=labels)
    test = task.data().test
    assert isinstance(test, Arrays)
    scores = np.full((len(test), 2), 0.5, np.float32)
    actual = test.y.argmax(1) if labels == "one_hot" else test.y
    scores[0] = [0.9, 0.1] if actual[0] else [0.1, 0.9]
    made = pictures.draw_results(task, scores, test, tables / "plots")
    assert [path.name for path in made] == ["confusion.png", "roc_pr.png", "calibration.png", "worst.csv"]
    assert all(is_png(path) for path in made[:3])
    worst = (tables / "plots" / "worst.csv").read_text().splitlines()
    name = task.labels.classes[actual[0]]
    row = int(task.table.rows["test"][0]) + 1
    assert worst[1].startswith(f"{name},")
    assert f",0.1,{row}," in worst[1]
    assert worst[1].endswith(name)


def test_titles_of_images_name_another_class_only_where_it_is_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    monkeypatch.setattr(figures, "draw_images", lambda path, images, names, title: titles.extend(names))
    monkeypatch.setattr(MNIST, "class_names", lambda self: ["cat", "fish"])
    rows = Arrays(np.zeros((2, 4, 4), np.uint8), np.array([1, 0], np.int32))
    pictures.draw_results(MNIST(), np.array([[0.34, 0.66], [0.2, 0.8]], np.float32), rows, tmp_path)
    assert titles == ["cat, taken for fish (80%)", "fish (66%)"]


def test_numbers_are_drawn_in_their_unit(tables: Path) -> None:
    task = numbers()
    test = task.data().test
    assert isinstance(test, Arrays)
    made = pictures.draw_results(task, np.zeros((len(test), 1), np.float32), test, tables / "plots")
    assert [path.name for path in made] == ["actual.png", "worst.csv"]
    assert is_png(made[0])
    worst = (tables / "plots" / "worst.csv").read_text().splitlines()
    mean = task.target.scaling.center
    assert float(worst[1].split(",")[1]) == pytest.approx(mean, rel=1e-5)
    errors = [abs(float(line.split(",")[0]) - mean) for line in worst[1:]]
    assert errors == sorted(errors, reverse=True)


def test_curves_are_those_of_scikit_learn() -> None:
    scores = RNG.integers(0, 12, 200) / 12  # with ties
    actual = RNG.random(200) < scores
    false_rate, recall, precision = pictures.curve(scores, actual)
    assert np.trapezoid(recall, false_rate) == pytest.approx(metrics.roc_auc_score(actual, scores))
    area = np.sum(np.diff(recall) * precision[1:])
    assert area == pytest.approx(metrics.average_precision_score(actual, scores))


def test_a_column_that_decides_is_the_most_important(tables: Path) -> None:
    task = classes()
    test = task.data().test
    assert isinstance(test, Arrays)
    age = task.preparation.inputs["numbers"].names.index("age")

    def by_age(x: Any) -> np.ndarray:
        stays = 1 / (1 + np.exp(-5 * x["numbers"][:, age]))
        return np.stack([1 - stays, stays], axis=1).astype(np.float32)

    found = pictures.permutation_importance(task, test, by_age)
    assert next(iter(found)) == "age"
    assert found["age"] > 0
    assert found["town"] == 0
    assert is_png(pictures.draw_importance(found, tables))


def test_augmented_images_are_drawn(tmp_path: Path) -> None:
    images = Arrays(RNG.integers(0, 256, (6, 8, 8, 1)).astype(np.uint8), np.zeros(6, np.int32))
    augmented = make_augmentation("standard", images, 0, labels="integer")
    assert augmented is not None
    pictures.draw_augmented(augmented, 6, tmp_path)
    assert is_png(tmp_path / "augmented.png")


def test_baselines_are_measured_by_the_metrics_of_the_task(tables: Path) -> None:
    task = numbers()
    splits = task.data()
    assert isinstance(splits.train, Arrays)
    assert isinstance(splits.test, Arrays)
    found = baselines(task, splits.train, splits.test)
    assert list(found) == ["mean", "ridge regression", "gradient boosting"]
    actual = task.in_unit(splits.test.y.reshape(-1))
    error = np.sqrt(((actual - task.target.scaling.center) ** 2).mean())
    assert found["mean"]["rmse"] == pytest.approx(error, rel=1e-4)
    assert found["ridge regression"]["rmse"] < found["mean"]["rmse"]
    best = min(found, key=lambda name: found[name]["rmse"])
    assert verdict({"rmse": 1e9}, found, task).startswith(f"This model is worse than {best} in rmse")
    assert "better than all" in verdict({"rmse": 0.0}, found, task)


def test_baselines_of_classes_beat_the_majority_where_they_can(tables: Path) -> None:
    task = classes(labels="one_hot")
    splits = task.data()
    assert isinstance(splits.train, Arrays)
    assert isinstance(splits.test, Arrays)
    found = baselines(task, splits.train, splits.test)
    assert list(found) == ["majority class", "logistic regression", "gradient boosting"]
    assert found["logistic regression"]["accuracy"] > found["majority class"]["accuracy"]


def test_baselines_are_fitted_with_weights_and_measured_as_keras_measures_the_model() -> None:
    """A majority by weight alone: `model.fit` weighs the loss, and no metric."""
    task = MNIST()
    y = np.eye(2, dtype=np.float32)[[0] * 30 + [1] * 10]
    rows = Arrays(np.ones((40, 1), np.float32), y, np.where(y[:, 0], 1, 9).astype(np.float32))
    found = baselines(task, rows, rows)["majority class"]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, activation="softmax")])
    model.set_weights([np.zeros((1, 2)), np.log([30 / 120, 90 / 120])])
    model.compile(loss=task.loss(), metrics=task.metrics(), run_eagerly=True)
    same = model.evaluate(rows.x, y, sample_weight=rows.weight, return_dict=True, verbose=0)
    assert found == {"accuracy": pytest.approx(same["accuracy"])} == {"accuracy": pytest.approx(10 / 40)}


def test_rows_of_several_classes_have_no_baselines(tables: Path) -> None:
    task = classes(labels="multi_label")
    splits = task.data()
    assert isinstance(splits.train, Arrays)
    y = np.ones_like(np.asarray(splits.train.y))
    with pytest.raises(UserError, match="these rows have several classes"):
        baselines(task, Arrays(splits.train.x, y), splits.train)


def test_one_hot_labels_without_names_of_classes_are_classes() -> None:
    """Such as those of MNIST."""
    x = RNG.normal(size=(40, 3)).astype(np.float32)
    rows = Arrays(x, np.eye(2, dtype=np.float32)[(x[:, 0] > 0).astype(int)])
    task = MNIST()
    assert task.class_names() is None
    check(task, rows)
    found = baselines(task, rows, rows)
    assert found["logistic regression"]["accuracy"] > found["majority class"]["accuracy"]
    assert "gradient boosting" in found
    wide = Arrays(
        RNG.normal(size=(30, 300)).astype(np.float32), np.eye(10, dtype=np.float32)[[*range(10)] * 3]
    )
    assert "gradient boosting" not in baselines(task, wide, wide), "it would take many minutes"
    with pytest.raises(UserError, match="several numbers"):
        check(task, Arrays(x, x))


def test_folds_of_a_search_split_the_training_rows_alone(tables: Path) -> None:
    test = classes().table.rows["test"]
    held = []
    for number in range(4):
        task = classes().with_validation(Fold(number, 4))
        assert isinstance(task, TabularClassification)
        rows = task.table.rows
        np.testing.assert_array_equal(rows["test"], test)
        held += rows["validation"].tolist()
        assert not set(rows["validation"]) & set(rows["train"])
    assert sorted([*held, *test.tolist()]) == list(range(60))
    assert isinstance(task.model(task.data().train), keras.Model)


def test_one_epoch_is_a_whole_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[float] = []
    monkeypatch.setattr(figures, "_save", lambda figure, path: shown.extend(figure.axes[0].get_xticks()))
    figures.draw(tmp_path / "loss.png", "loss", {"train": ([1], [0.5])}, "loss")
    assert all(tick.is_integer() for tick in shown)


def test_the_title_says_how_many_classes_have_a_curve() -> None:
    scores = np.full((8, 12), 1 / 12)
    roc, _ = pictures._curves(scores, np.arange(8), [f"c{i}" for i in range(12)])
    assert roc.title == "ROC, 8 of 12 classes"
