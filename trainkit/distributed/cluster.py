"""The other processes of a training: how many workers the environment names, and whether this one leads them. Needs no TensorFlow."""

from __future__ import annotations

import json
import os
from typing import Any

from trainkit.core.errors import UserError


def workers() -> int:
    """Workers that `TF_CONFIG`, or else SLURM's environment, names; 1 without either.

    Raises:
        UserError: for a `TF_CONFIG` that is damaged, or that names jobs other than `worker` and `chief`.
    """
    config = _tf_config()
    if config:
        return sum(len(addresses) for addresses in config["cluster"].values())
    return (
        int(os.environ.get("SLURM_STEP_NUM_TASKS", os.environ.get("SLURM_NTASKS", "1"))) if by_slurm() else 1
    )


def by_slurm() -> bool:
    """Whether SLURM started this process as one of a step, and no `TF_CONFIG` says otherwise."""
    return (
        not os.environ.get("TF_CONFIG")
        and "SLURM_PROCID" in os.environ
        and "SLURM_STEP_NODELIST" in os.environ
    )


def chief() -> bool:
    """Whether this process writes the run directory: all do but the other workers of several."""
    config = _tf_config()
    if config:
        task = config.get("task", {})
        kind, index = task.get("type", "worker"), int(task.get("index", 0))
        return kind == "chief" or (index == 0 and "chief" not in config["cluster"])
    return not by_slurm() or os.environ["SLURM_PROCID"] == "0"


def helps(strategy: str) -> bool:
    """Whether this process is a worker that another one leads, with `trainer.strategy` as it is."""
    return strategy in ("auto", "multi_worker") and workers() > 1 and not chief()


def launched() -> bool:
    """Whether all workers are on this machine, as `launch` starts them."""
    config = _tf_config()
    return bool(config) and all(
        str(a).startswith("127.0.0.1:") for addresses in config["cluster"].values() for a in addresses
    )


def tf_config(addresses: list[str], index: int) -> str:
    """The `TF_CONFIG` of one of several workers."""
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


def _tf_config() -> dict[str, Any]:
    text = os.environ.get("TF_CONFIG")
    if not text:
        return {}
    try:
        config = dict(json.loads(text))
        cluster = dict(config["cluster"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"TF_CONFIG is not the JSON that TensorFlow expects, {{'cluster': {{'worker': [...]}}, 'task': ...}}: {error}"
        ) from error
    for job in set(cluster) - {"worker", "chief"}:
        raise UserError(
            f"TF_CONFIG names a {job} job, which trainkit does not use: every process must be a worker, or the chief. Remove it."
        )
    return config
