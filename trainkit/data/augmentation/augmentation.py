"""From `data.augment` to the augmented batches of an epoch."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError, did_you_mean
from trainkit.data.augmentation.draws import Draws
from trainkit.data.augmentation.operations import OPERATIONS, Geometry, Mix, Operation, Pixels

__all__ = ["PRESETS", "Augmentation", "make_augmentation"]

KEY = "data.augment"
PRESETS: dict[str, list[Any]] = {
    "none": [],
    "light": [{"name": "rotate", "degrees": 5}, {"name": "shift", "share": 0.05}],
    "standard": [
        {"name": "rotate", "degrees": 10},
        {"name": "zoom", "low": 0.9, "high": 1.1},
        {"name": "shift", "share": 0.1},
        {"name": "contrast", "share": 0.2},
        {"name": "brightness", "share": 0.1},
    ],
    "strong": [
        {"name": "rotate", "degrees": 20},
        {"name": "zoom", "low": 0.8, "high": 1.2},
        {"name": "shift", "share": 0.15},
        {"name": "contrast", "share": 0.4},
        {"name": "brightness", "share": 0.2},
        {"name": "blur", "sigma": 1.0, "chance": 0.3},
        {"name": "noise", "deviation": 0.03},
        {"name": "erase", "share": 0.4, "chance": 0.5},
    ],
}


@dataclass(frozen=True)
class Augmentation:
    """Gives the training rows of an epoch, augmented: `augmentation(epoch, rows)`.

    Args:
        arrays: All training rows, with images `[N, H, W, C]` from 0 to 255.
        operations: What is done, in this order; those that move pixels are joined into one.
        seed: Of the training.
    """

    arrays: Arrays
    operations: tuple[Operation, ...]
    seed: int

    def __call__(self, epoch: int, rows: np.ndarray) -> tuple[Any, ...]:
        """The batch `(x, y[, weight])` of some rows, of the dtypes of the arrays."""
        draws = Draws(self.seed, epoch, rows)
        taken = self.arrays.take(rows)
        images = np.asarray(taken.x, np.float32)
        labels = taken.y
        for operation in self.operations:
            if isinstance(operation, Mix):
                images, labels = self._mixed(operation, images, labels, draws)
        moves = [op.matrices(draws) for op in self.operations if isinstance(op, Geometry)]
        if moves:
            images = moved(images, functools.reduce(np.matmul, moves))
        for operation in self.operations:
            if isinstance(operation, Pixels):
                images = np.clip(operation.apply(images, draws), 0, 255)
        x = images.round().astype(taken.x.dtype) if taken.x.dtype.kind in "iu" else images
        return Arrays(x, labels, taken.weight).batch()

    def _mixed(self, operation: Mix, images: np.ndarray, labels: Any, draws: Draws) -> tuple[np.ndarray, Any]:
        others = np.floor(draws.uniform() * len(self.arrays)).astype(np.int64)
        partner = self.arrays.take(others)
        mask = operation.masks(images.shape, draws)
        own = mask.mean(axis=(1, 2, 3), dtype=np.float64)[:, None].astype(np.float32)
        mixed = images * mask + np.asarray(partner.x, np.float32) * (1 - mask)
        return np.asarray(mixed, np.float32), labels * own + partner.y * (1 - own)


def make_augmentation(
    spec: str | Sequence[Any], arrays: Arrays, seed: int, *, labels: str
) -> Augmentation | None:
    """The augmentation of some training images; None for `none`.

    Args:
        spec: A name of `PRESETS`, or a list of operations by name, with arguments if needed:
            `[flip, {name: rotate, degrees: 20}]`.
        arrays: The training rows.
        seed: Of the training.
        labels: Encoding of the labels.

    Raises:
        UserError: for an unknown operation, arguments that it does not take, or labels that cannot be mixed.
    """
    operations = parsed_operations(spec)
    if any(isinstance(operation, Mix) for operation in operations) and labels == "integer":
        raise UserError(f"{KEY}: mixup and cutmix mix labels; set data.labels=one_hot.")
    return Augmentation(arrays, operations, seed) if operations else None


def parsed_operations(spec: str | Sequence[Any]) -> tuple[Operation, ...]:
    """The operations that a user names.

    Raises:
        UserError: for an unknown one, or arguments that it does not take.
    """
    if isinstance(spec, str):
        if spec not in PRESETS:
            hint = did_you_mean(spec, PRESETS)
            raise UserError(
                f"{KEY}={spec}: {hint} Or a list of {', '.join(OPERATIONS)}, such as [flip,rotate]."
            )
        spec = PRESETS[spec]
    return tuple(_operation(entry) for entry in spec)


def _operation(entry: Any) -> Operation:
    given = dict(entry) if isinstance(entry, Mapping) else {"name": entry}
    name = given.pop("name", None)
    if name not in OPERATIONS:
        raise UserError(f"{KEY}: {name!r} is no operation; {did_you_mean(str(name), OPERATIONS)}")
    known = [field.name for field in fields(OPERATIONS[name])]
    for argument in given:
        if argument not in known:
            raise UserError(f"{KEY}.{name}.{argument} is no setting; {did_you_mean(str(argument), known)}")
    operation = OPERATIONS[name](**given)
    operation.check(f"{KEY}.{name}")
    return operation


def moved(images: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Images with their pixels moved, read bilinearly; beyond the edge the image is mirrored.

    Args:
        images: float32 `[N, H, W, C]`.
        matrices: `[N, 3, 3]` from the new image to the old one, in coordinates from -1 to 1.
    """
    height, width = images.shape[1:3]
    to_pixels = np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])
    whole = to_pixels @ matrices @ np.linalg.inv(to_pixels)
    flat = (whole / whole[:, 2:, 2:]).reshape(-1, 9)[:, :8].astype(np.float32)
    with tf.device("CPU:0"):
        out = tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=flat,
            output_shape=[height, width],
            interpolation="BILINEAR",
            fill_mode="REFLECT",
            fill_value=0.0,
        )
    return np.asarray(out)
