"""A model is trained as it was compiled, to the end of the training."""

from __future__ import annotations

import keras

from trainkit.backend import compat
from trainkit.core.errors import UserError

__all__ = ["Compilation"]


class Compilation:
    """The compilation that a training began with.

    Args:
        model: A compiled model.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._tracker = compat.loss_tracker(model)  # each compilation makes another
        self._function = getattr(model, "train_function", None)

    def check(self) -> None:
        """Refuse to go on with a model that a callback has compiled anew.

        Raises:
            UserError: where `model.fit` finds no train function any more.
        """
        taken_away = self._function is not None and self.model.train_function is None
        if taken_away or compat.loss_tracker(self.model) is not self._tracker:
            raise UserError(
                "A callback compiled the model anew (or quantized it) in the middle of a training, where "
                "model.fit fails, too; set model.stop_training = True there, and compile and train again "
                "after fit."
            )
