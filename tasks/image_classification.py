"""Images of your own: a folder with a folder per class, or a table of paths and classes.

The small network is a VGG with batch normalization; S. Ioffe, C. Szegedy: Batch Normalization,
arXiv:1502.03167. Others are those of `keras.applications`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
from keras import layers

from trainkit.config import DataConfig, validate_task
from trainkit.config.fields import setting
from trainkit.core.datasets import Arrays, Fold, NewRows, Splits
from trainkit.core.errors import UserError
from trainkit.core.files import read_json
from trainkit.core.task import Task
from trainkit.data import fitted
from trainkit.data.augmentation import make_augmentation
from trainkit.data.class_weights import with_class_weights
from trainkit.data.image_data import ImageData, image_data, new_images
from trainkit.data.preparation.keras_twin import readable_outputs
from trainkit.data.preparation.labels import ClassLabels
from trainkit.data.preparation.preparation import Preparation
from trainkit.data.schema import Schema
from trainkit.data.schema_table import table_text
from trainkit.data.settings import data_config, refuse_unused
from trainkit.tasks import recipes
from trainkit.tasks.classification import Classification, class_scores
from trainkit.tasks.image_networks import CNN, application, check_network, convolutions

__all__ = ["ImageClassification"]

IMAGES_FILE = "images.json"
OF_TABLES = ("missing", "target_scaling", "preparation")  # settings that images have no use for
SIZES = {"batches": 40, "smallest": 16, "largest": 128, "steps": 1500}


@dataclass(frozen=True)
class ImageClassification(Classification):
    """A class of each image: `[B, H, W, C]` uint8 to probabilities `[B, C]`.

    `serving_model` takes the same images and also answers in class names.

    Args:
        settings: The group `data` of the settings: `path`, `image_size` and the others, see `DataConfig`.
        network: `cnn`, or a name of `keras.applications`, such as `MobileNetV2`.
        filters: Of `cnn`: filters of each block.
        weights: File with weights of the named network, without its top; None: at random.
        dropout: Share of the features that is dropped, from 0 to less than 1.
        validation: Rows to validate on in place of `data.validation`: a share, or one of several folds.
        run: Directory of the run that this task continues or opens.
    """

    settings: DataConfig | Mapping[str, Any] = field(default_factory=DataConfig)
    network: str = setting("cnn", "cnn, or a name of keras.applications such as MobileNetV2")
    filters: tuple[int, ...] | list[int] = setting(
        (32, 64, 128), "of cnn: filters of each block", at_least=1, example="[32,64]"
    )
    weights: str | Path | None = setting(
        None, "file with weights of the named network, without its top; null: at random"
    )
    dropout: float = setting(0.3, "share of the features that is dropped", at_least=0, below=1)
    validation: float | Fold | None = None
    run: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        validate_task(self)
        check_network(self.network)
        if self.network == CNN and self.weights is not None:
            raise UserError(
                f"task.weights={self.weights}: only the networks of keras.applications have this; leave it "
                "out, or name one with task.network, such as MobileNetV2."
            )

    def unread_arguments(self) -> Mapping[str, str]:
        return {} if self.network == CNN else {"filters": f"only task.network={CNN} has this"}

    @cached_property
    def config(self) -> DataConfig:
        """The settings, checked."""
        config = data_config(self.settings)
        refuse_unused(config, OF_TABLES, "images have no columns to be prepared")
        return config

    @property
    def images(self) -> ImageData:
        """The images as they are now, which must be those that a run was trained on.

        Raises:
            UserError: if they cannot be used, or have changed since.
        """
        if self.run is not None:
            fitted.check_same_split(self.config, self.fitted[0])
        found = image_data(self.config, self.validation)
        if self.run is not None:
            fitted.check_same_schema(found.schema, self.fitted[0], found.source, found.former)
        return found

    @cached_property
    def fitted(self) -> tuple[Schema, Preparation, tuple[int, ...]]:
        """Schema, labels, and the images' height, width and channels; from the run's files if there is a
        run."""
        if self.run is None:
            found = self.images
            return found.schema, found.preparation, found.shape
        schema, preparation = fitted.read_fitted(self.run)
        shape = read_json(self.run / IMAGES_FILE).get("shape")
        if not isinstance(shape, list) or len(shape) != 3:
            raise UserError(f"{self.run / IMAGES_FILE} is missing or damaged; expected what a run writes.")
        return schema, preparation, tuple(shape)

    @property
    def labels(self) -> ClassLabels:
        target = self.fitted[1].target
        assert isinstance(target, ClassLabels)
        return target

    def of_run(self, run: Path) -> Task:
        return replace(self, run=run)

    def run_files(self) -> Mapping[str, str]:
        schema, preparation, shape = self.fitted
        files = fitted.fitted_files(schema, preparation)
        return {**files, IMAGES_FILE: json.dumps({"shape": list(shape)}) + "\n"}

    def description(self) -> str:
        images = self.images
        height, width, channels = images.shape
        first = f"{len(images.x):,} images of {height}x{width} pixels, {'gray' if channels == 1 else 'RGB'}"
        notes = [f"! {note}" for note in images.notes]
        return "\n".join([first, table_text(images.schema), *notes])

    def data(self) -> Splits:
        splits = self.images.splits(self.fitted[1])
        assert isinstance(splits.train, Arrays)
        return replace(splits, train=with_class_weights(splits.train, self.labels, self.class_weights))

    def augmented(self, train: Arrays, seed: int) -> Any:
        return make_augmentation(self.config.augment, train, seed, labels=self.labels.encoding)

    def trainer_defaults(self) -> Mapping[str, int]:
        sizes: Mapping[str, int] = recipes.sizes(len(self.images.rows["train"]), **SIZES)
        return sizes

    def model(self, train: Arrays) -> keras.Model:
        images = keras.Input(self.fitted[2], name="images")
        if self.network == CNN:
            x = convolutions(images, self.filters)
        else:
            x = application(images, self.network, self.weights)
        x = layers.Dropout(self.dropout)(x)
        return keras.Model(images, class_scores(layers.Dense(len(self.labels.classes))(x), self.labels))

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(1e-3)

    def new_rows(self, path: Any) -> NewRows:
        return new_images(path, self.config, *self.fitted)

    def labelled_rows(self, path: Any) -> NewRows:
        return new_images(path, self.config, *self.fitted, labelled=True)

    def serving_model(self, model: keras.Model) -> keras.Model:
        """A model that takes images with pixels from 0 to 255, and answers in class names."""
        images = keras.Input(self.fitted[2], name="images")
        outputs = readable_outputs(model(images, training=False), self.labels)
        return keras.Model(images, outputs, name=f"{model.name}_with_class_names")
