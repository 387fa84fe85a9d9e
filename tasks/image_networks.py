"""Networks for images: a small convolutional one, and those of `keras.applications` by name."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from trainkit.core.errors import UserError, did_you_mean, one_line

__all__ = ["CNN", "application", "check_network", "convolutions"]

CNN = "cnn"  # ours; all other names are those of keras.applications


def check_network(name: str) -> None:
    """Refuse a name that is neither `cnn` nor an architecture of `keras.applications`.

    Raises:
        UserError: naming the nearest.
    """
    if name == CNN or name in _builders():
        return
    near = did_you_mean(name, [CNN, *_builders()], list_known=False)
    known = f"expected {CNN}, or a network of keras.applications, such as MobileNetV2 or EfficientNetB0."
    raise UserError(f"task.network={name}: unknown; {near if near.startswith('did') else known}")


def convolutions(images: Any, filters: Sequence[int]) -> Any:
    """Features `[B, K]` of images `[B, H, W, C]` by blocks of convolution, batch normalization and pooling.

    A block after which the image would be smaller than 2 pixels does not pool.

    Args:
        images: With pixels from 0 to 255.
        filters: Filters of each block.
    """
    x = layers.Rescaling(1 / 255)(images)
    side = min(images.shape[1:3])
    for count in filters:
        for _ in range(2):
            x = layers.Conv2D(count, 3, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization(momentum=0.9)(x)  # few steps per epoch
            x = layers.Activation("relu")(x)
        if side >= 4:
            x = layers.MaxPooling2D()(x)
            side //= 2
    return layers.GlobalAveragePooling2D()(x)


def application(images: Any, name: str, weights: str | None) -> Any:
    """Features `[B, K]` of images by an architecture of `keras.applications`, without its own top.

    Args:
        images: `[B, H, W, C]` with pixels from 0 to 255; gray ones are given three equal channels.
        name: Such as `MobileNetV2` or `EfficientNetB0`.
        weights: File with its weights, without top, such as Keras's `*_notop.h5`; None: at random.

    Raises:
        UserError: for an unknown name, images that are too small for it, or weights of another network.
    """
    check_network(name)
    build, module = _builders()[name]
    x = images
    if images.shape[-1] == 1:
        x = layers.Concatenate(name="three_channels")([images] * 3)
    if weights is not None and not Path(weights).is_file():
        raise UserError(
            f"task.weights={weights}: there is no such file; expected one with weights without top, as "
            f"keras.applications.{name}(include_top=False) loads into ~/.keras/models."
        )
    try:
        network = build(
            include_top=False, weights=weights, input_shape=(*images.shape[1:3], 3), pooling="avg"
        )
    except (ValueError, OSError) as error:
        raise UserError(f"task.network={name}: {one_line(str(error))}") from error
    return network(_preprocessed(x, module))


@functools.cache
def _builders() -> Mapping[str, tuple[Any, Any]]:
    """By the name of each architecture, the function that builds it, and the module that knows how its images
    are scaled."""
    packages = [module.name for module in pkgutil.iter_modules(keras.applications.__path__)]
    modules = [importlib.import_module(f"keras.applications.{package}") for package in packages]
    return {
        function: (build, module)
        for module in modules
        for function, build in inspect.getmembers(module, inspect.isfunction)
        if function[0].isupper() and hasattr(module, "preprocess_input")
    }


def _preprocessed(images: Any, module: Any) -> Any:
    """Images as the architecture wants them, by layers that a saved model keeps.

    What `preprocess_input` does to a pixel is linear for each channel, perhaps with the channels reversed; so
    three pixels tell all of it.
    """
    pixels = np.array([[0, 0, 0], [1, 1, 1], [1, 2, 3]], np.float32)[:, None, None, :]
    zero, one, mixed = (module.preprocess_input(pixel[None].copy())[0, 0, 0] for pixel in pixels)
    scale = one - zero
    is_reversed = not np.allclose(mixed, zero + scale * np.array([1, 2, 3]))
    x = images[..., ::-1] if is_reversed else images
    return layers.Rescaling(scale.tolist(), zero.tolist())(x)
