"""A checkpoint knows its variables by name, and the former format is still read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import Toy
from tests.support.training import difference, fit, weights
from trainkit.checkpoint import members, store
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.trainer.trainer import Trainer

PLACES = 200


@dataclass(frozen=True)
class Named(Toy):
    """The model of `Toy` with a layer of another name: all shapes are equal."""

    layer: str = "encoder"

    def model(self, train: object) -> keras.Model:
        hidden = keras.layers.Dense(8, activation="relu", name=self.layer)
        return keras.Sequential([keras.Input((6,)), hidden, keras.layers.Dense(3, activation="softmax")])


def prepared(task: Task) -> Trainer:
    trainer = Trainer(epochs=1, batch_size=16)
    trainer.prepare(task)
    return trainer


def test_equal_shapes_under_another_name_are_refused_by_name(tmp_path: Path) -> None:
    trainer, _ = fit(Named(), epochs=1)
    trainer.save_checkpoint(tmp_path / "c")
    with pytest.raises(UserError, match=r"encoder.*there.*decoder.*here"):
        prepared(Named(layer="decoder")).restore(tmp_path / "c")


def test_the_numbers_that_keras_counts_up_are_no_names(tmp_path: Path) -> None:
    first, _ = fit(Toy(), epochs=1)
    first.save_checkpoint(tmp_path / "c")
    second = prepared(Toy())
    assert first.state.names != second.state.names
    second.restore(tmp_path / "c")
    assert all(np.array_equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


def former(trainer: Trainer, folder: Path, number: int) -> Path:
    """The state of a trainer as the formats 1 and 2 kept it."""
    state = trainer.state
    folder.mkdir()
    tf.train.Checkpoint(**{g: list(v) for g, v in state.groups.items()}).write(str(folder / "state"))
    variables = [
        [name, list(v.shape), v.dtype.name] for name, v in zip(state.names, state.variables, strict=True)
    ]
    meta: dict[str, Any] = {"position": state.position(), "variables": variables}
    if number == 1:
        unnamed = [["Variable:0", *rest] for _, *rest in variables]
        meta |= {"memory": {"execution": "epoch"}, "held": {}, "variables": unnamed}
    else:
        np.savez(folder / "callbacks.npz", allow_pickle=False, **{"mine/kept": np.arange(3)})
        callbacks = {"mine": {"kept": {"array": "mine/kept"}, "count": 4}}
        meta |= {"format": 2, "execution": "epoch", "callbacks": callbacks}
    (folder / store.META).write_text(json.dumps(meta))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_former_formats_are_read(number: int, tmp_path: Path) -> None:
    whole, _ = fit(Toy(dropout=0.3), epochs=3)
    first, _ = fit(Toy(dropout=0.3), epochs=2)
    folder = former(first, tmp_path / "c", number)
    rest, _ = fit(Toy(dropout=0.3), epochs=3, resume=folder)
    assert difference(whole, rest) == 0.0
    if number == 2:
        kept = store.restore(first.state, folder)["callbacks"]["mine"]
        assert kept["count"] == 4
        assert kept["kept"].tolist() == [0, 1, 2]


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    folder = prepared(Toy()).save_checkpoint(tmp_path / "c")
    meta = json.loads((folder / store.META).read_text())
    (folder / store.META).write_text(json.dumps({**meta, "format": store.FORMAT + 1}))
    with pytest.raises(UserError, match="Use a newer trainkit"):
        prepared(Toy()).restore(folder)


def test_a_changed_byte_anywhere_is_found(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """And nothing of the state is changed then."""
    trainer = prepared(Toy(batch_norm=True))
    folder = store.save(trainer.state, tmp_path / "c", callbacks={"mine": {"kept": np.arange(5.0)}})
    members.check(folder)
    before = weights(trainer)
    random = np.random.default_rng(0)
    record_property("faults", PLACES)  # for tests.faults.report
    for _ in range(PLACES):
        path = random.choice(sorted(folder.iterdir()))
        content = path.read_bytes()
        place = int(random.integers(len(content)))
        changed = bytearray(content)
        changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        same = path.name == store.META and loads(bytes(changed)) == json.loads(content)
        if not same:  # a blank between two values may become a line break
            with pytest.raises(UserError, match=r"damaged|no checkpoint|newer"):
                trainer.restore(folder)
        path.write_bytes(content)
    trainer.restore(folder)
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(trainer), strict=True))


def loads(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def test_what_is_no_plain_file_of_the_right_size_is_never_read(tmp_path: Path) -> None:
    trainer = prepared(Toy())
    for number, spoil in enumerate([truncate, remove, link_away, claim_a_terabyte, name_objects]):
        folder = trainer.save_checkpoint(tmp_path / str(number))
        spoil(folder)
        with pytest.raises(members.Damaged):
            members.check(folder)
    assert members.newest_good(tmp_path) is None
    good = trainer.save_checkpoint(tmp_path / "good")
    assert members.newest_good(tmp_path) == good


def truncate(folder: Path) -> None:
    path = folder / "variables.bin"
    path.write_bytes(path.read_bytes()[:-1])


def remove(folder: Path) -> None:
    (folder / "callbacks.bin").unlink()


def link_away(folder: Path) -> None:
    path = folder / "variables.bin"
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")


def claim_a_terabyte(folder: Path) -> None:
    rewrite(folder, [1 << 38], "float32")


def name_objects(folder: Path) -> None:
    rewrite(folder, [1], "object")


def rewrite(folder: Path, shape: list[int], kind: str) -> None:
    """Change what the manifest says of its first variable, with the right checksum."""
    meta = json.loads((folder / store.META).read_text())
    del meta["checksum"]
    meta["variables"][0][1:3] = [shape, kind]
    text = json.dumps(meta, sort_keys=True)
    meta["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / store.META).write_text(json.dumps(meta))
