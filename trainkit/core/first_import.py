"""Around the first imports of TensorFlow and Keras after that of trainkit, whoever asks for them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

__all__ = ["Finder", "watch"]

NAMES = ("keras", "tensorflow")


def watch() -> None:
    """Let `trainkit.backend.startup` prepare the imports that are still to come."""
    if any(name not in sys.modules for name in NAMES):
        sys.meta_path.insert(0, Finder(NAMES, _Prepared))


class Finder:
    """A meta path finder that has modules of some names loaded in another way.

    Args:
        names: The modules, with their packages.
        loader: Makes a loader from the usual one.
    """

    def __init__(self, names: Collection[str], loader: Callable[[Loader], Loader]) -> None:
        self.names = names
        self.loader = loader

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname in self.names else None
        if spec is not None and spec.loader is not None:
            spec.loader = self.loader(spec.loader)
        return spec


class _Prepared(Loader):
    """A loader that is replaced by the usual one as soon as it is asked to load."""

    def __init__(self, usual: Loader) -> None:
        self.usual = usual

    def __getattr__(self, name: str) -> Any:
        return getattr(self.usual, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.usual.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self.usual
        module.__loader__ = self.usual
        startup = importlib.import_module("trainkit.backend.startup")
        with startup.starting():
            self.usual.exec_module(module)
