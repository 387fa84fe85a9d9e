"""Runs one of this folder's scripts in a fresh process, as somebody would who has not got trainkit."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["disk_error", "run_alone"]

OF_A_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def run_alone(script: str, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a script of this folder with the given words; its output is captured.

    Raises:
        OSError: if it ended since a disk did not take what it wrote.
    """
    # -P: modules of this folder must not hide libraries of the same name.
    command = [sys.executable, "-P", script, *words]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    on_the_cpu = {"CUDA_VISIBLE_DEVICES": "-1"}  # where the model's own outputs are computed, too
    environment = {**os.environ, **quiet, **on_the_cpu}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode and (error := disk_error(done.stderr.rstrip().rpartition("\n")[2])):
        raise error
    return done


def disk_error(text: str) -> OSError | None:
    """The error of a disk that the words of another error tell of, such as one of TensorFlow's."""
    found = (number for number in OF_A_DISK if os.strerror(number) in text)
    return next((OSError(number, os.strerror(number)) for number in found), None)
