"""The laws of the loop on a GPU; skipped where there is none."""

from __future__ import annotations

import pytest
import tensorflow as tf

from tests.support.toys import Toy
from tests.support.training import difference, fit
from trainkit.engine.inputs import resident


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_one_gpu_learns_in_every_precision(precision: str) -> None:
    trainer, history = fit(Toy(), epochs=10, precision=precision, execution="auto")
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert all(
        "GPU" in v.device for v in trainer.state.variables if v.dtype == tf.float32 and v.shape.rank == 2
    )


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("one", "other"), [("step", "epoch"), ("step_xla", "epoch_xla"), ("epoch", "epoch_xla")]
)
def test_execution_modes_agree_on_a_gpu(one: str, other: str) -> None:
    (a, _), (b, _) = (fit(Toy(), execution=execution, deterministic=True) for execution in (one, other))
    assert difference(a, b) <= (0.0 if one.endswith("xla") == other.endswith("xla") else 1e-4)


@pytest.mark.gpu
def test_resident_rows_lie_on_the_gpu() -> None:
    trainer, _ = fit(Toy(), feed="resident")
    rows = resident(Toy().data().train.batch(), trainer.setup.strategy)
    assert all("GPU" in t.device for t in tf.nest.flatten(rows))
