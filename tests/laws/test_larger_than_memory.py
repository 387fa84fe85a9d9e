"""Rows that are larger than memory lie in files, and train as if they were in memory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.repository import ROOT
from tests.support.toys import Toy
from tests.support.training import difference, fit
from trainkit.core import memory, row_view
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.row_view import RowView, gathered, selected
from trainkit.data.sources import row_cache
from trainkit.data.splits import holdout
from trainkit.trainer import sources, windows
from trainkit.trainer.trainer import Trainer

RNG = np.random.default_rng(0)


def in_file(array: np.ndarray, path: Path) -> np.ndarray:
    np.save(path, array)
    return np.load(path, mmap_mode="r")


# Views


def test_a_view_of_rows_reads_what_the_array_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_view, "ROWS_PER_THREAD", 5)
    array = RNG.normal(size=(97, 3, 2)).astype(np.float32)
    rows = RNG.permutation(97)[:60]
    view = selected(selected(in_file(array, tmp_path / "x.npy"), rows), slice(10, None))
    expected = array[rows][10:]
    assert isinstance(view, RowView)
    assert (view.shape, view.dtype, view.nbytes) == (expected.shape, expected.dtype, expected.nbytes)
    for index in (slice(3, 9), np.array([4, 0, 4, -1]), expected[:, 0, 0] > 0, 7, (slice(None), 1)):
        np.testing.assert_array_equal(view[index], expected[index])
    np.testing.assert_array_equal(np.asarray(view), expected)
    np.testing.assert_array_equal(np.concatenate(list(row_view.blocks(view))), expected)
    with pytest.raises(IndexError):
        gathered(array, np.array([97]))


def test_rows_of_an_array_that_takes_increasing_numbers_alone_train(tmp_path: Path) -> None:
    """As a dataset of h5py does."""
    splits = Toy().data()
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["x"], file["y"] = splits.train.batch()
        given = Arrays(file["x"], file["y"])
        for rows in (np.array([4, 0, 4, -1]), np.array([70, 0]), slice(3, 9), splits.train.y > 0):
            np.testing.assert_array_equal(given.take(rows).x, splits.train.x[rows])
        stored = replace(splits, train=given)
        settings = {"epochs": 1, "batch_size": 16, "execution": "step", "feed": "stream"}
        usual = Trainer(**settings)
        usual.fit(Toy(), data=splits)
        for engine in ("trainkit", "keras"):
            trainer = Trainer(**settings, engine=engine)
            trainer.fit(Toy(), data=stored)
            for a, b in zip(trainer.model.get_weights(), usual.model.get_weights(), strict=True):
                np.testing.assert_allclose(a, b, atol=1e-5, err_msg=engine)


def test_a_view_that_is_larger_than_memory_is_not_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = selected(in_file(np.zeros((100, 10)), tmp_path / "x.npy"), slice(None))
    monkeypatch.setattr(row_view, "available_host_bytes", lambda: 10_000.0)
    with pytest.raises(UserError, match=r"8 kB .*10 kB of memory are free.*rows\[begin:end\]"):
        np.asarray(view)


@pytest.mark.parametrize("parent", [True, False])
@pytest.mark.parametrize("version", [1, 2])
def test_free_memory_is_what_the_container_leaves(
    version: int, parent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = memory.available_host_bytes()
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "own")
    (tmp_path / "own").write_text("3:cpu,memory:/a/b\n2:pids:/c\n" if version == 1 else "0::/a/b\n")
    folder = tmp_path / ("memory" if version == 1 else "") / ("a" if parent else "a/b")
    folder.mkdir(parents=True)
    limit, used, cached = memory.GROUP_FILES[2 - version]
    for name, content in ((limit, "5000"), (used, "4000"), ("memory.stat", f"anon 9\n{cached} 500\n")):
        (folder / name).write_text(content)
    assert memory.available_host_bytes() == 1500
    (folder / limit).write_text("max")
    assert memory.available_host_bytes() > min(1e6, whole / 2)


# Trainings


class InFiles(Toy):
    """The toy, its rows in files."""

    folder: Path

    def data(self) -> Splits:
        splits = super().data()
        parts = {}
        for name, part in splits.in_memory().items():
            x = in_file(part.x, self.folder / f"{name}.npy")
            parts[name] = Arrays(x, part.y).select(np.arange(len(part)))
        return replace(splits, **parts)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("execution", ["epoch", "epoch_xla", "step"])
def test_rows_in_files_train_and_test_as_rows_in_memory(
    execution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 64 if execution == "epoch_xla" else 75  # XLA compiles a ragged batch for long
    a, history_a = fit(Toy(dropout=0.3, n=n), execution=execution)
    monkeypatch.setattr(InFiles, "folder", tmp_path, raising=False)
    monkeypatch.setattr(windows, "CHUNK_BYTES", 1000)  # two steps, or one batch of a validation and a rest
    monkeypatch.setattr(sources, "HELD_SHARE", 0.0)
    b, history_b = fit(InFiles(dropout=0.3, n=n), execution=execution, feed="stream")
    assert b.setup.streamed == {"validation", "test"}
    assert difference(a, b) == 0.0
    # XLA adds up a validation inside of the training program in another order.
    for name, values in history_a.items():
        assert history_b[name] == pytest.approx(values, rel=1e-6 if execution.endswith("xla") else 0, abs=0)
    for split in ("train", "validation", "test"):
        assert a.evaluate(split=split) == b.evaluate(split=split)
        np.testing.assert_array_equal(a.predict(split=split), b.predict(split=split))


def test_rows_that_fit_the_device_stay_there_and_others_come_in_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InFiles, "folder", tmp_path, raising=False)
    trainer = Trainer(batch_size=16)
    setup = trainer.prepare(InFiles())
    assert (setup.source.kind, setup.streamed) == ("resident", frozenset())
    monkeypatch.setattr("trainkit.backend.memory.available_host_bytes", lambda: 2100.0)
    setup = trainer.prepare(InFiles())
    assert (setup.source.kind, setup.streamed) == ("stream", {"validation", "test"})
    held = holdout(Arrays(in_file(np.zeros((40, 2)), tmp_path / "z.npy"), np.zeros(40)), 0.2, 0)
    assert all(isinstance(part.x, RowView) for part in held if part is not None)


LIMITED = """
import resource, sys
import numpy as np
import keras
import tensorflow as tf
import trainkit as tk

path, rows = sys.argv[1], int(sys.argv[2])

class Large(tk.Task):
    def data(self):
        x = np.load(path, mmap_mode="r")
        y = np.arange(rows) % 10
        train = tk.Arrays(x, y).select(np.arange(rows // 5, rows))
        return tk.Splits(train, tk.Arrays(x, y).select(np.arange(rows // 5)))
    def model(self, train):
        return keras.Sequential([keras.Input((784,)), keras.layers.Dense(10, activation="softmax")])
    def loss(self):
        return keras.losses.SparseCategoricalCrossentropy()

tf.zeros([1]) + 1
used = next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmData")) * 1024
limit = used + 700 * 2**20  # of which 530 are taken, and more by how threads happen to allocate
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.ones((rows, 784), np.uint8)
    sys.exit("the limit does not hold")
except MemoryError:
    pass
trainer = tk.Trainer(epochs=1, batch_size=4096, execution="epoch")
history = trainer.fit(Large())
print(trainer.setup.source.kind, sorted(trainer.setup.streamed), history.history["val_loss"])
"""


@pytest.mark.slow
def test_rows_of_twice_the_memory_of_a_process_train(tmp_path: Path) -> None:
    rows = 1400 * 2**20 // 784
    with row_cache.RowFile(tmp_path / "x.npy", (784,), np.uint8) as file:
        block = RNG.integers(0, 256, (4096, 784), np.uint8)
        for begin in range(0, rows, 4096):
            file.append(block[: min(4096, rows - begin)])
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "x.npy"), str(rows)]
    # Python waits for ever for a thread that has no memory to start in.
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("stream ['validation']")
