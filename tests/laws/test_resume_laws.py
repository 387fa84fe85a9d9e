"""Saving and restoring is identity, and where a training was stopped leaves no trace in it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.support.toys import Toy
from tests.support.training import fit
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.checkpoint import store
from trainkit.checkpoint.train_state import TrainState
from trainkit.config import TrainerConfig
from trainkit.core.errors import UserError
from trainkit.trainer import execution, short_trainings
from trainkit.trainer.trainer import Trainer

SHAPES = st.lists(arrays.array_shapes(min_dims=0, max_dims=3, max_side=3), max_size=4)
DTYPES = st.sampled_from(["float32", "float16", "bfloat16", "int32", "int64", "bool"])


@pytest.mark.parametrize("kind", ["XLA", "kernels"])
def test_steps_that_stop_a_training_do_not_say_how_it_is_run(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be resumed, and goes on as it began."""
    monkeypatch.setattr(execution, "OP_SECONDS", 1.0 if kind == "XLA" else 0.0)
    monkeypatch.setattr(execution, "COMPILE_SECONDS", 10.0)
    monkeypatch.setattr(short_trainings, "KERNEL_SECONDS", 10 * short_trainings.TIME_STEP_SECONDS)
    found = []
    for steps in (None, 1):
        trainer = Trainer(TrainerConfig(epochs=3, steps=steps))
        setup = trainer.prepare(Toy())
        found.append(setup.steps_expected(5))
        rows = setup.source.spec
        assert short_trainings.recurrent_kernels_pay(replace(trainer.config, epochs=2), 5, rows)
        trainer.fit(setup.task)
        assert trainer.execution == ("epoch_xla" if kind == "XLA" else "epoch")
    assert found == [15, 15]


class Variables(keras.layers.Layer):
    """A layer that does nothing and holds variables of any shape and type."""

    def __init__(self, kinds: list[tuple[tuple[int, ...], str]]) -> None:
        super().__init__()
        for shape, dtype in kinds:
            self.add_weight(shape=shape, dtype=dtype, initializer="zeros", trainable=dtype == "float32")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x


def state_with(kinds: list[tuple[tuple[int, ...], str]]) -> TrainState:
    model = keras.Sequential([keras.Input((2,)), Variables(kinds), keras.layers.Dropout(0.5)])
    model.compile(optimizer=keras.optimizers.Adam(), loss="mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return TrainState(model)


def bits(state: TrainState) -> list[bytes]:
    return [value.tobytes() for value in state.values()]


json_states = st.dictionaries(
    st.text("abc_", min_size=1, max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=4,
    )
    | arrays.arrays(np.int32, arrays.array_shapes(max_dims=2, max_side=3)),
    max_size=3,
)


def plain(states: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in states.items()
    }


@pytest.mark.slow
@settings(max_examples=25)
@given(data=st.data(), shapes=SHAPES, observer=json_states, seed=st.integers(0, 2**16))
def test_saving_then_restoring_is_identity(data: Any, shapes: list[Any], observer: Any, seed: int) -> None:
    """For variables of any shape, type and value, NaN included, the position, and what observers keep."""
    kinds = [(shape, data.draw(DTYPES)) for shape in shapes]
    state, other = state_with(kinds), state_with(kinds)
    random = np.random.default_rng(seed)
    for variable in state.variables:
        noise = random.integers(0, 256, int(np.prod(variable.shape)) * variable.dtype.size, np.uint8)
        values = noise % 2 if variable.dtype == tf.bool else noise
        variable.assign(values.view(variable.dtype.as_numpy_dtype).reshape(variable.shape))
    state.seek({"epoch": 3, "step_in_epoch": 2, "step": 17})
    with tempfile.TemporaryDirectory(prefix="trainkit-tests-") as folder:
        store.save(state, Path(folder) / "saved", callbacks={"observer": observer}, execution="epoch")
        restored = store.restore(other, Path(folder) / "saved")
    assert bits(other) == bits(state)
    assert other.position() == state.position()
    assert restored["execution"] == "epoch"
    assert plain(restored["callbacks"]["observer"]) == plain(observer)


class StopAfter(keras.callbacks.Callback):
    """Asks the trainer to stop after a step."""

    def __init__(self) -> None:
        super().__init__()
        self.step: int | None = None
        self.trainer: Trainer | None = None

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        assert self.trainer is not None
        if self.trainer.state.step == self.step:
            self.trainer.request_stop("test")


EPOCHS = 3
STEPS_PER_EPOCH = 5  # 75 rows in batches of 16, the last of them ragged


@pytest.fixture(scope="module")
def training() -> tuple[Trainer, StopAfter, Toy]:
    """A trainer whose compiled programs serve all trainings of the property."""
    stop = StopAfter()
    trainer = Trainer(epochs=EPOCHS, batch_size=16, execution="step", callbacks=[stop])
    stop.trainer = trainer
    return trainer, stop, Toy(dropout=0.3, batch_norm=True)


@pytest.mark.slow
@settings(max_examples=20)
@given(step=st.integers(1, EPOCHS * STEPS_PER_EPOCH - 1))
def test_stopping_at_any_step_then_resuming_equals_not_stopping(
    training: tuple[Trainer, StopAfter, Toy], step: int
) -> None:
    trainer, stop, task = training
    stop.step = None
    history = trainer.fit(task).history
    whole = bits(trainer.state)
    stop.step = step
    trainer.fit(task)
    assert trainer.stopped == "test"
    assert trainer.state.step == step
    assert bits(trainer.state) != whole
    with tempfile.TemporaryDirectory(prefix="trainkit-tests-") as folder:
        trainer.save_checkpoint(Path(folder) / "stopped")
        stop.step = None
        rest = trainer.fit(task, resume=Path(folder) / "stopped").history
    assert bits(trainer.state) == whole
    begun = step // STEPS_PER_EPOCH
    assert rest == {name: values[begun:] for name, values in history.items()}
    assert len(trainer.programs) == 1


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a training that was stopped after three of the five steps of its first epoch."""
    run = tmp_path_factory.mktemp("runs") / "stopped"
    Trainer(epochs=2, steps=3, batch_size=16, run_dir=run).fit(Toy())
    return run


@pytest.mark.parametrize(
    ("changed", "rows", "text"),
    [
        ({"seed": 1}, 75, "trainer.seed 0; with 1, rows would come twice or never"),
        ({}, 60, "training rows 75; with 60"),
        ({}, 76, "training rows 75; with 76"),
        ({"limit_train_batches": 3}, 75, "stands after step 3 of epoch 1, but an epoch has 3 steps here"),
        ({"batch_size": 10}, 75, "no step of 10 rows begins there"),
    ],
)
def test_what_would_train_rows_twice_or_never_is_refused_before_anything_is_written(
    changed: dict[str, Any], rows: int, text: str, stopped: Path
) -> None:
    before = (stopped / "manifest.json").read_bytes()
    trainer = Trainer(**{"epochs": 2, "batch_size": 16, "run_dir": stopped, **changed})
    with pytest.raises(UserError, match=text):
        trainer.fit(Toy(n=rows), resume=stopped)
    assert (stopped / "manifest.json").read_bytes() == before


def test_settings_that_differ_from_those_of_the_checkpoint_are_told(
    stopped: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    fit(Toy(), epochs=2, execution="auto", resume=stopped, callbacks=[Checkpoints(tmp_path)])
    assert not recwarn.list, "more epochs are no other setting"
    with pytest.warns(UserWarning, match=r"trainer.seed is 1, was 0; training rows is 70, was 75\.$"):
        fit(Toy(n=70), epochs=3, execution="auto", seed=1, resume=tmp_path / "last")
