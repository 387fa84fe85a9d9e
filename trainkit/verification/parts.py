"""What makes a batch that is trained in parts another training by design, so that nothing can be compared."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.patches import patched
from trainkit.core.errors import UserError
from trainkit.core.tree import map_leaves
from trainkit.trainer import xla_limits
from trainkit.trainer.setup import TrainSetup

__all__ = ["check_parts"]

RANDOM = ("Random",)  # in the names of the operations that draw


def check_parts(setup: TrainSetup, parts: str, remedy: str, *, kept: bool = False) -> None:
    """Refuse models whose forward pass is not that of the whole batch where it is made part by part.

    Args:
        setup: The task made ready, dropout off.
        parts: What makes the parts, such as `trainer.accumulate=2`.
        remedy: What to do instead.
        kept: Whether what layers keep of each forward pass differs, too, such as the statistics of
            BatchNormalization.

    Raises:
        UserError: naming what differs.
    """
    draws, changed = _forward_pass(setup)
    seeds = [name for name in changed if "seed_generator" in name]
    if draws:
        of_layers = f" ({_shown(seeds)})" if seeds else ""
        raise UserError(
            f"{parts} cannot be compared: the model draws random numbers{of_layers}, others in each part of "
            f"a batch. {remedy}"
        )
    if kept and changed:
        raise UserError(
            f"{parts} cannot be compared: the model keeps statistics of each forward pass "
            f"({_shown(changed)}), which are those of a part of the batch. {remedy}"
        )


def _forward_pass(setup: TrainSetup) -> tuple[bool, list[str]]:
    """Whether a training step draws random numbers, and the variables that its forward pass changes."""
    model = setup.model
    if setup.facts.own_train_step:
        return False, []
    of_metrics = {id(v) for v in model.metrics_variables}
    scopes: list[keras.StatelessScope] = []
    graphs: list[tf.Graph] = []

    def forward(*batch: Any) -> Any:
        graphs.append(tf.compat.v1.get_default_graph())
        # Regularizers take the weights from the scope alone.
        scopes.append(keras.StatelessScope([(v, v.value) for v in model.trainable_variables]))
        with scopes[0]:
            return setup.task.compute(model, batch, training=True)[0]

    rows = max(1, setup.config.batch_size // setup.replicas)
    batch = map_leaves(lambda s: tf.TensorSpec([rows, *s.shape], s.dtype), setup.source.spec)
    with patched(setup.model_replacements()):
        compat.traced_outputs(forward, *batch)
    draws = any(xla_limits.any_of(name, RANDOM) for name in xla_limits.own_names(graphs[0]))
    changed = [
        v.path
        for v in model.non_trainable_variables
        if id(v) not in of_metrics and scopes[0].get_current_value(v) is not None
    ]
    return draws or xla_limits.functions_contain(graphs[0], RANDOM), changed


def _shown(names: list[str]) -> str:
    return ", ".join(names[:2]) + (", …" if len(names) > 2 else "")
