"""The manifest of a run: the code, versions, devices and data that are needed to repeat it."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from trainkit.core.datasets import Source

__all__ = ["describe", "git"]

PACKAGES = ("trainkit", "tensorflow", "keras", "numpy", "hydra-core")


def describe(argv: Sequence[str], seed: int, source: Source, devices: str) -> dict[str, Any]:
    """The content of `manifest.json`.

    Args:
        argv: Arguments of the command.
        seed: Seed of weights, row order and dropout.
        source: The data set that was really used.
        devices: The devices that compute, for people.
    """
    return {
        "argv": list(argv),
        "directory": str(Path.cwd()),
        "git": git(Path.cwd()) or git(Path(__file__).parent),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "platform": platform.platform(),
        "devices": devices,
        "seed": seed,
        "dataset": asdict(source),
    }


def git(folder: Path) -> dict[str, Any]:
    """Commit of the repository around `folder`, and whether files differ from it; empty without one."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        # A checkout that is not installed, or a build of TensorFlow under another name.
        return getattr(sys.modules.get(package), "__version__", None)
