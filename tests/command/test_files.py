"""Images and texts of your own train, predict new files, and are served as they were trained."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.commands import QUIET, read, table
from trainkit.checkpoint.members import read_arrays, read_meta
from trainkit.cli import main
from trainkit.data import ImageOptions, read_images
from trainkit.tasks.image_classification import ImageClassification
from trainkit.tasks.image_networks import application
from trainkit.tasks.text_classification import TextClassification

SHORT = ("trainer.epochs=2", "trainer.batch_size=8", *QUIET)
WORDS = {"good": ("bright", "lovely"), "bad": ("dull", "weak")}


@pytest.fixture
def images(empty_folder: Path) -> Path:
    """`shapes/`: light and dark images of 8x8 pixels, a folder per class."""
    rng = np.random.default_rng(0)
    for label, level in (("dark", 40), ("light", 200)):
        folder = empty_folder / "shapes" / label
        folder.mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(level - 30, level + 30, (8, 8, 1))
            keras.utils.save_img(folder / f"{i:02d}.png", pixels, scale=False)
    return empty_folder


@pytest.fixture
def texts(empty_folder: Path) -> Path:
    """`reviews/`: good and bad texts, a folder per class; and `reviews.csv` with the same."""
    rows = ["stars,review,label"]
    for label, words in WORDS.items():
        folder = empty_folder / "reviews" / label
        folder.mkdir(parents=True)
        for i in range(30):
            text = f"it was a {words[i % 2]} story of day {i} in town"
            (folder / f"{i:02d}.txt").write_text(text)
            rows.append(f"{1 + i % 5},{text},{label}")
    (empty_folder / "reviews.csv").write_text("\n".join(rows) + "\n")
    return empty_folder


@pytest.mark.slow
def test_images_train_predict_and_are_served(images: Path) -> None:
    words = ("task=image_classification", "data.path=shapes", "task.filters=[4]", "run_dir=run")
    assert main.main([*words, *SHORT]) == 0
    assert read("images.json", "run") == {"shape": [8, 8, 1]}
    assert read("summary.json", "run")["dataset"] == "shapes"
    assert main.main(["mode=predict", "resume=run", "predict.path=shapes/dark"]) == 0
    rows = table("predictions.csv", "run")
    assert [Path(row["path"]).name for row in rows] == [f"{i:02d}.png" for i in range(20)]

    served = (
        ImageClassification().of_run(Path("run")).serving_model(keras.saving.load_model("run/model.keras"))
    )
    x = read_images("shapes/dark", ImageOptions(labelled=False)).x
    outputs = served(x)
    assert [name.decode() for name in np.asarray(outputs["predicted"])] == [row["predicted"] for row in rows]
    light = [float(row["probability_light"]) for row in rows]
    np.testing.assert_allclose(np.asarray(outputs["scores"])[:, 1], light, atol=1e-6)


def test_unreadable_images_are_named_or_left_out(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (images / "shapes" / "dark" / "bad.png").write_text("no image")
    words = ("task=image_classification", "data.path=shapes", "task.filters=[4]", *SHORT)
    assert main.main([*words]) == 2
    assert "1 of 41 images cannot be read: shapes/dark/bad.png" in capsys.readouterr().err
    assert not Path("runs").exists()
    task = ImageClassification(settings={"path": "shapes", "skip_bad": True})
    assert len(task.images.x) == 40
    assert "bad.png" in task.description()


@pytest.mark.slow
def test_a_command_trains_on_decoded_images_as_on_those_in_memory(images: Path) -> None:
    words = (
        "task=image_classification",
        "data.path=shapes",
        "task.filters=[4]",
        "data.augment=light",
        *SHORT,
    )
    assert main.main([*words, "run_dir=a"]) == 0
    assert main.main([*words, "run_dir=b", "data.memory=100", "data.cache=cache"]) == 0
    last = [Path(run, "checkpoints", "last") for run in "ab"]
    states = [list(dict(read_arrays(folder, read_meta(folder), "variables.bin")).values()) for folder in last]
    assert all(np.array_equal(one, other) for one, other in zip(*states, strict=True))
    assert read("summary.json", "a")["test"] == read("summary.json", "b")["test"]
    assert read("manifest.json", "a")["dataset"] == read("manifest.json", "b")["dataset"]
    assert main.main(["mode=evaluate", "resume=b"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("body", ["pooled", "convolutional", "recurrent"])
def test_texts_train_predict_and_are_served(texts: Path, body: str) -> None:
    width = () if body == "pooled" else ("task.width=4",)
    words = ("task=text_classification", "data.path=reviews", f"task.body={body}", *width)
    assert main.main([*words, *SHORT, "task.embedding=4", "run_dir=run"]) == 0
    assert main.main(["mode=predict", "resume=run", "predict.path=reviews/good"]) == 0
    rows = table("predictions.csv", "run")
    assert len(rows) == 30
    served = (
        TextClassification().of_run(Path("run")).serving_model(keras.saving.load_model("run/model.keras"))
    )
    raw = keras.ops.convert_to_tensor([Path(row["path"]).read_text() for row in rows])
    outputs = served({"text": raw})
    good = [float(row["probability_good"]) for row in rows]
    np.testing.assert_allclose(np.asarray(outputs["scores"])[:, 1], good, atol=1e-6)


def test_a_column_of_texts_is_read_with_the_columns_beside_it(texts: Path) -> None:
    task = TextClassification(settings={"path": "reviews.csv", "target": "label"})
    splits = task.data()
    assert {name: array.shape[1:] for name, array in splits.train.x.items()} == {
        "numbers": (1,),
        "review": (10,),
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("task=image_classification",), "needs data.path=<folder"),
        (("task=image_classification", "data.path=reviews"), "ending in .png"),
        (("task=text_classification",), "needs data.path=<folder"),
        (("task=text_classification", "data.path=reviews", "task.body=pool"), "did you mean pooled?"),
        (("task=text_classification", "data.path=reviews/good"), "expected one folder per class"),
        (("task=text_classification", "data.path=reviews.csv"), "data.target is not set"),
        (
            (
                "task=text_classification",
                "data.path=reviews.csv",
                "data.target=label",
                "data.columns.review=ignore",
            ),
            "has no column of free text",
        ),
    ],
)
def test_bad_input_is_one_line(
    texts: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert main.main([*words, *SHORT]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50"])
def test_named_networks_scale_pixels_as_their_own_function_does(name: str) -> None:
    """`ResNet50` reverses the channels, `MobileNetV2` scales to -1..1."""
    images = keras.Input((32, 32, 3))
    model = keras.Model(images, application(images, name, None))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    network = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    module = {"MobileNetV2": keras.applications.mobilenet_v2, "ResNet50": keras.applications.resnet}[name]
    expected = network(module.preprocess_input(pixels.copy()))
    np.testing.assert_allclose(np.asarray(model(pixels)), np.asarray(expected), rtol=1e-5, atol=1e-5)
