"""ONNX, by tf2onnx. The only place that knows it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.core.errors import UserError, one_line
from trainkit.export.serving import Serving

__all__ = ["OPSET", "write"]

OPSET = 18  # the newest that tf2onnx writes correctly


def write(serving: Serving, path: Path) -> None:
    """Write an ONNX file.

    Raises:
        UserError: if the format cannot hold the model.
    """
    import onnx
    import tf2onnx

    if serving.takes_text:
        raise UserError(
            "the model takes text, which tf2onnx cannot convert; use export.format=saved_model. Of a run, "
            "export.preparation=false leaves the preparation of texts out."
        )
    function = serving.function()
    concrete = function.get_concrete_function()
    problems = _Problems()
    logger = logging.getLogger("tf2onnx")
    logger.addHandler(problems)
    logger.propagate = False
    of_tensorflow = tf.get_logger()  # warns of tables of the process that the graph has nothing to do with
    level = of_tensorflow.level
    of_tensorflow.setLevel(logging.ERROR)
    try:
        handlers: dict[str, Any] = {"Erfc": (_erfc, [])}
        model, _ = tf2onnx.convert.from_function(function, [], opset=OPSET, custom_op_handlers=handlers)
        _fill_constants(model, concrete)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # it raises whatever its parts raise
        raise UserError(
            f"tf2onnx cannot convert it: {problems.first or one_line(str(error))[:300]}"
        ) from error
    finally:
        logger.removeHandler(problems)
        of_tensorflow.setLevel(level)
    if problems.first:
        raise UserError(f"tf2onnx cannot convert it: {problems.first}")
    path.write_bytes(model.SerializeToString())


class _Problems(logging.Handler):
    """Keeps the first error that tf2onnx logs: it raises none for what it cannot convert."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.first = self.first or one_line(record.getMessage())[:300]


def _erfc(context: Any, node: Any, name: str, args: Any) -> None:
    """`1 - erf(x)`, for the exact GELU: ONNX has no `Erfc`."""
    from tf2onnx.utils import map_onnx_to_numpy_type

    kind = context.get_dtype(node.output[0])
    given = {"shapes": [context.get_shape(node.output[0])], "dtypes": [kind]}
    one = context.make_const(f"{name}_one", np.ones((), map_onnx_to_numpy_type(kind)))
    erf = context.make_node("Erf", list(node.input), **given)
    outputs = list(node.output)
    context.remove_node(name)
    context.make_node("Sub", [one.output[0], erf.output[0]], outputs=outputs, **given)


def _fill_constants(model: Any, concrete: Any) -> None:
    """Make constants of the tensors that the graph captured, such as the statistics of Normalization.

    tf2onnx makes an input of each.
    """
    from onnx import numpy_helper

    count = len(concrete.inputs) - len(concrete.captured_inputs)
    captured = zip(concrete.inputs[count:], concrete.captured_inputs, strict=True)
    values = {inner.name: outer for inner, outer in captured if outer.dtype != tf.resource}
    for entry in list(model.graph.input):
        if entry.name in values:
            array = values[entry.name].numpy()
            model.graph.initializer.append(numpy_helper.from_array(array, name=entry.name))
            model.graph.input.remove(entry)
