"""Prints the lowest versions that pyproject.toml names, as constraints for pip; for `make test-lowest`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

__all__ = ["lowest"]


def lowest(project: dict[str, object]) -> list[str]:
    """`name==version` for each requirement with a lower bound, also of the optional parts.

    Args:
        project: The table `[project]` of pyproject.toml.
    """
    dependencies, optional = project["dependencies"], project["optional-dependencies"]
    assert isinstance(dependencies, list)
    assert isinstance(optional, dict)
    parts = [lines for part, lines in optional.items() if part not in ("gpu", "bench")]
    lines = [*dependencies, *(line for part in parts for line in part)]
    found = (re.match(r"([\w-]+)(?:\[[\w,-]+\])?>=([\w.]+)", line) for line in lines)
    return [f"{match[1]}=={match[2]}" for match in found if match]


if __name__ == "__main__":
    with (Path(__file__).parents[2] / "pyproject.toml").open("rb") as file:
        print("\n".join(lowest(tomllib.load(file)["project"])))
