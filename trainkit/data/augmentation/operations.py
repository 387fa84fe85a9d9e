"""The operations on images, by the names that `data.augment` takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainkit.core.errors import UserError
from trainkit.data.augmentation.draws import Draws, symmetric_beta

__all__ = ["OPERATIONS", "Geometry", "Mix", "Operation", "Pixels"]

WHITE = 255.0


@dataclass(frozen=True)
class Operation:
    """One way to change images; its fields are the arguments that a user may give."""

    def check(self, key: str) -> None:
        """Refuse impossible arguments.

        Raises:
            UserError: naming the argument.
        """
        for name, value in vars(self).items():
            if isinstance(value, bool):
                continue
            low, high, words = LIMITS[name]
            good = isinstance(value, (int, float)) and low <= value <= high
            if not good:
                raise UserError(f"{key}.{name}={value}: expected {words}.")


LIMITS: dict[str, tuple[float, float, str]] = {
    "degrees": (0, 180, "0 to 180"),
    "share": (0, 1, "0 to 1"),
    "low": (0.1, 10, "0.1 to 10"),
    "high": (0.1, 10, "0.1 to 10"),
    "deviation": (0, 1, "0 to 1, where 1 is white"),
    "sigma": (0, 10, "0 to 10 pixels"),
    "chance": (0, 1, "0 to 1"),
    "alpha": (0.01, 100, "0.01 to 100"),
}


class Geometry(Operation, ABC):
    """Moves pixels, by a matrix from the new image to the old one. All are joined, and the image is read
    once."""

    @abstractmethod
    def matrices(self, draws: Draws) -> np.ndarray:
        """Matrices `[N, 3, 3]` in coordinates from -1 to 1 with the centre at 0, as `(x, y, 1)`."""


class Pixels(Operation, ABC):
    """Changes the values of pixels where they are."""

    @abstractmethod
    def apply(self, images: np.ndarray, draws: Draws) -> np.ndarray:
        """Images float32 `[N, H, W, C]`, from 0 to 255."""


class Mix(Operation, ABC):
    """Joins each image with that of another training row, and their labels."""

    @abstractmethod
    def masks(self, shape: tuple[int, ...], draws: Draws) -> np.ndarray:
        """The share of the own image in each pixel `[N, H, W, 1]`, or of the whole `[N, 1, 1, 1]`."""


@dataclass(frozen=True)
class Flip(Geometry):
    """Mirrors half of the images; `vertical` also half of them upside down."""

    horizontal: bool = True
    vertical: bool = False

    def matrices(self, draws: Draws) -> np.ndarray:
        signs = [np.where(draws.chance(0.5), -1.0, 1.0) for _ in range(2)]
        return _matrices(
            x=signs[0] if self.horizontal else np.ones_like(signs[0]),
            y=signs[1] if self.vertical else np.ones_like(signs[1]),
        )


@dataclass(frozen=True)
class Rotate(Geometry):
    """Rotates about the centre by up to `degrees` either way."""

    degrees: float = 10.0

    def matrices(self, draws: Draws) -> np.ndarray:
        angle = np.deg2rad(draws.uniform(-self.degrees, self.degrees))
        made = _matrices(x=np.cos(angle), y=np.cos(angle))
        made[:, 0, 1] = -np.sin(angle)
        made[:, 1, 0] = np.sin(angle)
        return made


@dataclass(frozen=True)
class Zoom(Geometry):
    """Scales about the centre by a factor from `low` to `high`."""

    low: float = 0.9
    high: float = 1.1

    def matrices(self, draws: Draws) -> np.ndarray:
        factor = 1 / draws.uniform(self.low, self.high)
        return _matrices(x=factor, y=factor)


@dataclass(frozen=True)
class Shift(Geometry):
    """Shifts by up to `share` of the width and of the height."""

    share: float = 0.1

    def matrices(self, draws: Draws) -> np.ndarray:
        made = _matrices(x=np.ones(len(draws.state)), y=np.ones(len(draws.state)))
        made[:, 0, 2] = draws.uniform(-2 * self.share, 2 * self.share)
        made[:, 1, 2] = draws.uniform(-2 * self.share, 2 * self.share)
        return made


@dataclass(frozen=True)
class Crop(Geometry):
    """Cuts out a part of at least `share` of the width and height, and scales it to the whole."""

    share: float = 0.8

    def matrices(self, draws: Draws) -> np.ndarray:
        size = draws.uniform(self.share, 1.0)
        made = _matrices(x=size, y=size)
        made[:, 0, 2] = (1 - size) * draws.uniform(-1, 1)
        made[:, 1, 2] = (1 - size) * draws.uniform(-1, 1)
        return made


@dataclass(frozen=True)
class Brightness(Pixels):
    """Makes all pixels brighter or darker by up to `share` of white."""

    share: float = 0.1

    def apply(self, images: np.ndarray, draws: Draws) -> np.ndarray:
        return np.asarray(images + _each(draws.uniform(-self.share, self.share) * WHITE))


@dataclass(frozen=True)
class Contrast(Pixels):
    """Scales the distance of all pixels from the image's mean by 1 - `share` to 1 + `share`."""

    share: float = 0.2

    def apply(self, images: np.ndarray, draws: Draws) -> np.ndarray:
        mean = images.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
        return np.asarray(mean + (images - mean) * _each(draws.uniform(1 - self.share, 1 + self.share)))


@dataclass(frozen=True)
class Noise(Pixels):
    """Adds normal noise to each pixel, with a `deviation` as a share of white."""

    deviation: float = 0.05

    def apply(self, images: np.ndarray, draws: Draws) -> np.ndarray:
        return images + draws.normal(int(np.prod(images.shape[1:]))).reshape(images.shape) * np.float32(
            self.deviation * WHITE
        )


@dataclass(frozen=True)
class Blur(Pixels):
    """Blurs a share of `chance` of the images by a bell curve of up to `sigma` pixels."""

    sigma: float = 1.0
    chance: float = 0.5

    def apply(self, images: np.ndarray, draws: Draws) -> np.ndarray:
        sigma = np.maximum(draws.uniform(0, self.sigma), 1e-3)
        reach = max(1, int(np.ceil(2 * self.sigma)))
        offsets = np.arange(-reach, reach + 1)
        kernel = np.exp(-(offsets**2) / (2 * sigma[:, None] ** 2))
        kernel = (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
        blurred = images
        for axis in (1, 2):
            pad = [(0, 0)] * 4
            pad[axis] = (reach, reach)
            wide = np.pad(blurred, pad, mode="edge")
            size = images.shape[axis]
            parts = [_each(kernel[:, i]) * _slice(wide, axis, i, size) for i in range(len(offsets))]
            blurred = np.add.reduce(parts)
        return np.where(_each(draws.chance(self.chance)), blurred, images)


@dataclass(frozen=True)
class Erase(Pixels):
    """Fills a box of up to `share` of the width and height with the image's mean, in a share of `chance` of
    the images."""

    share: float = 0.4
    chance: float = 0.5

    def apply(self, images: np.ndarray, draws: Draws) -> np.ndarray:
        size = draws.uniform(0, self.share)
        box = _boxes(images.shape, size, draws) & draws.chance(self.chance)[:, None, None, None]
        mean = images.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
        return np.where(box, mean, images)


@dataclass(frozen=True)
class Mixup(Mix):
    """Blends two images and their labels with a share from `Beta(alpha, alpha)`; H. Zhang et al.,
    arXiv:1710.09412."""

    alpha: float = 0.2

    def masks(self, shape: tuple[int, ...], draws: Draws) -> np.ndarray:
        return _each(_own_share(self.alpha, draws))


@dataclass(frozen=True)
class Cutmix(Mix):
    """Puts a box of another image into the image; labels are mixed by area. S. Yun et al.,
    arXiv:1905.04899."""

    alpha: float = 1.0

    def masks(self, shape: tuple[int, ...], draws: Draws) -> np.ndarray:
        size = np.sqrt(1 - _own_share(self.alpha, draws))
        return 1 - _boxes(shape, size, draws).astype(np.float32)


OPERATIONS: dict[str, type[Operation]] = {
    "flip": Flip,
    "rotate": Rotate,
    "zoom": Zoom,
    "shift": Shift,
    "crop": Crop,
    "brightness": Brightness,
    "contrast": Contrast,
    "noise": Noise,
    "blur": Blur,
    "erase": Erase,
    "mixup": Mixup,
    "cutmix": Cutmix,
}


def _own_share(alpha: float, draws: Draws) -> np.ndarray:
    return symmetric_beta(alpha, draws.uniform(), draws.chance(0.5))


def _matrices(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    made = np.zeros((len(x), 3, 3))
    made[:, 0, 0] = x
    made[:, 1, 1] = y
    made[:, 2, 2] = 1
    return made


def _each(values: np.ndarray) -> np.ndarray:
    """A number per image, to be used with `[N, H, W, C]`."""
    shaped: np.ndarray = values[:, None, None, None]
    return shaped if values.dtype == bool else shaped.astype(np.float32)


def _slice(images: np.ndarray, axis: int, start: int, size: int) -> Any:
    return images[:, start : start + size] if axis == 1 else images[:, :, start : start + size]


def _boxes(shape: tuple[int, ...], size: np.ndarray, draws: Draws) -> np.ndarray:
    """True `[N, H, W, 1]` in a box somewhere in the image, of a share `size` `[N]` of both its sides."""
    inside = []
    for pixels in shape[1:3]:
        length = np.round(size * pixels)
        start = np.floor(draws.uniform() * (pixels - length + 1))
        place = np.arange(pixels)
        inside.append((place >= start[:, None]) & (place < (start + length)[:, None]))
    return np.asarray(inside[0][:, :, None, None] & inside[1][:, None, :, None])
