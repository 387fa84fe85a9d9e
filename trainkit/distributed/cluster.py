"""The processes of a training as the environment names them: how many workers, and which one this is."""

from __future__ import annotations

import json
import os
from typing import Any

from trainkit.core.errors import UserError

__all__ = [
    "LOCALHOST",
    "addresses",
    "by_slurm",
    "is_chief",
    "is_follower",
    "is_local_launch",
    "own_address",
    "refuse_alone",
    "tf_config",
    "trains_together",
    "workers",
]

LOCALHOST = "127.0.0.1"


def workers() -> int:
    """The number of workers in `TF_CONFIG`, or else in SLURM's environment; 1 without either.

    Raises:
        UserError: for a `TF_CONFIG` that is damaged, or that names jobs other than `worker` and `chief`.
    """
    config = _tf_config()
    if config:
        return len(_addresses(config))
    if not by_slurm():
        return 1
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", os.environ.get("SLURM_NTASKS", "1")))


def by_slurm() -> bool:
    """Whether SLURM started this process as one of a step. `TF_CONFIG`, if set, takes precedence."""
    return (
        not os.environ.get("TF_CONFIG")
        and "SLURM_PROCID" in os.environ
        and "SLURM_STEP_NODELIST" in os.environ
    )


def is_chief() -> bool:
    """Whether this process is the chief, which alone writes the run directory. A single process is one."""
    config = _tf_config()
    if config:
        task = config["task"]
        return task["type"] == "chief" or (task["index"] == 0 and "chief" not in config["cluster"])
    return not by_slurm() or os.environ["SLURM_PROCID"] == "0"


def is_follower(strategy: str) -> bool:
    """Whether this process is a worker that follows another one's lead.

    Args:
        strategy: `trainer.strategy`.
    """
    return trains_together(strategy) and workers() > 1 and not is_chief()


def trains_together(strategy: str) -> bool:
    """Whether several workers with this `trainer.strategy` are one training; by others, each is its own."""
    return strategy in ("auto", "multi_worker")


def refuse_alone(strategy: str) -> None:
    """Refuse to train one of the workers of `TF_CONFIG` by itself, as each of them would.

    Tasks of a SLURM step may be trainings of their own, one for each seed, say: there, `one_device` says so.

    Raises:
        UserError: naming `trainer.strategy`.
    """
    if trains_together(strategy):
        return
    try:
        several = bool(_tf_config()) and workers() > 1
    except UserError:  # who trains alone need not know this cluster
        return
    if several:
        raise UserError(
            f"trainer.strategy={strategy}: TF_CONFIG names {workers()} workers, each of which would train by "
            "itself; expected trainer.strategy=auto or multi_worker. To train alone, unset TF_CONFIG."
        )


def is_local_launch() -> bool:
    """Whether all workers are on this machine, as `launch` starts them."""
    config = _tf_config()
    return bool(config) and all(address.startswith(f"{LOCALHOST}:") for address in _addresses(config))


def addresses() -> list[str]:
    """`host:port` of each worker in `TF_CONFIG`, which is set."""
    return _addresses(_tf_config())


def own_address() -> str:
    """That of this worker."""
    config = _tf_config()
    return str(config["cluster"][config["task"]["type"]][config["task"]["index"]])


def tf_config(addresses: list[str], index: int) -> str:
    """The `TF_CONFIG` of one of several workers.

    Args:
        addresses: `host:port` of each worker.
        index: Which of them this one is, from 0.
    """
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


def _addresses(config: dict[str, Any]) -> list[str]:
    return [str(address) for addresses in config["cluster"].values() for address in addresses]


def _tf_config() -> dict[str, Any]:
    """`TF_CONFIG` as a dict; empty if it is not set."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        return {}
    try:
        config = dict(json.loads(text))
        cluster = dict(config["cluster"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            "TF_CONFIG is not the JSON that TensorFlow expects, "
            f"{{'cluster': {{'worker': [...]}}, 'task': ...}}: {error}"
        ) from error
    for job in set(cluster) - {"worker", "chief"}:
        raise UserError(
            f"TF_CONFIG names a {job} job, which trainkit does not use: every process must be a worker, "
            "or the chief. Remove it."
        )
    cluster = {job: _listed(job, addresses) for job, addresses in cluster.items()}
    if sum(map(len, cluster.values())) < 2:  # one process, which nobody waits for
        return {**config, "cluster": cluster, "task": _task_alone(config.get("task"))}
    _check_addresses(cluster)
    return {**config, "cluster": cluster, "task": _task_of(config.get("task"), cluster)}


def _listed(job: str, addresses: Any) -> list[Any]:
    """The addresses of a job; TensorFlow also takes them by their numbers."""
    if isinstance(addresses, dict) and set(addresses) == {str(i) for i in range(len(addresses))}:
        return [addresses[str(i)] for i in range(len(addresses))]
    if not isinstance(addresses, list):
        raise UserError(f"TF_CONFIG: {job} is {addresses!r}; expected a list of host:port.")
    return addresses


def _check_addresses(cluster: dict[str, list[Any]]) -> None:
    seen: set[str] = set()
    for job, addresses in cluster.items():
        for address in addresses:
            host, _, port = str(address).rpartition(":")
            number = int(port) if port.isascii() and port.isdecimal() else 0
            if not isinstance(address, str) or not host or "/" in host or not 0 < number < 65536:
                raise UserError(
                    f"TF_CONFIG: the address {address!r} of a {job}; expected host:port, with a port from 1 "
                    "to 65535."
                )
            if address in seen:
                raise UserError(f"TF_CONFIG names {address} twice; each worker needs an address of its own.")
            seen.add(address)


def _task_alone(task: Any) -> dict[str, Any]:
    kind = task.get("type", "worker") if isinstance(task, dict) else "worker"
    if kind not in ("worker", "chief"):
        raise UserError(f"TF_CONFIG: task is {task!r}; expected a worker, or the chief.")
    return {"type": "chief", "index": 0}


def _task_of(task: Any, cluster: dict[str, list[Any]]) -> dict[str, Any]:
    kind, index = (task.get("type"), task.get("index")) if isinstance(task, dict) else (None, None)
    index = int(index) if isinstance(index, str) and index.isascii() and index.isdecimal() else index
    count = len(cluster.get(kind, ())) if isinstance(kind, str) else 0
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count:
        expected = " or ".join(
            f"{{'type': '{job}', 'index': 0{f' to {len(found) - 1}' if len(found) > 1 else ''}}}"
            for job, found in cluster.items()
            if found
        )
        raise UserError(f"TF_CONFIG: task is {task!r}, which is none of the cluster; expected {expected}.")
    return {"type": kind, "index": index}
