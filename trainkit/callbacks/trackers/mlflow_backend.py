"""MLflow: a server, or a database and a folder on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["MLflow"]

STATUSES = {"completed": "FINISHED", "failed": "FAILED", "preempted": "KILLED"}
MAX_VALUE = 6000  # characters of a parameter
BATCH = 100  # parameters that one call takes


class MLflow:
    """One run in MLflow.

    Args:
        project: Name of the experiment.
        place: Address of a server, as `http://...`; else a folder, which gets `mlflow.db` and `artifacts/`.
    """

    name = "mlflow"

    def __init__(self, project: str, place: str) -> None:
        import mlflow

        self.project = project
        self.artifacts: str | None = None
        if "://" not in place:
            folder = Path(place).absolute()
            folder.mkdir(parents=True, exist_ok=True)
            self.artifacts = (folder / "artifacts").as_uri()
            place = f"sqlite:///{folder / 'mlflow.db'}"
        self.client: Any = mlflow.MlflowClient(tracking_uri=place)
        self.id = ""

    def start(self, run: str, known_as: str | None, settings: Mapping[str, str]) -> str:
        if known_as is not None:
            self.id = known_as
            self.client.update_run(self.id, status="RUNNING")
            return self.id
        experiment = self.client.get_experiment_by_name(self.project)
        number = (
            experiment.experiment_id
            if experiment is not None
            else self.client.create_experiment(self.project, artifact_location=self.artifacts)
        )
        self.id = self.client.create_run(number, run_name=run).info.run_id
        from mlflow.entities import Param

        params = [Param(key.replace(" ", "_"), value[:MAX_VALUE]) for key, value in settings.items()]
        for i in range(0, len(params), BATCH):
            self.client.log_batch(self.id, params=params[i : i + BATCH])
        return self.id

    def log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.id, [Metric(name, value, now, step) for name, value in values.items()])

    def finish(self, status: str, results: Mapping[str, float], artifacts: Sequence[Path]) -> None:
        self.log(results, 0)
        for path in artifacts:
            folder = "plots" if path.parent.name == "plots" else None
            self.client.log_artifact(self.id, str(path), folder)
        self.client.set_terminated(self.id, STATUSES[status])
