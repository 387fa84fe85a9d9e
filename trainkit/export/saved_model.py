"""TensorFlow's SavedModel: a folder that `tf.saved_model.load` and TensorFlow Serving take."""

from __future__ import annotations

from pathlib import Path

import keras

from trainkit.export.serving import Serving

__all__ = ["write"]


def write(serving: Serving, folder: Path, *, batch: int | None = None) -> None:
    """Write a SavedModel with the signature `serving_default`.

    Keras's `model.export` traces without `training=False`, so that dropout would go on in serving.

    Args:
        serving: The model.
        folder: Where to.
        batch: Rows of a call; None: any number.
    """
    archive = keras.export.ExportArchive()
    archive.track(serving.model)
    archive.add_endpoint("serve", serving.function(batch))
    archive.write_out(str(folder), verbose=False)
