"""Why a training failed, in one line."""

from __future__ import annotations

import tensorflow as tf

from trainkit.backend import compile_cache
from trainkit.core.errors import UserError, one_line

__all__ = ["LOST_WORKER", "reason"]

# What a reduction over several workers raises when one of them is gone.
LOST_WORKER = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
)


def reason(error: Exception, *, lost: bool) -> str:
    """An error in one line.

    Args:
        error: What ended the training.
        lost: Whether another worker is gone.
    """
    if lost:
        return f"another worker ended or no longer answers ({type(error).__name__})"
    if unkept := compile_cache.unkept(error):
        return unkept
    first_line = one_line(str(error).strip().partition("\n")[0])
    if isinstance(error, UserError):
        return first_line
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
