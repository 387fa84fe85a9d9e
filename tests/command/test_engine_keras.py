"""`trainer.engine=keras` runs the same command through `model.fit`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.slow
def test_engine_keras_leaves_the_same_metrics_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainkit.cli import main

    monkeypatch.chdir(tmp_path)
    for engine in ("trainkit", "keras"):
        words = [
            "task=boston",
            "data.source=embedded",
            "trainer.epochs=6",
            f"run_dir={engine}",
            f"trainer.engine={engine}",
            "trainer.execution=step",
            "progress=none",
        ]
        assert main.main(words) == 0
    ours, theirs = (
        [line.rsplit(",", 1)[0] for line in (tmp_path / e / "metrics.csv").read_text().splitlines()]
        for e in ("trainkit", "keras")
    )
    assert ours == theirs
    assert len(ours) == 7
    assert (tmp_path / "keras" / "checkpoints" / "best").is_dir()
    assert (tmp_path / "keras" / "model.keras").is_file()
