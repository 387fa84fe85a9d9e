"""Public names that are imported when they are first used, so that naming a package costs nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["public_names"]


def public_names(
    package: str,
    homes: Mapping[str, Iterable[str]],
    folders: Iterable[str] = (),
    before: Callable[[str], None] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package that imports the modules of its public names on first use.

    For the type checker the same names stand in an `if TYPE_CHECKING:` block of the package.

    Args:
        package: The package's `__name__`.
        homes: The public names of each module: `{"trainkit.core.task": ["Task"]}`.
        folders: Packages below it that are themselves public: `callbacks` for `trainkit.callbacks`.
        before: Called with a name before its module is imported.

    Example:
        >>> __getattr__, __dir__ = public_names(__name__, {"trainkit.core.task": ["Task"]})
    """
    home_of = {name: module for module, names in homes.items() for name in names}
    inside = set(folders)

    def get(name: str) -> Any:
        if before is not None and (name in inside or name in home_of):
            before(name)
        if name in inside:
            return importlib.import_module(f"{package}.{name}")
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home_of[name]), name)
        vars(sys.modules[package])[name] = value  # from now on found without a call
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of, *inside})

    return get, names
