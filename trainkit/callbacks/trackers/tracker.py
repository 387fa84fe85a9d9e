"""Hands a run on to a tracker of experiments: parameters, metrics, files and how it ended."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from trainkit.callbacks.observer import Observer
from trainkit.core import files
from trainkit.core.errors import UserError, one_line
from trainkit.core.logs import column

__all__ = ["Backend", "Tracker", "check_installed", "make_backend"]

CANNOT_READ = ("aim", "3.29.")  # package, and the beginning of its version
IDS = "tracker.json"  # in the run directory: under which id each tracker knows the run


class Backend(Protocol):
    """One run in one tracker."""

    name: str

    def start(self, run: str, known_as: str | None, settings: Mapping[str, str]) -> str:
        """Begin a run, or go on with the one `known_as`; returns its id."""
        ...

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Values of one epoch."""
        ...

    def finish(self, status: str, results: Mapping[str, float], artifacts: Sequence[Path]) -> None:
        """End the run: `completed`, `failed` or `preempted`."""
        ...


class Tracker(Observer):
    """Tells a tracker of a run. A tracker that fails is warned of once, and the training goes on.

    Args:
        backend: The tracker.
        run: The run directory; a run that is resumed there is one run in the tracker, too.
        settings: All settings.
        model: Whether to hand `model.keras` on.
    """

    def __init__(
        self, backend: Backend, run: Path, settings: Mapping[str, Any], *, model: bool = False
    ) -> None:
        super().__init__()
        self.backend = backend
        self.path = Path(run)
        self.settings = settings
        self.hands_on_model = model
        self._results: dict[str, float] = {}
        self._works = True

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._results = {}
        self._works = True
        ids = files.read_json(self.path / IDS)
        settings = {
            **_flat(self.settings),
            "data set": self.run.dataset.name,
            "execution": self.run.execution,
        }
        known = self._try(self.backend.start, self.path.name, ids.get(self.backend.name), settings)
        if known is not None:
            files.write_json(self.path / IDS, {**ids, self.backend.name: known})

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {_name(column(name)): float(value) for name, value in (logs or {}).items()}
        rates = {"learning_rate": self.record.learning_rate, "seconds": self.record.seconds}
        values |= {name: rate for name, rate in rates.items() if rate is not None}
        self._try(self.backend.log, values, epoch + 1)

    def write_results(
        self, results: Mapping[str, float], step: int, pictures: Mapping[str, bytes] | None = None
    ) -> None:
        """Keep the results for the end of the run."""
        self._results = {_name(name): float(value) for name, value in results.items()}

    def finish_run(self, status: str) -> None:
        """End the run in the tracker, with its files.

        Args:
            status: `completed`, `failed` or `preempted`.
        """
        names = ["config.yaml", "manifest.json", "summary.json", "metrics.csv", "report.html"]
        paths = [self.path / name for name in [*names, *(["model.keras"] if self.hands_on_model else [])]]
        paths += sorted((self.path / "plots").glob("*.png"))
        self._try(self.backend.finish, status, self._results, [path for path in paths if path.is_file()])

    def _try(self, call: Any, *arguments: Any) -> Any:
        """Call the tracker as long as it works."""
        if not self._works:
            return None
        try:
            return call(*arguments)
        except Exception as error:  # of a library, a server or a disk; the training is worth more
            self._works = False
            text = f"{type(error).__name__}: {one_line(str(error))[:200]}"
            warnings.warn(f"{self.backend.name} fails, and is told no more: {text}", stacklevel=2)
            return None


def check_installed(name: str) -> None:
    """Refuse a tracker whose package is missing, or is known not to work.

    Raises:
        UserError: with the line that installs it.
    """
    if name == "none":
        return
    install = f"install it with `pip install 'trainkit[{name}]'`."
    if importlib.util.find_spec(name) is None:
        raise UserError(f"callbacks.tracker.name={name} needs {name}, which is not installed; {install}")
    version = importlib.metadata.version(name)
    if name == CANNOT_READ[0] and version.startswith(CANNOT_READ[1]):
        raise UserError(
            f"callbacks.tracker.name={name}: {name} {version} finds none of the runs that it wrote; an older "
            f"one works: {install}"
        )


def make_backend(name: str, project: str, place: str | None, runs_dir: str) -> Backend:
    """The tracker of that name.

    Args:
        name: `mlflow`, `wandb` or `aim`.
        project: Project or experiment of the runs.
        place: Its server or folder; None: a folder of its own in the folder of runs.
        runs_dir: Folder of all runs.
    """
    where = place or str(Path(runs_dir, name).absolute())
    # Imported here: each needs a package of its own.
    if name == "mlflow":
        from trainkit.callbacks.trackers.mlflow_backend import MLflow

        return MLflow(project, where)
    if name == "aim":
        from trainkit.callbacks.trackers.aim_backend import Aim

        return Aim(project, where)
    from trainkit.callbacks.trackers.wandb_backend import WandB

    return WandB(project, where)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The settings that are set, by dotted key, as texts."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            found[f"{prefix}{key}"] = str(value)
    return found


def _name(name: str) -> str:
    """A metric's name in the characters that all trackers take."""
    return re.sub(r"[^\w/.\- ]+", "_", name, flags=re.ASCII) or "_"
