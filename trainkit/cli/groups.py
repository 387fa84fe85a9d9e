"""The config groups: folders of YAML files that Hydra composes from, and what each file sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from trainkit.cli.settings import flatten, plain

__all__ = ["GLOBAL", "Groups"]

GLOBAL = "@package _global_"  # in the first line of a file whose keys are whole ones


@dataclass(frozen=True)
class Groups:
    """The options of the groups, and those that are chosen.

    Args:
        folders: Config folders; the first that has an option wins.
        choices: The chosen option of each group.
    """

    folders: tuple[Path, ...]
    choices: Mapping[str, str | None]

    @classmethod
    def of_this_job(cls) -> Groups:
        """The groups of the job that Hydra is running."""
        runtime = HydraConfig.get().runtime
        folders = [Path(source.path) for source in runtime.config_sources if source.schema == "file"]
        return cls(tuple(folder for folder in folders if folder.is_dir()), dict(runtime.choices))

    def options(self) -> dict[str, list[str]]:
        """The groups by name, and the options of each."""
        files = [file for folder in self.folders for file in folder.glob("[!.]*/*.yaml")]
        groups = sorted({file.parent.name for file in files})
        return {group: sorted({f.stem for f in files if f.parent.name == group}) for group in groups}

    def file(self, group: str) -> Path | None:
        """The file of the chosen option of a group, if it is one."""
        files = [folder / group / f"{self.choices.get(group)}.yaml" for folder in self.folders]
        return next((file for file in files if file.is_file()), None)

    def keys_set_by(self, group: str) -> set[str]:
        """The keys that the chosen option sets, and the groups whose option it chooses, for `experiment`."""
        file = self.file(group)
        return _keys(file) if file is not None else set()

    def comments(self, group: str) -> dict[str, str]:
        """The comments behind the keys of the chosen option: `{"task.units": "hidden layers"}`."""
        file = self.file(group)
        return _comments(file, group) if file is not None else {}


def _keys(file: Path) -> set[str]:
    content = OmegaConf.load(file)
    if not isinstance(content, DictConfig):
        return set()
    flat = flatten(plain(content))
    defaults = flat.pop("defaults", [])
    keys = {key for key, value in flat.items() if not isinstance(value, Mapping)}
    for entry in defaults:
        if isinstance(entry, Mapping):  # `override /optimizer: adam`
            keys |= {str(group).split()[-1].lstrip("/") for group in entry}
        elif (beside := file.with_name(f"{entry}.yaml")) != file and beside.is_file():
            keys |= _keys(beside)
    return keys


def _comments(file: Path, group: str) -> dict[str, str]:
    text = file.read_text(encoding="utf-8")
    top = () if GLOBAL in text.partition("\n")[0] else (group,)
    parents: list[tuple[int, str]] = []
    found = {}
    for line in text.splitlines():
        entry = re.match(r"( *)(\w+):(?:.*?\s#\s*(.*))?", line)
        if entry is None:
            continue
        indent = len(entry[1])
        parents = [parent for parent in parents if parent[0] < indent] + [(indent, entry[2])]
        if entry[3]:
            found[".".join((*top, *(name for _, name in parents)))] = entry[3].strip()
    return found
