"""Estimators for scikit-learn: pipelines, cross-validation and grid searches by the compiled loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.estimators.classifier import TrainkitClassifier
    from trainkit.estimators.regressor import TrainkitRegressor
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.estimators.classifier": ("TrainkitClassifier",),
            "trainkit.estimators.regressor": ("TrainkitRegressor",),
        },
    )

__all__ = ["TrainkitClassifier", "TrainkitRegressor"]
