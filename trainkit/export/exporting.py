"""Writes a model in the formats that are asked for, and compares each file before it counts."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from trainkit.core import files
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError, one_line
from trainkit.export import arguments, keras_format, litert, onnx, saved_model
from trainkit.export.comparison import Unusable, largest_difference, outputs_of
from trainkit.export.leavings import sweeping
from trainkit.export.runtimes import Named
from trainkit.export.scores import check_labels, metrics_of
from trainkit.export.serving import Serving
from trainkit.export.twins import float32_twin, is_half_precision

__all__ = ["ExportReport", "ExportedFile", "check_installed", "export_model"]

FILES = {"keras": "model.keras", "saved_model": "saved_model", "onnx": "model.onnx", "litert": "model.tflite"}
NEEDS = {
    "onnx": ("onnx", ("onnx", "tf2onnx", "onnxruntime")),
    "litert": ("litert", ("ai_edge_litert",)),
}


@dataclass(frozen=True)
class ExportedFile:
    """One file, or why there is none.

    Args:
        format: `keras`, `saved_model`, `onnx`, `litert`, `litert_dynamic` or `litert_int8`.
        file: Its name; empty if it was refused.
        size: Bytes.
        sha256: Of the file; of a folder, of its files' checksums by name.
        rows: Rows on which it was compared.
        largest_difference: From the model's own outputs, relative to values larger than 1.
        metrics: Of the model, and of this file, where 8 bits round: `{"model": {...}, "file": {...}}`.
        rounding: Largest difference between the model in float32, which is in the file, and as it was trained
            in half precision; None: it was trained in float32.
        left_out: What the format cannot hold of the model's compilation.
        refused: Why there is no file.
        unwritten: Whether that is since the disk did not take it.
        wrong: Whether a file was written and gave something else.
    """

    format: str
    file: str = ""
    size: int = 0
    sha256: str = ""
    rows: int = 0
    largest_difference: float | None = None
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rounding: float | None = None
    left_out: Sequence[str] = ()
    refused: str = ""
    unwritten: bool = False
    wrong: bool = False


@dataclass(frozen=True)
class ExportReport:
    """What was exported.

    Args:
        folder: Where the files are.
        inputs: Shape and type of each input by name.
        outputs: The same of the outputs.
        files: What became of each format.
    """

    folder: Path
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    files: Sequence[ExportedFile]

    def as_dict(self) -> dict[str, Any]:
        """For `export.json`."""
        return {
            "inputs": dict(self.inputs),
            "outputs": dict(self.outputs),
            "files": {one.format: asdict(one) for one in self.files},
        }


def check_installed(formats: Sequence[str]) -> None:
    """Refuse formats whose packages are missing. Imports none of them.

    Raises:
        UserError: with the line that installs them.
    """
    for name in formats:
        extra, packages = NEEDS.get(name, ("", ()))
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if missing:
            raise UserError(
                f"export.format={name} needs {', '.join(missing)}, which is not installed; install it with "
                f"`pip install 'trainkit[{extra}]'`."
            )


def export_model(
    model: keras.Model,
    folder: Path | str,
    rows: Arrays | Any,
    *,
    formats: Sequence[str] | str = ("saved_model",),
    quantize: Sequence[str] | str = (),
    training: Arrays | Any = None,
    compare: int = 1000,
    tolerance: float = 1e-5,
    on_file: Callable[[ExportedFile], None] | None = None,
) -> ExportReport:
    """Export a model, and compare each file on rows in its own runtime, in a fresh process.

    Args:
        model: A built Keras model.
        folder: Where the files go.
        rows: Test rows, as the model takes them; `Arrays` with labels: 8-bit files are scored on all of them.
        formats: Any of `keras`, `saved_model`, `onnx`, `litert`; or `all`.
        quantize: Any of `dynamic`, `int8`: further LiteRT files.
        training: Training rows, which `int8` needs.
        compare: How many of the rows are compared.
        tolerance: Largest difference that passes, relative to outputs larger than 1.
        on_file: Called with each file as soon as it is compared.

    Raises:
        UserError: for wrong arguments, a package that is missing, or a folder that cannot be written.

    Example:
        >>> export_model(model, "export", Arrays(x_test, y_test), formats=["onnx", "litert"])
    """
    arguments.check_model(model)
    formats, names = arguments.chosen(formats, quantize)
    arguments.check_numbers(compare, tolerance)
    if not isinstance(folder, (str, Path)):
        raise UserError(f"folder={folder!r}: expected a path.")
    check_installed(formats)
    rows = arguments.as_rows(rows)
    training = None if training is None else arguments.as_rows(training)
    with tf.device("CPU:0"):  # where the fresh processes run, too
        work = _Export(model, Path(folder), rows, training, compare, tolerance)
        if len(names) > len(formats):
            check_labels(work.serving, rows.take(slice(0, compare)), work.expected)
        done = []
        with sweeping(work.folder, {*FILES.values(), *map(_file, names)}):
            for name in names:
                done.append(work.write(name))
                if on_file is not None:
                    on_file(done[-1])
    return ExportReport(work.folder, work.inputs(), work.outputs(), done)


class _Export:
    """One model on its way into several formats."""

    def __init__(
        self,
        model: keras.Model,
        folder: Path,
        rows: Arrays,
        training: Arrays | None,
        compare: int,
        tolerance: float,
    ) -> None:
        self.folder = folder
        self.all_rows = rows
        self.training = training
        self.tolerance = tolerance
        self.serving = Serving(model, rows.x)
        self.rows = self.serving.rows(rows.x, compare)
        try:
            self.expected = self.serving.outputs(self.rows)
        except (ValueError, TypeError, tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            raise UserError(f"The rows do not fit the model: {one_line(str(error))}") from error
        self._twin: tuple[Serving, Named] | None = None

    def write(self, name: str) -> ExportedFile:
        """Write and compare one format."""
        kind = name.partition("_")[2] if name.startswith("litert_") else ""
        file = _file(name)
        path = self.folder / file
        difference: float | None = None
        metrics: dict[str, Any] = {}
        left_out: list[str] = []
        try:
            serving, expected = self._float32() if name not in ("keras", "saved_model") else self._itself()
            with _replacing(path, folder=name == "saved_model") as beside:
                left_out = self._write(name, kind, serving, beside)
                found = outputs_of(beside, self.rows)
                difference = largest_difference(expected, found)
                if kind:
                    metrics = self._scores(serving, beside)
                elif not difference <= self.tolerance:
                    raise Unusable(f"its outputs differ by {difference:.3g}, more than {self.tolerance:g}")
        except UserError as error:
            return ExportedFile(name, refused=str(error), unwritten=isinstance(error.__cause__, OSError))
        except Unusable as error:
            reason = f"written, but its runtime says otherwise: {error}"
            return ExportedFile(name, largest_difference=difference, refused=reason, wrong=True)
        size, checksum = _measured(path)
        count = len(next(iter(self.rows.values())))
        rounding = None if serving is self.serving else largest_difference(self.expected, expected)
        return ExportedFile(
            name, file, size, checksum, count, difference, metrics, rounding=rounding, left_out=left_out
        )

    def inputs(self) -> dict[str, str]:
        """`{"image": "float32 [B, 28, 28]"}`"""
        return {name: _described(spec) for name, spec in self.serving.specs.items()}

    def outputs(self) -> dict[str, str]:
        """The same for the outputs."""
        described = {}
        for name, values in self.expected.items():
            kind = "text" if values.dtype.kind in "OUS" else values.dtype.name
            described[name] = f"{kind} [{', '.join(['B', *map(str, values.shape[1:])])}]"
        return described

    def _write(self, name: str, kind: str, serving: Serving, path: Path) -> list[str]:
        gives_text = any(values.dtype.kind in "OUS" for values in self.expected.values())
        if gives_text and not serving.takes_text and name not in ("keras", "saved_model"):
            raise UserError(
                "the model answers in text, which the format does not hold; use export.format=saved_model, "
                "or leave the class names out with export.preparation=false."
            )
        if name == "keras":
            return keras_format.save(serving.model, path)
        if name == "saved_model":
            saved_model.write(serving, path)
        elif name == "onnx":
            onnx.write(serving, path)
        else:
            training = None if self.training is None else serving.rows(self.training.x, 200)
            litert.write(serving, path, quantize=kind or "none", rows=training)
        return []

    def _itself(self) -> tuple[Serving, Named]:
        return self.serving, self.expected

    def _float32(self) -> tuple[Serving, Named]:
        """The model in float32, and its outputs, for formats that have no mixed precision."""
        if not is_half_precision(self.serving.model):
            return self._itself()
        if self._twin is None:
            twin = self.serving.with_model(float32_twin(self.serving.model))
            self._twin = (twin, twin.outputs(self.rows))
        return self._twin

    def _scores(self, serving: Serving, path: Path) -> dict[str, Any]:
        """Metrics of the model and of an 8-bit file, over all rows with labels."""
        rows = self.all_rows
        if rows.y is None or not self.serving.model.compiled:
            return {}
        named = serving.rows(rows.x)
        outputs = {"model": serving.outputs(named), "file": outputs_of(path, named)}
        return {which: metrics_of(self.serving, rows, values) for which, values in outputs.items()}


def _file(name: str) -> str:
    """The name of a format's file."""
    return FILES.get(name) or f"model-{name.partition('_')[2]}.tflite"


def _replacing(path: Path, *, folder: bool) -> AbstractContextManager[Path]:
    return files.replacing_folder(path) if folder else files.replacing_file(path)


def _measured(path: Path) -> tuple[int, str]:
    """Bytes and checksum of a file, or of a folder's files."""
    if path.is_file():
        content = path.read_bytes()
        return len(content), hashlib.sha256(content).hexdigest()
    whole = hashlib.sha256()
    size = 0
    for inner in sorted(p for p in path.rglob("*") if p.is_file()):
        bytes_, checksum = _measured(inner)
        size += bytes_
        whole.update(f"{inner.relative_to(path)} {checksum}\n".encode())
    return size, whole.hexdigest()


def _described(spec: tf.TensorSpec) -> str:
    kind = "text" if spec.dtype == tf.string else spec.dtype.name
    return f"{kind} [{', '.join(['B', *('any' if n is None else str(n) for n in spec.shape[1:])])}]"
