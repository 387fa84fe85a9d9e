"""Augmented images are a pure function of (seed, epoch, row)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.support.commands import QUIET
from trainkit.cli import main
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.data.augmentation import PRESETS, make_augmentation
from trainkit.data.augmentation.augmentation import moved
from trainkit.data.augmentation.draws import Draws, symmetric_beta
from trainkit.data.augmentation.operations import OPERATIONS

ROWS = 40
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (ROWS, 9, 12, 3)).astype(np.uint8)
ONE_HOT = np.eye(4, dtype=np.float32)[RNG.integers(0, 4, ROWS)]
EVERYTHING = list(OPERATIONS)


def augmentation(spec: Any = EVERYTHING, seed: int = 1) -> Any:
    return make_augmentation(spec, Arrays(IMAGES, ONE_HOT), seed, labels="one_hot")


def test_a_row_is_the_same_in_whatever_batch() -> None:
    whole = augmentation()(3, np.arange(ROWS))
    order = np.random.default_rng(5).permutation(ROWS)
    for size in (1, 7, 16):
        for start in range(0, ROWS, size):
            rows = order[start : start + size]
            x, y = augmentation()(3, rows)
            np.testing.assert_array_equal(x, whole[0][rows])
            np.testing.assert_array_equal(y, whole[1][rows])


@pytest.mark.parametrize("name", EVERYTHING)
def test_seed_and_epoch_change_images_but_not_their_form(name: str) -> None:
    made = [augmentation([name], seed)(epoch, np.arange(ROWS)) for seed, epoch in ((1, 0), (1, 1), (2, 0))]
    for x, y in made:
        assert (x.dtype, x.shape) == (IMAGES.dtype, IMAGES.shape)
        assert (y.dtype, y.shape) == (ONE_HOT.dtype, ONE_HOT.shape)
        np.testing.assert_allclose(y.sum(axis=1), 1, atol=1e-6)
    for x, _ in made[1:]:
        assert (x != made[0][0]).any()
    assert (made[0][0] != IMAGES).any()


def test_moves_are_what_they_are_called() -> None:
    square = IMAGES[:, :, :9].astype(np.float32)
    mirror = np.diag([-1.0, 1, 1])[None].repeat(ROWS, 0)
    np.testing.assert_allclose(moved(square, mirror), square[:, :, ::-1], atol=1e-2)
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])[None].repeat(ROWS, 0)
    turned = moved(square, quarter)
    assert min(
        np.abs(turned - np.rot90(square, turns, axes=(1, 2))).max() for turns in (1, 3)
    ) == pytest.approx(0, abs=1e-2)
    shift = np.eye(3)[None].repeat(ROWS, 0)
    shift[:, 0, 2] = 2 * 3 / 9  # three of nine pixels
    np.testing.assert_allclose(moved(square, shift)[:, :, :6], square[:, :, 3:], atol=1e-2)


def test_draws_are_uniform_normal_and_independent() -> None:
    draws = Draws(7, 2, np.arange(20_000))
    first = draws.uniform()
    second = draws.uniform()
    for numbers in (first, second):
        counts = np.histogram(numbers, 20, (0, 1))[0]
        assert np.abs(counts - 1000).max() < 5 * 1000**0.5
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.03
    normal = Draws(7, 2, np.arange(200)).normal(100)
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.03


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_mixing_shares_have_the_moments_of_their_law(alpha: float) -> None:
    draws = Draws(1, 1, np.arange(50_000))
    shares = symmetric_beta(alpha, draws.uniform(), draws.chance(0.5))
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert abs(shares.mean() - 0.5) < 0.01
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_made_of_operations(preset: str) -> None:
    made = make_augmentation(preset, Arrays(IMAGES, ONE_HOT), 0, labels="integer")
    assert (made is None) == (preset == "none")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("standart", "did you mean standard?"),
        (["flop"], "did you mean flip?"),
        ([{"name": "rotate", "degree": 3}], "did you mean degrees?"),
        ([{"name": "rotate", "degrees": 300}], "expected 0 to 180"),
        (["mixup"], "set data.labels=one_hot"),
    ],
)
def test_what_cannot_be_done_is_refused(spec: Any, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        make_augmentation(spec, Arrays(IMAGES, np.zeros(ROWS, np.int32)), 0, labels="integer")


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images of two classes, in a folder each."""
    monkeypatch.chdir(tmp_path)
    for label in ("a", "b"):
        (tmp_path / "shapes" / label).mkdir(parents=True)
        for i in range(16):
            keras.utils.save_img(tmp_path / "shapes" / label / f"{i}.png", IMAGES[i], scale=False)
    return tmp_path


TRAIN = (
    "task=image_classification",
    "data.path=shapes",
    "data.augment=strong",
    "data.labels=one_hot",
    "task.filters=[2]",
    "trainer.batch_size=6",
    *QUIET,
)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["trainkit", "keras"])
def test_resumed_training_with_augmentation_equals_uninterrupted(shapes: Path, engine: str) -> None:
    words = (*TRAIN, f"trainer.engine={engine}")
    assert main.main([*words, "trainer.epochs=4", "run_dir=whole"]) == 0
    assert main.main([*words, "trainer.epochs=2", "run_dir=part"]) == 0
    assert main.main(["resume=part", "trainer.epochs=4", *QUIET]) == 0
    model = [keras.saving.load_model(f"{run}/model.keras").get_weights() for run in ("whole", "part")]
    for one, other in zip(*model, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_parity_holds_with_augmentation(shapes: Path) -> None:
    assert main.main(["mode=parity", *TRAIN, "parity.epochs=2"]) == 0
