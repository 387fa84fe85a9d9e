"""Augmentation of training images: every image is a pure function of (seed, epoch, row).

Random numbers are hashes of (seed, epoch, row, draw), so that an image is the same after a resume, in any
batch and on any number of replicas. All runs on the host while the device computes, outside of XLA, which
knows no rotation.
"""

from __future__ import annotations

from trainkit.data.augmentation.augmentation import PRESETS, Augmentation, make_augmentation

__all__ = ["PRESETS", "Augmentation", "make_augmentation"]
