"""Runs an exported file in its own runtime. Imports nothing of trainkit, so that a fresh process shows what
somebody has who only got the file:

    python -P runtimes.py model.onnx rows.npz outputs.npz
"""

from __future__ import annotations

import keyword
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "Exported",
    "Named",
    "argument_names",
    "flat_names",
    "format_of",
    "input_names",
    "load",
    "structure_of",
]

Named = dict[str, np.ndarray]
Opened = tuple[Callable[[Named], Named], dict[str, bool]]  # how a file is run, and whether each input is text
BATCH = 256
# What Keras calls an input that the user did not name.
UNNAMED = re.compile(r"(keras_tensor|input_layer|input|inputs?_tensor)(_\d+)?")
TAKEN = ("self", "file", "allow_pickle")  # arguments of the functions that get or store the inputs


class Exported:
    """An exported file as a function of named arrays `[N, ...]` that gives named arrays `[N, ...]`.

    Args:
        path: `model.keras`, `model.onnx`, `model.tflite`, or the folder of a SavedModel.

    Attributes:
        inputs: Names of the inputs, see `argument_names`; empty where the file tells none, as a Keras model
            of one input.
        texts: Those that are texts.

    Raises:
        ValueError: for a file of another kind.
        ImportError: if the runtime of the format is not installed.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.format = format_of(self.path)
        self._run, is_text = OPENERS[self.format](self.path)
        self.inputs = list(is_text)
        self.texts = {name for name, text in is_text.items() if text}

    def takes(self, rows: Mapping[str, Any]) -> bool:
        """Whether these are its inputs, by their names, and texts where it takes texts."""
        columns = zip(argument_names(rows), rows.values(), strict=True)
        is_text = {name: np.asarray(column[:1]).dtype.kind in "OUS" for name, column in columns}
        texts = {name for name, text in is_text.items() if text}
        return set(is_text) == set(self.inputs) and texts == self.texts

    def __call__(self, rows: Mapping[str, Any]) -> Named:
        names = self.inputs if len(rows) == len(self.inputs) == 1 else argument_names(rows)
        columns = [np.asarray(column) for column in rows.values()]
        parts = [
            self._run({name: column[i : i + BATCH] for name, column in zip(names, columns, strict=True)})
            for i in range(0, len(columns[0]), BATCH)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def load(path: Path | str) -> Exported:
    """Open an exported file; see `Exported`."""
    return Exported(path)


def format_of(path: Path) -> str:
    """`keras`, `saved_model`, `onnx` or `litert`.

    Raises:
        ValueError: for a file of another kind, or none.
    """
    if not path.exists():
        raise ValueError(f"{path}: there is no such file or folder")
    if path.is_dir() and (path / "saved_model.pb").is_file():
        return "saved_model"
    known = {".keras": "keras", ".onnx": "onnx", ".tflite": "litert"}
    if path.suffix in known and path.is_file():
        return known[path.suffix]
    raise ValueError(f"{path}: expected a file .keras, .onnx or .tflite, or the folder of a SavedModel")


def _keras(path: Path) -> Opened:
    if not zipfile.is_zipfile(path):  # Keras says of it that it was not found
        raise ValueError(f"{path}: its content is no Keras model, which is a zip archive")
    import keras
    import tensorflow as tf

    model = keras.saving.load_model(path)
    structure = structure_of(model)
    names = [] if structure is None else input_names(structure, model.inputs, keras.tree)
    # As a graph, in which Keras's own `predict` runs it: half precision rounds elsewhere outside of one.
    call = tf.function(lambda packed: model(packed, training=False), autograph=False)

    def run(rows: Named) -> Named:
        rows = {name: rows[name] for name in names} if set(names) == set(rows) else rows
        tensors = [tf.constant(column) for column in rows.values()]
        given = tensors[0] if len(tensors) == 1 else dict(zip(rows, tensors, strict=True))
        packed = given if structure is None else keras.tree.pack_sequence_as(structure, tensors)
        return _named(call(packed))

    if structure is None or (len(names) == 1 and not isinstance(structure, dict)):
        return run, {}
    return run, {name: tensor.dtype == "string" for name, tensor in zip(names, model.inputs, strict=True)}


def structure_of(model: Any) -> Any:
    """The structure in which a functional model takes its inputs; None of another model, which takes one
    tensor or a dict."""
    try:
        return model.input
    except (AttributeError, ValueError):
        return None


def _named(outputs: Any) -> Named:
    """The outputs of a model by name, as the other formats name them."""
    import keras

    return {name: np.asarray(value) for name, value in flat_names(outputs, "output", keras.tree).items()}


def flat_names(structure: Any, default: str, tree: Any) -> dict[str, Any]:
    """The leaves of a structure by name: a dict's keys, `output_0`, ... of a list, `output` of one alone."""
    found = {}
    for path, leaf in tree.flatten_with_path(structure):
        words = [str(step) for step in path]
        if not words or words[0].isdigit():
            words = [default, *words]
        found["_".join(words)] = leaf
    return found


def input_names(structure: Any, own: Sequence[Any], tree: Any) -> list[str]:
    """The names of a model's inputs, as `argument_names` gives them.

    Args:
        structure: Of its inputs, or of rows as it takes them.
        own: The inputs of a functional model, whose names count where `structure` has none.
        tree: `keras.tree`.
    """
    names = list(flat_names(structure, "input", tree))
    if len(own) == len(names) and not isinstance(structure, Mapping):
        own_names = [tensor.name for tensor in own]
        names = [
            name if UNNAMED.fullmatch(mine) else mine for name, mine in zip(names, own_names, strict=True)
        ]
    return argument_names(names)


def argument_names(names: Iterable[str]) -> list[str]:
    """Names as arguments of a function may have them, which inputs of an exported model are: `a b` becomes
    `a_b`, and `class` becomes `input_class`."""
    plain = ["".join(c if f"_{c}".isidentifier() else "_" for c in name) for name in names]
    found = []
    for name in plain:
        if name in TAKEN or keyword.iskeyword(name) or not name.isidentifier():
            name = f"input_{name}"
            while name in plain:
                name = f"input_{name}"
        found.append(name)
    return found


def _saved_model(path: Path) -> Opened:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]

    def run(rows: Named) -> Named:
        tensors = {name: tf.constant(column) for name, column in rows.items()}
        return {name: value.numpy() for name, value in serve(**tensors).items()}

    run.loaded = loaded  # type: ignore[attr-defined]  # its variables live as long as this does
    inputs = serve.structured_input_signature[1]
    return run, {name: spec.dtype == tf.string for name, spec in inputs.items()}


def _onnx(path: Path) -> Opened:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(rows: Named) -> Named:
        return dict(zip(names, session.run(names, rows), strict=True))

    return run, {entry.name: entry.type == "tensor(string)" for entry in session.get_inputs()}


def _litert(path: Path) -> Opened:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    serve = interpreter.get_signature_runner("serving_default")
    details = serve.get_input_details()
    shapes = {name: detail["shape_signature"] for name, detail in details.items()}
    one_row = all(shape[0] == 1 for shape in shapes.values())

    def run(rows: Named) -> Named:
        if not one_row:
            return dict(serve(**rows))
        count = len(next(iter(rows.values())))
        parts = [serve(**{name: column[i : i + 1] for name, column in rows.items()}) for i in range(count)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return run, dict.fromkeys(details, False)


OPENERS = {"keras": _keras, "saved_model": _saved_model, "onnx": _onnx, "litert": _litert}


def _main(model: str, rows: str, outputs: str) -> None:
    with np.load(rows) as stored:
        columns = {name: stored[name] for name in stored.files}
    # Texts were stored as characters; every runtime takes them as objects.
    columns = {
        name: column.astype(object) if column.dtype.kind == "U" else column
        for name, column in columns.items()
    }
    results = load(model)(columns)
    storable = {name: _storable(value) for name, value in results.items()}
    np.savez(outputs, **storable)  # type: ignore[arg-type]  # the stubs take a name for an option


def _storable(value: np.ndarray) -> np.ndarray:
    """Texts as characters, which need no pickle; what NumPy itself has no type for, as float32."""
    if value.dtype.kind == "V":
        return value.astype(np.float32)
    if value.dtype.kind != "O":
        return value
    return np.array([v.decode() if isinstance(v, bytes) else str(v) for v in value.reshape(-1)]).reshape(
        value.shape
    )


if __name__ == "__main__":
    _main(*sys.argv[1:])
