"""A small HTTP service for an exported SavedModel: `python serve.py <run>/export/saved_model --port 8000`.

POST /predict takes rows as JSON, `{"inputs": {"age": [31, 58], "city": ["Rome", null]}}`, or a bare list for
a model with one input, and returns `{"outputs": {...}}`. It needs TensorFlow alone, neither Keras nor
trainkit.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import tensorflow as tf


class Model:
    """The signature `serving_default` of a SavedModel, called with plain lists."""

    def __init__(self, folder: str) -> None:
        self._loaded = tf.saved_model.load(folder)
        self._call = self._loaded.signatures["serving_default"]
        self.inputs = self._call.structured_input_signature[1]

    def __call__(self, inputs: Any) -> dict[str, Any]:
        """Outputs by name.

        Raises:
            ValueError: for inputs that are missing, unknown, of another shape or of different lengths.
        """
        outputs = self._call(**tensors(inputs, self.inputs))
        return {name: _plain(value.numpy()) for name, value in outputs.items()}


def tensors(inputs: Any, specs: Mapping[str, tf.TensorSpec]) -> dict[str, tf.Tensor]:
    """Lists of rows as the inputs of a model.

    Raises:
        ValueError: for inputs that are missing, unknown, of another shape or of different lengths.
    """
    if not isinstance(inputs, dict):
        inputs = {next(iter(specs)): inputs}
    missing, unknown = specs.keys() - inputs.keys(), inputs.keys() - specs.keys()
    if missing or unknown:
        raise ValueError(f"missing inputs: {sorted(missing)}; unknown inputs: {sorted(unknown)}")
    for name, values in inputs.items():
        if not isinstance(values, list):
            raise ValueError(f"{name}: expected a list with a value for each row")
    rows = {name: len(values) for name, values in inputs.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(f"expected as many rows in each input; got {rows}")
    return {name: _tensor(inputs[name], spec) for name, spec in specs.items()}


def _tensor(values: list[Any], spec: tf.TensorSpec) -> tf.Tensor:
    """A list as a tensor; null is a gap: NaN, or an empty text."""
    gap = "" if spec.dtype == tf.string else float("nan")
    filled = [gap if value is None else value for value in values]
    if spec.dtype.is_integer:
        np.array(filled, spec.dtype.as_numpy_dtype)  # raises out of its range, where TensorFlow wraps
    tensor = tf.constant(filled, spec.dtype)
    if not spec.shape.is_compatible_with(tensor.shape):
        raise ValueError(f"{spec.name} has shape {tensor.shape}; expected {spec.shape}")
    return tensor


def _plain(array: np.ndarray) -> Any:
    """Lists for JSON, which has no NaN and no infinity: null."""
    if array.dtype == object:
        return np.char.decode(array.astype(bytes)).tolist()
    if array.dtype.kind == "f":
        return np.where(np.isfinite(array), array.astype(object), None).tolist()
    return array.tolist()


def handler(model: Model) -> type[BaseHTTPRequestHandler]:
    """The class that answers the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Predict the rows of the body."""
            if self.path != "/predict":
                self._answer(404, {"error": f"{self.path}: expected /predict"})
                return
            if "Content-Length" not in self.headers:
                self._answer(411, {"error": "expected a body with Content-Length, not in chunks"})
                return
            try:
                length = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(max(length, 0)))  # a negative one would wait for the end
                if not isinstance(body, dict) or "inputs" not in body:
                    raise ValueError('expected {"inputs": ...}')
                self._answer(200, {"outputs": model(body["inputs"])})
            except (TypeError, ValueError, OverflowError, RecursionError, tf.errors.OpError) as error:
                self._answer(400, {"error": f"{type(error).__name__}: {error}"})

        def _answer(self, code: int, content: dict[str, Any]) -> None:
            text = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Requests are not logged."""

    return Handler


class Server(ThreadingHTTPServer):
    """Lets many clients wait to be taken, not five. One that goes away before its answer is no error."""

    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print a traceback, but for clients that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="folder of the SavedModel")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    options = parser.parse_args()
    server = Server(("127.0.0.1", options.port), handler(Model(options.model)))
    print(f"http://127.0.0.1:{server.server_port}/predict", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
