"""The command `python -m trainkit`: from its words to jobs that are checked, and from what becomes of them to an exit code."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainkit import __version__
from trainkit.cli import compose
from trainkit.cli.commands import modes
from trainkit.cli.compose import Composed
from trainkit.cli.explain import explain
from trainkit.config import Config, validate
from trainkit.core import files
from trainkit.core.errors import UserError, one_line
from trainkit.core.task import Task
from trainkit.distributed import cluster, launcher
from trainkit.experiment.job import Job
from trainkit.runs import locate, run_dir
from trainkit.runs.locate import Found
from trainkit.runs.run_dir import RunDir


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments, those of the process by default, and return its exit code.

    0 done, 1 failed, 2 wrong use, 130 Ctrl-C, 143 SIGTERM. Whatever is wrong takes one line on stderr; TRAINKIT_TRACEBACK=1 adds the traceback.
    """
    try:
        return _main(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        print("trainkit: interrupted before the training started.", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get("TRAINKIT_TRACEBACK") == "1" or os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exc()
        if isinstance(error, UserError):
            print(f"trainkit: {one_line(str(error))}", file=sys.stderr)
            return 2
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__} at {where.filename}:{where.lineno}: {one_line(str(error))}"
        print(f"trainkit: {text} (TRAINKIT_TRACEBACK=1 shows the traceback)", file=sys.stderr)
        return 1


def _main(words: list[str]) -> int:
    if words[:1] == ["launch"]:
        return _launch(words[1:])
    if "--version" in words:
        print(f"trainkit {__version__}")
        return 0
    parsed = compose.arguments(words)
    if parsed.shows:
        return compose.show(words, parsed.overrides)
    if parsed.config_path or parsed.experimental_rerun:
        raise UserError(
            "--config-path and --experimental-rerun are not available; to repeat a run, use --config-dir <run> --config-name config."
        )
    with _surroundings():
        composed = compose.compose(parsed)
        plans = [_plan(one, words, parsed.config_dir) for one in composed]
        modes.start()
        jobs = [job() for job in plans]
        if len(jobs) == 1:
            return modes.run(jobs[0])
        return _several(jobs, composed)


def _launch(words: list[str]) -> int:
    """Check what the workers will be asked to do, once and here, and start them."""
    workers, words = launcher.workers_of(words)
    parsed = compose.arguments(words)
    if parsed.multirun or parsed.shows:
        raise UserError(
            "launch starts one training; --multirun and the flags that show something belong to the command without it."
        )
    composed = compose.compose(parsed)[0]
    with _surroundings():
        _plan(composed, words, parsed.config_dir)
    if composed.settings.mode != "fit":
        raise UserError(
            f"launch trains, with mode=fit; got mode={composed.settings.mode}, which one process does by itself."
        )
    return launcher.launch(workers, words)


def _several(jobs: list[Job], composed: list[Composed]) -> int:
    """The jobs of a multirun, one after the other; a signal ends them all, a failure only its own."""
    paths = [job.path for job in jobs if job.path is not None]
    if len(set(paths)) < len(paths):
        raise UserError(
            f"run_dir={paths[0]} would be the folder of {len(jobs)} runs; leave it out with -m, so that each gets its own."
        )
    modes.reserve_devices(jobs)
    done: list[dict[str, Any]] = []
    for number, (job, one) in enumerate(zip(jobs, composed, strict=True), 1):
        print(f"\n[{number}/{len(jobs)}] {' '.join(one.overrides)}", flush=True)
        try:
            code = modes.run(job)
        except UserError as error:
            print(f"trainkit: {one_line(str(error))}", file=sys.stderr)
            code = 2
        done.append(
            {
                "overrides": one.overrides,
                "run": str(job.path or (job.found and job.found.checkpoint)),
                "exit": code,
            }
        )
        if code > 2:
            break
    if any(one["exit"] != 2 for one in done):
        folder = run_dir.new_path(jobs[0].config.runs_dir, "multirun", None)
        path = files.write_json(folder / "jobs.json", {"jobs": done})
        print(
            f"\n{sum(one['exit'] == 0 for one in done)} of {len(jobs)} jobs done; listed in {files.shown(path)}"
        )
    return max(one["exit"] for one in done)


def _plan(composed: Composed, words: Sequence[str], config_dir: str | None) -> Callable[[], Job]:
    """Check everything that can be checked without TensorFlow; what comes back makes the task, and with it the job.

    Raises:
        UserError: for the first thing that is wrong; nothing has been created.
    """
    settings = composed.settings
    config = _checked(settings)
    found: Found | None = None
    path: Path | None = None
    changed: dict[str, tuple[Any, Any]] = {}
    if config.resume is not None or config.mode in modes.NEED_A_CHECKPOINT:
        prefer = ("best", "last") if config.mode in modes.NEED_A_CHECKPOINT else ("last",)
        found = locate.locate(
            config.resume, runs_dir=config.runs_dir, name=config.name, run_dir=config.run_dir, prefer=prefer
        )
        if found.run is not None:
            settings, changed = compose.continued(composed, found.run.path)
            config = _checked(settings)
    origin = _origin(found.run.path if found and found.run else None, config_dir)
    if cluster.helps(config.trainer.strategy):
        path = None  # the chief makes the run directory
    elif config.mode == "fit" and (found is None or found.run is None):
        path = run_dir.new_path(config.runs_dir, config.name, config.run_dir)
    elif config.mode == "parity":
        path = run_dir.new_path(config.runs_dir, "parity", config.run_dir)
    settings = compose.with_types(
        {**compose.plain(settings), "resume": None, "run_dir": None}
    )  # where a run lies is no part of what it is
    plain = compose.plain(settings, resolve=True)
    files = {
        run_dir.CONFIG: OmegaConf.to_yaml(OmegaConf.create(plain)),
        f".hydra/{run_dir.CONFIG}": OmegaConf.to_yaml(settings),
        ".hydra/overrides.yaml": OmegaConf.to_yaml(composed.overrides),
        ".hydra/hydra.yaml": composed.hydra,
    }
    extra = config.callbacks.extra
    return lambda: Job(
        config,
        _task(config.task),
        found,
        path,
        files,
        plain,
        lambda: _callbacks(extra),
        list(words),
        origin,
        changed,
    )


def _origin(resumed: Path | None, config_dir: str | None) -> str | None:
    """The config directory that a run's task came from, also if the run is repeated or resumed; its classes can be imported from now on."""
    for run in (resumed, Path(config_dir) if config_dir else None):
        if run is not None and (run / run_dir.CONFIG).is_file():
            config_dir = files.read_json(RunDir(run).manifest).get("config_dir") or config_dir
            break
    if config_dir is None:
        return None
    folder = Path(config_dir).resolve()
    sys.path += [str(p) for p in (folder, folder.parent) if str(p) not in sys.path]
    return str(folder)


def _checked(settings: DictConfig) -> Config:
    try:
        config = cast(Config, OmegaConf.to_object(settings))
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from error
    validate(config)
    return config


def _task(spec: Any) -> Task:
    task = _made(spec, "task")
    if not isinstance(task, Task):
        raise UserError(
            f"task._target_={spec['_target_']}: made {type(task).__name__}; expected a class derived from trainkit.Task."
        )
    return task


def _callbacks(specs: Sequence[Any]) -> list[Any]:
    import keras

    made = [_made(spec, "callbacks.extra") for spec in specs]
    for callback, spec in zip(made, specs, strict=True):
        if not isinstance(callback, keras.callbacks.Callback):
            raise UserError(
                f"callbacks.extra: {spec} made {type(callback).__name__}; expected {{_target_: a Keras callback, and its arguments}}."
            )
    return made


def _made(spec: Any, key: str) -> Any:
    """The object that `_target_` and its arguments describe."""
    if not isinstance(spec, Mapping) or not isinstance(spec.get("_target_"), str):
        raise UserError(
            f"{key}={spec}: expected {{_target_: <module>.<Class>, and its arguments}}, as in conf/task/mnist.yaml."
        )
    try:
        return hydra.utils.instantiate(spec, _convert_="all")
    except (InstantiationException, OmegaConfBaseException) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        text = (
            str(cause)
            if isinstance(cause, (UserError, HydraException))
            else f"{type(cause).__name__}: {cause}"
        )
        hint = (
            f" (looked in {', '.join(sys.path[:1])} and the config directory)"
            if isinstance(cause, ModuleNotFoundError)
            else ""
        )
        raise UserError(f"{key}._target_={spec['_target_']}: {text}{hint}") from error


def _plain_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning as people read it: ours without the place in our code that raised it."""
    if category.__module__.startswith("trainkit."):
        return f"Warning: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


@contextmanager
def _surroundings() -> Iterator[None]:
    """In the block, `_target_` finds the user's classes in the working directory too, as with every `python -m`; our warnings are plain."""
    before, format_before = list(sys.path), warnings.formatwarning
    warnings.formatwarning = _plain_warning
    sys.path[:0] = [os.getcwd()] if os.getcwd() not in sys.path else []
    try:
        yield
    finally:
        sys.path[:] = before
        warnings.formatwarning = format_before
