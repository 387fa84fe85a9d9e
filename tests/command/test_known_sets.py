"""Known sets by `data.source`, in the tasks of your own data; weights and several labels per row."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.commands import QUIET, read, table
from tests.support.data_files import offline, packed
from trainkit.cli import main
from trainkit.core.datasets import Arrays
from trainkit.data import KNOWN_SETS
from trainkit.tasks.image_classification import ImageClassification
from trainkit.tasks.tabular import TabularClassification
from trainkit.tasks.text_classification import TextClassification

SHORT = ("trainer.epochs=2", "trainer.batch_size=8", *QUIET)
RNG = np.random.default_rng(0)


def lists(rows: int) -> np.ndarray:
    """Word numbers of some texts."""
    texts = np.empty(rows, dtype=object)
    texts[:] = [list(map(int, RNG.integers(1, 30, 5 + i % 4))) for i in range(rows)]
    return texts


@pytest.fixture
def folder(empty_folder: Path) -> Path:
    """`sets/` with small files in the form of Keras's."""
    sets = empty_folder / "sets"
    sets.mkdir()
    images = {
        "x_train": RNG.integers(0, 256, (40, 28, 28)).astype(np.uint8),
        "y_train": (np.arange(40) % 10).astype(np.uint8),
        "x_test": RNG.integers(0, 256, (20, 28, 28)).astype(np.uint8),
        "y_test": (np.arange(20) % 10).astype(np.uint8),
    }
    (sets / "mnist.npz").write_bytes(packed(images))
    prices = {"x": RNG.normal(size=(50, 8)), "y": RNG.normal(size=(50,)) + 5}
    (sets / "california_housing.npz").write_bytes(packed(prices))
    reviews = {
        "x_train": lists(30),
        "y_train": np.arange(30) % 2,
        "x_test": lists(10),
        "y_test": np.arange(10) % 2,
    }
    (sets / "imdb.npz").write_bytes(packed(reviews))
    (sets / "reuters.npz").write_bytes(packed({"x": lists(60), "y": np.arange(60) % 3}))
    return sets


@pytest.mark.slow
def test_known_images_keep_their_test_rows(folder: Path) -> None:
    words = (
        "task=image_classification",
        "data.source=mnist",
        "data.dir=sets",
        "task.filters=[2]",
        "run_dir=run",
    )
    assert main.main([*words, *SHORT, "data.split=shuffled"]) == 0
    task = ImageClassification(settings={"source": "mnist", "dir": "sets", "split": "shuffled"})
    rows = task.images.rows
    np.testing.assert_array_equal(rows["test"], np.arange(40, 60))
    assert sorted([*rows["train"], *rows["validation"]]) == list(range(40))
    assert task.labels.classes == tuple("0123456789")


@pytest.mark.slow
def test_a_known_table_is_told_in_its_unit(folder: Path) -> None:
    words = ("task=tabular_regression", "data.source=california_housing", "data.dir=sets", "run_dir=run")
    assert main.main([*words, *SHORT]) == 0
    columns = {column["name"]: column for column in read("schema.json", "run")["columns"]}
    assert columns["median_house_value"]["role"] == "target"
    assert columns["median_house_value"]["unit"] == "$"
    assert read("summary.json", "run")["dataset"] == "California housing"


def pickled(content: Any) -> bytes:
    return pickle.dumps(content, protocol=3)


def gzipped_idx(array: np.ndarray) -> bytes:
    """An array in the form of MNIST's files."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def cifar_archive(rows: int) -> bytes:
    """CIFAR-10's archive, with so many rows in each of its six parts."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
            pixels = RNG.integers(0, 256, (rows, 3072), np.uint8)
            part = pickled({b"data": pixels, b"labels": [i % 10 for i in range(rows)]})
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(part)
            archive.addfile(entry, io.BytesIO(part))
    return content.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["fashion_mnist", "cifar10"])
def test_images_that_keras_has_loaded_before_are_read_from_its_cache(
    source: str, empty_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(empty_folder / "keras"))
    cached = [file.path_in_cache() for file in KNOWN_SETS[source].files]
    sizes = {"train-images": (40, 28, 28), "train-labels": (40,), "t10k-images": (20, 28, 28)}
    for path in cached:
        path.parent.mkdir(parents=True, exist_ok=True)
        if source == "cifar10":
            path.write_bytes(cifar_archive(10))
            continue
        shape = next((shape for name, shape in sizes.items() if name in path.name), (20,))
        values = RNG.integers(0, 256, shape) if len(shape) > 1 else np.arange(shape[0]) % 10
        path.write_bytes(gzipped_idx(values.astype(np.uint8)))
    words = ("task=image_classification", f"data.source={source}", "task.filters=[2]", "run_dir=run")
    assert main.main([*words, *SHORT, "data.split=shuffled"]) == 0
    found = read("manifest.json", "run")["dataset"]
    assert (found["name"], found["substitute_for"]) == (KNOWN_SETS[source].name, "")
    assert str(empty_folder / "keras") in found["origin"]
    assert read("summary.json", "run")["test"]["loss"] > 0
    assert KNOWN_SETS[source].classes[0] in Path("run/preparation.json").read_text()


@pytest.mark.parametrize("source", ["fashion_mnist", "cifar10"])
def test_known_images_that_cannot_be_had_are_refused_in_one_line(
    source: str, empty_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(empty_folder / "keras"))
    monkeypatch.setitem(KNOWN_SETS, source, offline(KNOWN_SETS[source]))
    assert main.main(["task=image_classification", f"data.source={source}", *SHORT]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "Downloading" not in line]
    assert len(said) == 1
    assert "download failed" in said[0]
    assert "data.dir" in said[0]
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "classes"), [("imdb", ("negative", "positive")), ("reuters", ("0", "1", "2"))]
)
def test_known_texts_are_numbers_of_words(folder: Path, source: str, classes: tuple[str, ...]) -> None:
    words = ("task=text_classification", f"data.source={source}", "data.dir=sets", "run_dir=run")
    assert main.main([*words, *SHORT]) == 0
    task = TextClassification(settings={"source": source, "dir": "sets"})
    assert task.labels.classes == tuple(sorted(classes))
    assert list(task.preparation.inputs) == ["text"]
    if source == "imdb":
        np.testing.assert_array_equal(task.table.rows["test"], np.arange(30, 40))


@pytest.mark.slow
def test_a_row_may_have_several_labels(empty_folder: Path) -> None:
    lines = ["x,tags"]
    for i in range(60):
        tags = [tag for tag, divisor in (("two", 2), ("three", 3)) if i % divisor == 0] or ["none"]
        lines.append(f"{i % 6 + i / 100},{'|'.join(tags)}")
    Path("tags.csv").write_text("\n".join(lines) + "\n")
    words = (
        "task=tabular_classification",
        "data.path=tags.csv",
        "data.target=tags",
        "data.labels=multi_label",
    )
    scores = "task.scores=[accuracy,f1,precision,recall,auc,log_loss]"
    assert main.main([*words, *SHORT, scores, "run_dir=run"]) == 0
    assert set(read("summary.json", "run")["test"]) == {
        *("loss", "accuracy", "f1", "precision", "recall", "auc", "log_loss")
    }
    assert main.main(["mode=predict", "resume=run", "predict.path=tags.csv"]) == 0
    rows = table("predictions.csv", "run")
    for row in rows:
        likely = [tag for tag in ("none", "three", "two") if float(row[f"probability_{tag}"]) >= 0.5]
        assert row["predicted"] == "|".join(likely)


@pytest.mark.slow
def test_weights_of_rows_and_classes_are_multiplied(empty_folder: Path) -> None:
    lines = ["x,w,y", *(f"{i % 7 + 0.5},{1 + i % 2},{'a' if i % 4 else 'b'}" for i in range(40))]
    Path("rows.csv").write_text("\n".join(lines) + "\n")
    settings = {"path": "rows.csv", "target": "y", "weight": "w"}
    task = TabularClassification(settings=settings, class_weights="balanced")
    train = task.data().train
    assert isinstance(train, Arrays)
    rows = task.table.rows["train"]
    counts = np.bincount(np.asarray(train.y))
    balanced = len(rows) / (2 * counts)
    np.testing.assert_allclose(train.weight, (1 + rows % 2) * balanced[train.y], rtol=1e-6)
    validation = task.data().validation
    assert validation is not None
    np.testing.assert_array_equal(validation.weight, 1 + task.table.rows["validation"] % 2)
    assert "w" not in task.preparation.inputs["numbers"].names
    words = ("task=tabular_classification", "data.path=rows.csv", "data.target=y", "data.weight=w")
    assert main.main([*words, *SHORT, "task.class_weights={a: 1, b: 3}", "run_dir=run"]) == 0
