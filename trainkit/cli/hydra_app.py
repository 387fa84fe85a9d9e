"""Runs Hydra's command in this process: it reads config files and overrides, and hands over the settings."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from trainkit.config import Config
from trainkit.core import checkout
from trainkit.core.errors import UserError

__all__ = ["CONF", "ERRORS", "PLAIN_HYDRA", "key_of", "run_hydra"]

CONF = checkout.root() / "conf"

# trainkit makes its run directories itself: Hydra makes none, stays in its directory and sets up no logging.
PLAIN_HYDRA = (
    "hydra.run.dir=.",
    "hydra.output_subdir=null",
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
)

# What a wrong command line or config file raises.
ERRORS = (HydraException, OmegaConfBaseException, YAMLError, ValueError, OSError, RuntimeError)

ConfigStore.instance().store(name="schema", node=Config)


def run_hydra(words: Sequence[str], function: Callable[[DictConfig], Any]) -> int:
    """Run Hydra's command with these words; `function` receives the settings of each job.

    Returns:
        The exit code.

    Raises:
        Exception: one of `ERRORS`, for words or config files that are wrong.
        UserError: for a config with callbacks of Hydra.
    """
    argv = sys.argv
    full = os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [argv[0], *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise errors instead of printing them
    try:
        with _without_callbacks(), _composed_once(words):
            hydra.main(version_base="1.3", config_path=str(CONF.resolve()), config_name="main")(function)()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = argv
        if full is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full
    return 0


@contextmanager
def _without_callbacks() -> Iterator[None]:
    """In the block Hydra makes no objects of `hydra.callbacks`: it would do so before any setting is checked,
    whatever they are."""

    def refuse(config: Any, *args: Any, **kwargs: Any) -> Any:
        target = config.get("_target_") if hasattr(config, "get") else config
        raise UserError(
            f"hydra.callbacks: {target}: trainkit runs no callbacks of Hydra; callbacks.extra takes those of "
            "Keras."
        )

    make = hydra.utils.instantiate
    hydra.utils.instantiate = refuse
    try:
        yield
    finally:
        hydra.utils.instantiate = make


@contextmanager
def _composed_once(words: Sequence[str]) -> Iterator[None]:
    """In the block Hydra does not compose all settings an additional time, only to look whether a config file
    sets `hydra.mode`, where none but our own can: they set none. That takes a tenth of a second."""
    read = Hydra.get_mode
    if not any(word.startswith("--config") or "hydra.mode" in word or "searchpath" in word for word in words):
        Hydra.get_mode = lambda *args, **kwargs: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        Hydra.get_mode = read  # type: ignore[method-assign]


def key_of(override: str) -> str:
    """The key, or group, that an override names: `+trainer.epochs=3` -> `trainer.epochs`."""
    return re.split(r"[=@]", override.lstrip("+~"), maxsplit=1)[0]
