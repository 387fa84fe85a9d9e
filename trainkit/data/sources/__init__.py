"""Tables, images, texts and known data sets, read without guessing what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.data.sources.images import ImageOptions, Images, read_images
    from trainkit.data.sources.keras_datasets import KNOWN_SETS, DataSet, DataWarning, load
    from trainkit.data.sources.sequences import word_numbers
    from trainkit.data.sources.tables import Table, TableOptions, read_table
    from trainkit.data.sources.texts import read_texts
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.data.sources.images": (
                "ImageOptions",
                "Images",
                "read_images",
            ),
            "trainkit.data.sources.keras_datasets": (
                "KNOWN_SETS",
                "DataSet",
                "DataWarning",
                "load",
            ),
            "trainkit.data.sources.sequences": ("word_numbers",),
            "trainkit.data.sources.tables": (
                "Table",
                "TableOptions",
                "read_table",
            ),
            "trainkit.data.sources.texts": ("read_texts",),
        },
    )

__all__ = [
    "KNOWN_SETS",
    "DataSet",
    "DataWarning",
    "ImageOptions",
    "Images",
    "Table",
    "TableOptions",
    "load",
    "read_images",
    "read_table",
    "read_texts",
    "word_numbers",
]
