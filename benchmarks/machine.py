"""What the numbers were measured on, processes to measure in, and tables of what was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "trainkit",
    "tensorflow",
    "keras",
    "numpy",
    "torch",
    "lightning",
    "jax",
    "jaxlib",
    "optuna",
    "keras-tuner",
    "scikit-learn",
)


def describe(threads: int) -> dict[str, Any]:
    """Processor, cores, system and versions, as plain data."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    system = {"system": platform.platform(), "python": platform.python_version(), "versions": versions}
    return {"processor": processor(), "cores": os.cpu_count(), "threads": threads, **system}


def processor() -> str:
    """Its name, where Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def resident_mb() -> float:
    """Resident memory of this process now, in MB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def run_python(*command: str, **environment: str) -> str:
    """What a Python process prints.

    Args:
        command: Its words.
        environment: Variables besides those of this process.

    Raises:
        RuntimeError: if it fails.
    """
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environment}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, env=quiet)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)[:200]} ended with {done.returncode}: {done.stderr.strip()[-1000:]}"
        )
    return done.stdout


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as text: a line of keys, then a line for each row."""
    columns = list(rows[0])
    cells = [
        [f"{row[c]:,.2f}" if isinstance(row[c], float) else str(row[c]) for c in columns] for row in rows
    ]
    lines = [columns, *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  " + "  ".join(cell.rjust(size) for cell, size in zip(line, widths, strict=True)) for line in lines
    )
