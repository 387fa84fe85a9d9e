"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("trainkit", "tensorflow", "keras", "numpy", "torch", "lightning", "jax", "jaxlib")


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
