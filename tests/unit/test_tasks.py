"""The tasks that come with trainkit: recipes, statistics of the training rows, models that stand alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import hydra
import keras
import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from tests.support.repository import ROOT
from trainkit.cli import arguments
from trainkit.cli.compose import compose
from trainkit.cli.help import described
from trainkit.config import DataConfig
from trainkit.config.fields import arguments_of
from trainkit.config.kinds import has_kind
from trainkit.core.errors import UserError
from trainkit.core.monitor import KERAS_DIRECTION
from trainkit.core.task import Task
from trainkit.tasks.boston import Boston
from trainkit.tasks.image_classification import ImageClassification
from trainkit.tasks.image_networks import application
from trainkit.tasks.mnist import MNIST
from trainkit.tasks.mnist_cnn import MnistCnn
from trainkit.tasks.tabular import TabularRegression
from trainkit.tasks.text_classification import TextClassification

TASKS: dict[str, type[Any]] = {"mnist": MNIST, "mnist_cnn": MnistCnn, "boston": Boston}


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param](source="embedded")


@pytest.mark.slow
def test_task_trains_with_plain_keras(task: Task) -> None:
    splits = task.data()
    keras.utils.set_random_seed(0)
    model = task.model(splits.train)
    model.compile(task.optimizer(), task.loss(), metrics=task.metrics())
    rows = splits.train.take(slice(256))
    history = model.fit(
        rows.x,
        rows.y,
        validation_data=(splits.validation.x[:32], splits.validation.y[:32]),
        batch_size=32,
        epochs=3,
        verbose=0,
    ).history
    assert task.monitor() in history
    assert history["loss"][-1] < history["loss"][0]
    assert model.output_shape[1:] == rows.y.shape[1:]


def test_saved_model_stands_alone(task: Task, tmp_path: Path) -> None:
    splits = task.data()
    model = task.model(splits.train)
    assert "trainkit" not in model.to_json()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = splits.test.x[:8]
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_outputs_stay_float32_in_mixed_precision(task: Task) -> None:
    train = task.data().train
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = task.model(train)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.outputs[0].dtype == "float32"
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


def test_every_call_makes_fresh_objects(task: Task) -> None:
    assert all(one is not other for one, other in zip(task.metrics(), task.metrics(), strict=True))
    assert task.optimizer() is not task.optimizer()


def test_splits_are_the_same_for_the_same_seed_and_test_rows_for_all() -> None:
    for cls in TASKS.values():
        first, again, other = (cls(source="embedded", seed=seed).data() for seed in (0, 0, 1))
        np.testing.assert_array_equal(first.train.x, again.train.x)
        assert not np.array_equal(first.train.x, other.train.x)
        np.testing.assert_array_equal(first.test.x, other.test.x)


def test_no_validation_leaves_all_training_rows(task: Task) -> None:
    splits = task.data()
    whole = type(task)(source="embedded", validation=0.0).data()  # type: ignore[call-arg]
    assert whole.validation is None
    assert len(whole.train) == len(splits.train) + len(splits.validation)


def test_config_repeats_the_defaults_of_its_class() -> None:
    for name, cls in TASKS.items():
        config = OmegaConf.merge(
            {"data": asdict(DataConfig())}, OmegaConf.load(ROOT / "conf" / "task" / f"{name}.yaml")
        )
        given = OmegaConf.to_container(config.task, resolve=True)
        assert given.pop("_target_") == f"{cls.__module__}.{cls.__name__}"
        assert given == {
            f.name: list(f.default) if isinstance(f.default, tuple) else f.default for f in fields(cls)
        }
        assert cls().name == name


ALL_TASKS = sorted(path.stem for path in (ROOT / "conf" / "task").glob("*.yaml"))


@pytest.mark.parametrize("name", ALL_TASKS)
def test_the_comment_of_an_argument_says_what_its_field_declares(name: str) -> None:
    """`--help` reads the comments: the classes need Keras."""
    (composed,) = compose(arguments.parse([f"task={name}"]))
    comments = composed.groups.comments("task")
    declared = arguments_of(hydra.utils.get_class(composed.settings.task["_target_"]))
    told = {key: one for key, one in declared.items() if not one.is_inferred}
    assert "dropout" in told
    for key, one in told.items():
        assert comments[f"task.{key}"] == described(one).replace("\N{NO-BREAK SPACE}", " ")
        if one.example:
            example = yaml.safe_load(one.example)
            assert has_kind(example, one.kind)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: MNIST(units=64), "task.units=64: expected a list of whole numbers"),
        (lambda: MnistCnn(filters=(0,)), "task.filters=(0,): expected a list of whole numbers"),
        (lambda: Boston(dropout=1.0), "task.dropout=1.0: expected a number"),
        (lambda: TabularRegression(linear="no"), "task.linear='no': expected true or false"),
        (lambda: TextClassification(body="lstm"), "task.body=lstm: unknown"),
        (lambda: ImageClassification(weights="w.h5"), "task.weights=w.h5: only the networks of"),
    ],
    ids=["mnist", "cnn", "boston", "table", "texts", "images"],
)
def test_a_task_from_python_is_checked_as_the_command_checks_it(
    make: Callable[[], Task], expected: str
) -> None:
    with pytest.raises(UserError) as caught:
        make()
    assert str(caught.value).startswith(expected)


def test_weights_of_a_network_that_are_no_file_are_told_with_where_they_come_from() -> None:
    said = r"task\.weights=imagenet: .* one with weights without top, as \S+\.MobileNetV2\(include_top=F"
    with pytest.raises(UserError, match=said):
        application(keras.Input((32, 32, 3)), "MobileNetV2", "imagenet")


# MNIST


def test_mnist_is_the_articles_network() -> None:
    task = MNIST(source="embedded")
    model = task.model(task.data().train)
    assert isinstance(model, keras.Sequential)
    assert model.count_params() == 784 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10
    assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [0.2, 0.2]
    optimizer = task.optimizer()
    assert isinstance(optimizer, keras.optimizers.RMSprop)
    assert float(optimizer.learning_rate.numpy()) == pytest.approx(1e-3)


def test_images_stay_bytes_and_labels_are_one_hot() -> None:
    splits = MNIST(source="embedded").data()
    assert (splits.train.x.dtype, splits.train.y.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(splits.train.y.sum(1), 1)


def test_validation_has_all_classes_in_proportion() -> None:
    splits = MNIST(source="embedded").data()
    np.testing.assert_allclose(splits.validation.y.mean(0), splits.train.y.mean(0), atol=0.01)


def test_cnn_is_functional_and_normalises_batches() -> None:
    task = MnistCnn(source="embedded")
    model = task.model(task.data().train)
    assert not isinstance(model, keras.Sequential)
    assert sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers) == len(
        task.filters
    )


# Boston


def test_statistics_come_from_the_training_rows_alone() -> None:
    task = Boston(source="embedded")
    splits = task.data()
    assert float(splits.train.y.mean()) == pytest.approx(0, abs=1e-5)
    assert float(splits.train.y.std()) == pytest.approx(1, abs=1e-5)
    normalization = task.model(splits.train).layers[0]
    scaled = keras.ops.convert_to_numpy(normalization(splits.train.x))
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(0), 1, atol=1e-4)
    assert abs(float(splits.validation.y.mean())) > 1e-3


def test_errors_in_units_are_the_standardised_ones_scaled() -> None:
    task = Boston(source="embedded")
    std, rng = task.scale[1], np.random.default_rng(0)
    y, predicted = rng.normal(size=(2, 40, 1)).astype(np.float32)
    value = {}
    for metric in task.metrics():
        for part in (slice(0, 25), slice(25, 40)):  # of unequal size: each row counts once
            metric.update_state(y[part], predicted[part])
        value[metric.name] = float(metric.result())
    assert value["mse"] == pytest.approx(float(((y - predicted) ** 2).mean()), rel=1e-5)
    assert value["mse_kusd"] == pytest.approx(value["mse"] * std**2, rel=1e-5)
    assert value["mae_kusd"] == pytest.approx(value["mae"] * std, rel=1e-5)


def test_metrics_in_units_survive_serialisation_and_are_better_when_lower() -> None:
    for metric in Boston(source="embedded").metrics():
        again = keras.metrics.deserialize(keras.metrics.serialize(metric))
        assert again.get_config() == metric.get_config()
        assert getattr(metric, KERAS_DIRECTION) == "down"


def test_prices_are_shown_in_thousands_of_dollars(real_data: Path) -> None:
    task = Boston(dir=str(real_data))
    splits = task.data()
    shown = task.decode(splits.test.y[:5])
    assert shown == [f"{value:.1f} k$" for value in task.prices.test.y[:5, 0]]


def test_substitute_is_not_shown_as_money() -> None:
    task = Boston(source="embedded")
    assert "$" not in task.decode(np.zeros((1, 1)))[0]


def test_boston_test_rows_are_the_articles(real_data: Path) -> None:
    from sklearn.model_selection import train_test_split

    with np.load(real_data / "boston_housing.npz") as stored:
        _, expected = train_test_split(stored["y"], test_size=0.2, random_state=0)
    np.testing.assert_array_equal(Boston(dir=str(real_data)).prices.test.y[:, 0], expected.astype(np.float32))
