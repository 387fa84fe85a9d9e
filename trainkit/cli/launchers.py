"""Runs the jobs of a multirun as processes of their own, on this machine or by Slurm: hydra/launcher=..."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from trainkit.cli import parent
from trainkit.core.errors import UserError, did_you_mean

__all__ = ["LAUNCHERS", "Launcher", "chosen_launcher", "is_of_a_launcher", "run_command"]

GROUP = "hydra/launcher="
SETTING = "hydra.launcher."
# The settings that a launcher takes, with a value of the kind that is expected.
LAUNCHERS: dict[str, dict[str, Any]] = {
    "basic": {},
    "joblib": {"n_jobs": -1},
    "submitit_local": {"timeout_min": 60, "cpus_per_task": 1, "gpus_per_node": 0},
    "submitit_slurm": {
        "timeout_min": 60,
        "cpus_per_task": 1,
        "gpus_per_node": 0,
        "mem_gb": 1,
        "slurm_partition": "",
        "slurm_array_parallelism": 256,
    },
}


@dataclass(frozen=True)
class Launcher:
    """Starts processes and waits for them.

    Args:
        name: One of `LAUNCHERS`.
        settings: Those that were given.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    def run(self, commands: Sequence[Sequence[str]], folder: Path) -> list[int]:
        """Run commands, each as a process, and return their exit codes.

        Args:
            commands: Their words.
            folder: For what they print: `job-1.log` and so on.

        Raises:
            UserError: if the launcher's package is not installed.
        """
        logs = [folder / f"job-{number}.log" for number in range(1, len(commands) + 1)]
        pairs = list(zip(commands, logs, strict=True))
        return self._by_joblib(pairs) if self.name == "joblib" else self._by_submitit(pairs, folder)

    def _by_joblib(self, pairs: Iterable[tuple[Sequence[str], Path]]) -> list[int]:
        try:
            import joblib
        except ImportError as error:
            raise _missing(self.name, "joblib") from error
        # Threads that wait for processes: each job is a process already.
        workers = joblib.Parallel(n_jobs=int(self.settings.get("n_jobs", -1)), prefer="threads")
        return [int(code) for code in workers(joblib.delayed(run_command)(*pair) for pair in pairs)]

    def _by_submitit(self, pairs: Iterable[tuple[Sequence[str], Path]], folder: Path) -> list[int]:
        try:
            import submitit
        except ImportError as error:
            raise _missing(self.name, "submitit") from error
        cluster = self.name.removeprefix("submitit_")
        executor = submitit.AutoExecutor(folder=folder / "submitit", cluster=cluster)
        executor.update_parameters(**self.settings)
        return [int(job.result()) for job in [executor.submit(run_command, *pair) for pair in pairs]]


def run_command(command: Sequence[str], log: Path) -> int:
    """Run one command as a process, with what it prints in a file, and return its exit code.

    The process saves its state and ends when this one dies: nobody would note how it ended.
    """
    with log.open("wb") as file:
        done = subprocess.run(
            [sys.executable, *command],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=parent.environment(),
        )
    return done.returncode


def is_of_a_launcher(word: str) -> bool:
    """Whether an override is one of a launcher, and no setting of a job."""
    return word.startswith((GROUP, SETTING))


def chosen_launcher(overrides: Iterable[str]) -> Launcher | None:
    """The launcher that overrides ask for; None: jobs run one after the other in this process.

    Raises:
        UserError: for a launcher or a setting of one that does not exist.
    """
    words = [word for word in overrides if is_of_a_launcher(word)]
    names = [word.removeprefix(GROUP) for word in words if word.startswith(GROUP)]
    name = names[-1] if names else "basic"
    if name not in LAUNCHERS:
        raise UserError(f"{GROUP}{name}: unknown; {did_you_mean(name, LAUNCHERS)}")
    settings: dict[str, Any] = {}
    for word in words:
        if word.startswith(SETTING):
            key, _, text = word.removeprefix(SETTING).partition("=")
            if key not in LAUNCHERS[name]:
                hint = did_you_mean(key, LAUNCHERS[name]) if LAUNCHERS[name] else f"add {GROUP}joblib."
                raise UserError(f"{word}: {name} has no setting {key}; {hint}")
            settings[key] = yaml.safe_load(text)
            if type(settings[key]) is not type(LAUNCHERS[name][key]):
                kind = "text" if isinstance(LAUNCHERS[name][key], str) else "a whole number"
                raise UserError(f"{word}: expected {kind}.")
    return None if name == "basic" else Launcher(name, settings)


def _missing(name: str, package: str) -> UserError:
    return UserError(
        f"{GROUP}{name} needs {package}, which is not installed: pip install 'trainkit[launchers]'."
    )
