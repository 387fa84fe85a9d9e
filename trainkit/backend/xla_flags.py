"""How hard LLVM works on XLA's programs."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["choose"]

FLAGS = "XLA_FLAGS"
LEVEL = "--xla_backend_optimization_level="
GPU_DRIVERS = (Path("/proc/driver/nvidia"), Path("/dev/kfd"))


def choose() -> None:
    """On a CPU, let LLVM optimize as for -O2, unless the user chose a level. XLA reads it when it first
    compiles.

    At -O3 it unrolls loops over short rows, such as those of an embedding, and cannot vectorise them then:
    the update of a table of 10,000 x 16 by Adam takes 7 times as long. Other programs are as fast, and are
    compiled a little faster.
    """
    given = os.environ.get(FLAGS, "")
    names_a_file = given and not given.lstrip().startswith("--")
    if LEVEL not in given and not names_a_file and not any(path.exists() for path in GPU_DRIVERS):
        os.environ[FLAGS] = f"{given} {LEVEL}2".strip()
