"""Wrong words: one line on stderr, exit code 2, and nothing on the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import QUIET
from trainkit.cli import main


@pytest.mark.in_parts(2)
@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trainer.epoch=3"], "trainer.epochs"),
        (["epochs=3"], "trainer.epochs"),
        (["+trainer.epoch=3"], "trainer.epochs"),
        (["task.row=3"], "task.rows"),
        (["callback=none"], "callbacks"),
        (["task=minst"], "did you mean mnist?"),
        (["trainer.lr=3"], "did you mean optimizer.learning_rate?"),
        (["optimizer.learning_rate=0,001"], "or optimizer.learning_rate=0.001 if it is one number."),
        (["optimizer=adm"], "did you mean adam?"),
        (["optimizer.name=adm"], "did you mean adam?"),
        (["callbacks=early_stoping"], "early_stopping"),
        (["checkpoint.monitor=val_acuracy"], "val_accuracy"),
        (["callbacks.early_stopping.enabled=true", "callbacks.early_stopping.monitor=val_los"], "val_loss"),
        (["callbacks.extra=[{_target_: keras.callbacks.EarlyStopping, monitor: val_acc}]"], "val_accuracy?"),
        (
            ["checkpoint.every_epochs=2", 'checkpoint.pattern="{epoch}-{val_acc}"'],
            "did you mean val_accuracy?",
        ),
        (["checkpoint.every_epochs=2", 'checkpoint.pattern="{epoch}{val_loss:d}"'], "does not fit"),
        (["mode=evaluat"], "evaluate"),
        (["mode=test"], "did you mean evaluate?"),
        (["mode=reprot"], "did you mean report?"),
        (["trainer.epochs=-1"], "at least 1"),
        (["trainer.epochs=many"], "a whole number"),
        (["trainer.epochs=1.5"], "a whole number"),
        (["trainer.epochs=null"], "not null"),
        (["trainer.epochs"], "key=value"),
        (
            ["mode=predict", "predict.path=a.csv", "predict.split=train"],
            "predict.split=train is not read with",
        ),
        (["trainer=3"], "trainer has epochs"),
        (["trainer.deterministic=perhaps"], "true or false"),
        (["trainer.batch_size=0"], "at least 1"),
        (["trainer.batch_size=1000"], "larger than the data"),
        (["trainer.replicas=200"], "a batch has 8 rows"),
        (["trainer.precision=float7"], "float32"),
        (["trainer.engine=keras", "trainer.steps=10"], "instead of trainer.steps"),
        (["trainer.engine=keras", "trainer.on_nonfinite=skip"], "undoes steps, which model.fit cannot"),
        (["trainer.engine=keras", "checkpoint.every_steps=2"], "every_steps=2 needs trainer.engine=trainkit"),
        (["trainer.epochs=1,2"], "add -m"),
        (["optimizer.learning_rate=0"], "greater than 0"),
        (["optimizer.learning_rate=nan"], "greater than 0"),
        (["optimizer=sgd", "optimizer.options.momentun=0.9"], "momentun"),
        (["data.validation=1"], "less than 1"),
        (["checkpoint.pattern=all"], "{epoch}"),
        (["name=a/b"], "folder's name"),
        (["run_dir=../my/mine.py/run"], "Not a directory"),
        (["run_dir=../my"], "already holds something"),
        (["--epochs=3"], "written without dashes"),
        (["--config-name", "nothing"], "nothing"),
        (["--config-dir", "../my"], "--config-dir: given twice"),
        (["task._target_=nowhere.Task"], "No module named 'nowhere'"),
        (["task._target_=mine.Absent"], "Absent; known: Tiny, Shuffled, Cut, Unfinished, Kill, Break, make_"),
        (["task._target_=mine.Tin"], "mine has no Tin; did you mean Tiny?"),
        (["task._target_=mine.mak_tiny"], "did you mean make_tiny?"),
        (["task.sizes.x=3"], "unexpected keyword argument 'sizes'"),
        (
            ["callbacks.extra=[{_target_: keras.callbacks.TerminateOnNan}]"],
            "keras.callbacks has no TerminateOnNan; did you mean TerminateOnNaN?",
        ),
        ([f"name={'x' * 300}"], "expected at most 200 letters"),
        ([f"run_dir={'x' * 300}"], "(300 characters) is too long a name for this disk; give a shorter one"),
        ([f"resume={'x' * 300}"], "too long a name"),
        ([f"data.path={'x' * 300}", "data.target=y", "task=tabular_regression"], "too long a name"),
        (["task._target_=mine.Unfinished"], "Unfinished"),
        (["task._target_=collections.OrderedDict"], "derived from trainkit.Task"),
        (["+task.height=3"], "unexpected keyword argument 'height'; known: rows, width, nan."),
        (["+task.with=3"], "did you mean width? Known: rows, width, nan."),
        (["task.nan=true"], "NaN"),
        (["task.width=3"], "does not fit its labels"),
        (["callbacks.extra=[{_target_: collections.OrderedDict}]"], "a Keras callback"),
        (["callbacks.extra=[3]"], "_target_"),
        (["mode=evaluate"], "no run"),
        (["mode=evaluate", "predict.path=x.csv"], "mode=evaluate does not read predict.path"),
        (["mode=export", "predict.path=x"], "a setting of mode=predict: leave predict.path=x out"),
        (["mode=compare", "resume=runs/none"], "name runs as words"),
        (["mode=report", "evaluate.baselines=true"], "or set mode=evaluate"),
        (["tune=random"], "or set mode=tune"),
        (["mode=parity", "fit.seeds=2"], "or set mode=fit"),
        (["mode=parity", "trainer.epochs=2"], "leave trainer.epochs=2 out, and set parity.epochs."),
        (["mode=parity", "trainer.fast_kernels=true"], "leave trainer.fast_kernels=true out."),
        (["mode=evaluate", "resume=.."], "is no run"),
        (["mode=predict", "resume=nowhere"], "is no folder"),
        (["resume=last"], "no run"),
        (["-m", "trainer.epochs=1,-1"], "at least 1"),
        (["-m", "trainer.epochs=1,many"], "a whole number"),
        (["-m", "run_dir=a", "trainer.epochs=1,2"], "leave it out"),
        (["hydra/launcher=joblib"], "starts the jobs of a multirun; add -m"),
        (["-m", "hydra/launcher=jolib", "trainer.seed=0,1"], "did you mean joblib?"),
        (
            ["-m", "hydra/launcher=joblib", "hydra.launcher.jobs=2", "trainer.seed=0,1"],
            "did you mean n_jobs?",
        ),
        (["-m", "hydra.launcher.n_jobs=2", "trainer.seed=0,1"], "basic has no setting n_jobs"),
        (["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=a", "trainer.seed=0,1"], "a whole number"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_one_line_and_leaves_nothing(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert train(*words) == 2
    text = capsys.readouterr().err
    assert expected in text
    assert text.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


def test_a_config_folder_that_is_not_there_is_refused(
    empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["--config-dir", "nope"]) == 2
    assert "--config-dir nope: no such folder; expected one with options" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["truncated", "wrong shape"])
def test_a_broken_file_is_one_line_and_leaves_nothing(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "mnist.npz"
    images, labels = np.zeros((9, 7, 7), np.uint8), np.zeros(9, np.uint8)
    np.savez(file, x_train=images, y_train=labels, x_test=images, y_test=labels)
    if kind == "truncated":
        file.write_bytes(file.read_bytes()[:200])
    assert main.main(["task=mnist", f"data.dir={tmp_path}", "data.source=mnist", *QUIET]) == 2
    text = capsys.readouterr().err
    assert "mnist.npz" in text
    assert text.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []
