"""TensorBoard's event files hold what was logged, once, and what people need to compare runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata

from tests.support.observing import begin, end_epoch
from tests.support.toys import Toy
from tests.support.training import fit
from trainkit.callbacks.profile import Profile
from trainkit.callbacks.tensorboard import EventFile, TensorBoard

CONFIG = {"task": {"dropout": 0.0}, "trainer": {"epochs": 4}}
HPARAMS = {"learning_rate": 0.01, "optimizer": "Adam"}
Run = tuple[Path, dict[str, list[float]]]  # event files and history


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A training of four epochs, every second of them validated and with histograms."""
    folder = tmp_path_factory.mktemp("run")
    board = TensorBoard(folder, CONFIG, HPARAMS, histograms_every=2)
    _, history = fit(Toy(), epochs=4, validate_every=2, callbacks=[board])
    return folder, history


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def plugin_content(content: EventAccumulator, tag: str) -> bytes:
    return tf.make_ndarray(content.Tensors(tag)[0].tensor_proto).item()


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in events(folder).Scalars(tag)]


def test_training_and_validation_of_a_metric_stand_together(run: Run) -> None:
    folder, history = run
    for name in ("loss", "accuracy"):
        assert curve(folder, f"{name}/train") == list(zip([1, 2, 3, 4], history[name], strict=True))
        assert curve(folder, f"{name}/validation") == list(zip([2, 4], history[f"val_{name}"], strict=True))
    rates = curve(folder, "rates/learning_rate")
    assert [step for step, _ in rates] == [1, 2, 3, 4]
    assert all(value == pytest.approx(0.01) for _, value in rates)
    assert all(value > 0 for _, value in curve(folder, "rates/examples_per_second"))


def test_a_run_is_one_entry(run: Run) -> None:
    assert {path.parent for path in run[0].rglob("*tfevents*")} == {run[0]}


def test_the_results_of_a_training_stand_beside_its_curves(tmp_path: Path) -> None:
    board = begin(TensorBoard(tmp_path, {}, {}, graph=False, trial="a"))
    end_epoch(board, 1)
    board.on_train_end()
    board.write_results({"test/loss": 0.25}, 1, {"confusion": b"png"})
    assert curve(tmp_path, "test/loss") == [(1, 0.25)]
    content = events(tmp_path)
    assert content.Images("pictures/confusion")[0].encoded_image_string == b"png"
    start = content.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    assert metadata.parse_session_start_info_plugin_data(start).group_name == "a"
    assert metadata.SESSION_END_INFO_TAG in content.summary_metadata


def test_what_is_written_last_is_read_last(tmp_path: Path) -> None:
    """Also by the tenth file of a second: TensorBoard's writer names it so that it comes before the ninth."""
    for number in range(12):
        file = EventFile(tmp_path)
        file.add(1, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
        value = summary_pb2.Summary.Value(tag="loss", simple_value=number)
        file.add(1, summary=summary_pb2.Summary(value=[value]))
        file.close()
        assert curve(tmp_path, "loss") == [(1, number)]


def test_an_event_that_cannot_be_written_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = EventFile(tmp_path)

    def full(data: bytes) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(file._records, "write", full)
    file.add(1)
    with pytest.raises(OSError, match="No space left"):
        file.close()


def test_a_full_disk_ends_the_events_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = begin(TensorBoard(tmp_path, {}, {}, graph=False))

    def full(self: EventFile, data: bytes) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(EventFile, "_write", full)
    with pytest.warns(UserWarning, match=r"^TensorBoard is written no more: No space .*$") as told:
        _end_with_results(board)
    assert len(told) == 1


def _end_with_results(board: TensorBoard) -> None:
    for epoch in (1, 2, 3):
        end_epoch(board, epoch)
    board.on_train_end()
    board.write_results({"test/loss": 0.5}, 3)


def test_rates_are_written_where_they_are_known(tmp_path: Path) -> None:
    board = begin(TensorBoard(tmp_path, {}, {}, graph=False))
    end_epoch(board, 1, roofline_fraction=0.5)
    board.on_train_end()
    assert curve(tmp_path, "rates/roofline_fraction") == [(1, 0.5)]
    assert "rates/loss_scale" not in events(tmp_path).Tags()["scalars"]


def test_a_metric_of_any_name_has_a_curve(tmp_path: Path) -> None:
    names = ('a, "b"', "top/5", "../up", "", "größe")
    board = begin(TensorBoard(tmp_path, {}, {}, graph=False), logged=names)
    end_epoch(board, 1, dict.fromkeys(names, 0.5))
    board.on_train_end()
    assert all(curve(tmp_path, f"{name}/train") == [(1, 0.5)] for name in names)


def test_settings_data_hyper_parameters_and_the_forward_pass_are_told(run: Run) -> None:
    folder = run[0]
    content = events(folder)
    text = {
        tag: tf.make_ndarray(content.Tensors(tag)[0].tensor_proto).item().decode()
        for tag in ("config", "dataset")
    }
    assert json.loads(text["config"]) == CONFIG
    assert "**unnamed** from `memory`" in text["dataset"]
    plugin = content.summary_metadata
    session = plugin[metadata.SESSION_START_INFO_TAG].plugin_data.content
    given = metadata.parse_session_start_info_plugin_data(session).hparams
    told = {name: value.string_value or value.number_value for name, value in given.items()}
    assert told == {**HPARAMS, "data set": "unnamed", "execution": "epoch"}
    layout = layout_pb2.Layout.FromString(plugin_content(content, "custom_scalars__config__"))
    assert [chart.title for chart in layout.category[0].chart] == ["loss", "accuracy"]
    assert list(layout.category[0].chart[0].multiline.tag) == ["^loss/train$", "^loss/validation$"]
    assert sum(node.op == "MatMul" for node in content.Graph().node) == 2


def test_histograms_are_of_the_weights_of_their_epoch(run: Run) -> None:
    content = events(run[0])
    tags = [tag for tag in content.Tags()["tensors"] if tag.startswith("weights/")]
    assert len(tags) == 4
    for tag in tags:
        first, second = content.Tensors(tag)
        assert (first.step, second.step) == (2, 4)
        assert not np.array_equal(tf.make_ndarray(first.tensor_proto), tf.make_ndarray(second.tensor_proto))


@pytest.mark.slow
def test_histograms_and_graph_are_written_on_demand(tmp_path: Path) -> None:
    fit(Toy(), epochs=1, callbacks=[TensorBoard(tmp_path, {}, {}, graph=False)])
    without = events(tmp_path).Tags()
    assert not any(tag.startswith("weights/") for tag in without["tensors"])
    assert not without["graph"]


def test_a_resumed_run_has_every_epoch_once(tmp_path: Path) -> None:
    """What a crash left behind after the checkpoint is not drawn."""
    for first, last in ((0, 4), (2, 3)):
        board = begin(TensorBoard(tmp_path, {}, {}, graph=False), initial_epoch=first)
        for number in range(first + 1, last + 1):
            end_epoch(board, number, {"loss": 0.5 + first, "val_loss": 0.75 + first})
        board.on_train_end()
    assert curve(tmp_path, "loss/train") == [(1, 0.5), (2, 0.5), (3, 2.5)]
    assert curve(tmp_path, "loss/validation") == [(1, 0.75), (2, 0.75), (3, 2.75)]


@pytest.mark.parametrize(("epochs", "first", "traced"), [(4, 0, 2), (1, 0, 1), (4, 2, 4), (3, 2, 3)])
def test_profile_traces_the_second_epoch_of_a_process_or_its_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int, first: int, traced: int
) -> None:
    told: list[str] = []
    profile = Profile(tmp_path)
    monkeypatch.setattr(tf.profiler.experimental, "start", lambda folder: told.append(f"start {folder}"))
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: told.append("stop"))
    profile.set_params({"epochs": epochs})
    for _ in range(2):  # a second training begins anew
        profile.on_train_begin()
        for epoch in range(first, epochs):
            profile.on_epoch_begin(epoch)
            told.append(f"epoch {epoch + 1}")
            profile.on_epoch_end(epoch)
        profile.on_train_end()
        at = told.index(f"epoch {traced}")
        assert told[at - 1 : at + 2] == [f"start {tmp_path}", f"epoch {traced}", "stop"]
        assert told.count("stop") == 1
        told.clear()
