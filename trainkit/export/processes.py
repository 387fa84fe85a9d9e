"""Runs one of this folder's scripts in a fresh process, as somebody would who has not got trainkit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["run_alone"]


def run_alone(script: str, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a script of this folder with the given words; its output is captured."""
    # -P: modules of this folder must not hide libraries of the same name.
    command = [sys.executable, "-P", script, *words]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    on_the_cpu = {"CUDA_VISIBLE_DEVICES": "-1"}  # where the model's own outputs are computed, too
    environment = {**os.environ, **quiet, **on_the_cpu}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
