"""Texts of your own: a folder with a folder per class, or a column of a table. Other columns of the table are
read beside the texts.

Recurrent body: S. Hochreiter, J. Schmidhuber: Long Short-Term Memory, Neural Computation 9(8), 1997;
convolutional body: Y. Kim: Convolutional Neural Networks for Sentence Classification, arXiv:1408.5882.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from keras import layers

from trainkit.config.fields import setting
from trainkit.data.preparation.preparation import PreparedInput
from trainkit.tasks import recipes
from trainkit.tasks.tabular import TabularClassification

__all__ = ["BODIES", "TextClassification"]

BODIES = ("pooled", "convolutional", "recurrent")
WINDOW = 5  # words that a convolution sees


@dataclass(frozen=True)
class TextClassification(TabularClassification):
    """A class of each text: a dict of word numbers `[B, L]` to probabilities `[B, C]`.

    `serving_model` takes the texts themselves. How texts become word numbers: `data.preparation.tokens` and
    `length`.

    Args:
        body: How words become features: one of `BODIES`.
        width: Filters of the convolution, or units of the recurrent layer in each direction.
    """

    body: str = setting("pooled", "how words become features", choices=BODIES)
    width: int = setting(
        64, "filters of the convolutions, or units of the recurrent layer in each direction", at_least=1
    )
    embedding: int | None = setting(64, "numbers per word; null: by how many there are", at_least=1)
    units: tuple[int, ...] | list[int] = setting((64,), "hidden layers", at_least=1, example="[64]")
    dropout: float = setting(0.3, "rate after each hidden layer", at_least=0, below=1)
    linear: bool = setting(False, "a linear path beside the hidden layers")
    l2: float | None = setting(0.0, "penalty of the squared weights; null: by the rows", at_least=0)

    problem: ClassVar[str] = "text"
    sizes: ClassVar[Mapping[str, int]] = {"batches": 40, "smallest": 16, "largest": 128, "steps": 1500}

    def unread_arguments(self) -> Mapping[str, str]:
        unread = dict(super().unread_arguments())
        if self.body == "pooled":
            unread["width"] = "only task.body=convolutional and task.body=recurrent have this"
        return unread

    def features_of(self, name: str, described: PreparedInput, raw: Any) -> Any:
        if not described.shape or self.body == "pooled" or not described.size:
            return super().features_of(name, described, raw)
        masked = self.body == "recurrent"
        width = self.embedding or recipes.embedding(described.size)
        words = layers.Embedding(described.size, width, mask_zero=masked, name=f"{name}_embedding")(raw)
        if masked:
            return layers.Bidirectional(layers.LSTM(self.width), name=f"{name}_recurrent")(words)
        x = layers.Conv1D(self.width, WINDOW, padding="same", activation="relu")(words)
        return layers.GlobalMaxPooling1D()(x)
