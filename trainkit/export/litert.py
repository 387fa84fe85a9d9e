"""LiteRT (`.tflite`), for phones and small devices; also with 8-bit weights or 8-bit integers."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import keras
import numpy as np

from trainkit.core.errors import UserError, one_line
from trainkit.export import litert_converter, saved_model
from trainkit.export.processes import run_alone
from trainkit.export.runtimes import Named
from trainkit.export.serving import Serving
from trainkit.export.twins import all_layers

__all__ = ["write"]

# What the converter says of operations that it cannot put into the file.
MISSING = re.compile(r"(?:Flex|TF Select|Custom) ops: *([\w, ]+)|'(tf\.\w+)' op|op (\w+) .*not supported")


def write(serving: Serving, path: Path, *, quantize: str = "none", rows: Named | None = None) -> None:
    """Write a LiteRT file. A model that needs a fixed number of rows, such as an LSTM, takes one row a call.

    Args:
        serving: The model.
        path: The file.
        quantize: `none`; `dynamic`: weights of 8 bits; `int8`: integers of 8 bits throughout, but for inputs
            and outputs.
        rows: Training rows that tell the ranges of 8-bit integers, which `int8` needs.

    Raises:
        UserError: if the format cannot hold the model.
    """
    if serving.takes_text:
        raise UserError(
            "the model takes text, which LiteRT does not; use export.format=saved_model. Of a run, "
            "export.preparation=false leaves the preparation of texts out."
        )
    if quantize == "int8" and rows is None:
        raise UserError("8-bit integers need training rows in memory, which tell their ranges.")
    with tempfile.TemporaryDirectory() as scratch:
        ranges = Path(scratch) / "rows.npz"
        if rows is not None:
            np.savez(ranges, **rows)  # type: ignore[arg-type]  # the stubs take a name for an option
        reason = ""
        for batch in (None, 1):
            folder = Path(scratch) / f"model-{batch}"
            saved_model.write(serving, folder, batch=batch)
            words = [str(folder), quantize, str(path), *([str(ranges)] if rows is not None else [])]
            done = run_alone(litert_converter.__file__, words)
            if done.returncode == 0:
                return
            reason = _reason(done.returncode, done.stderr)
    raise UserError(f"{_of_float64(serving)}LiteRT cannot hold it: {reason}")


def _of_float64(serving: Serving) -> str:
    """What helps where the model computes in float64, with a blank behind it; "" where it does not."""
    inner = [one for one in all_layers(serving.model) if not isinstance(one, keras.layers.InputLayer)]
    own = [layer.name for layer in inner if layer.compute_dtype == "float64"]
    if own:
        return f"{own[0]} computes in float64, which LiteRT does not; build the model in float32. "
    inputs = getattr(serving.model, "inputs", None) or []
    if any(tensor.dtype == "float64" for tensor in inputs):  # as of columns of numbers
        return (
            "the preparation of the columns computes in float64, which LiteRT does not; leave it out with "
            "export.preparation=false, or build the model with inputs of float32. "
        )
    return ""


def _reason(code: int, text: str) -> str:
    """The operations that are missing, or the last line of the error."""
    if code < 0:
        return f"the converter crashed (signal {-code})"
    missing = sorted({name for found in MISSING.finditer(text) for name in found.groups() if name})
    if missing:
        return f"it lacks {', '.join(missing)[:200]}"
    lines = [line for line in text.splitlines() if line.strip()]
    return one_line(lines[-1] if lines else f"exit code {code}")[:300]
