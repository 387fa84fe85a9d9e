"""What is searched, how the next settings are chosen, and the files that survive a killed process."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainkit.config import TuneConfig
from trainkit.core.errors import UserError
from trainkit.tuning.lease import Lease, LeaseKeeper
from trainkit.tuning.space import Parameter, Space
from trainkit.tuning.storage import JournalFile
from trainkit.tuning.study import SearchStudy

SPACE = {
    "optimizer": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
    "trainer.batch_size": {"choices": [16, 32]},
    "task.units": [[8], [8, 8]],
    "task.width": {"low": 1, "high": 7, "step": 2},
}


def test_sections_and_dotted_keys_mean_the_same() -> None:
    space = Space.of(SPACE)
    assert space.keys == ["optimizer.learning_rate", "trainer.batch_size", "task.units", "task.width"]
    assert space.parameters[3].points() == [1, 3, 5, 7]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, "expected {low"),
        ({"lo": 1, "high": 2}, "did you mean low?"),
        ({"low": 1}, "high=None is no number"),
        ({"low": 2, "high": 1}, "low=2 is not below high=1"),
        ({"low": 0, "high": 1, "log": True}, "log=true needs low above 0"),
        ({"low": 1, "high": 2, "log": True, "step": 1}, "log=true goes without step"),
        ({"low": 1, "high": 2, "step": 0}, "step=0 is not above 0"),
        ({"low": 1, "high": float("inf")}, "high=inf is no number"),
        ({"choices": []}, "expected a list of values"),
        ({"choices": 3}, "expected a list of values"),
        ({"choices": [1, 1]}, "1 is there twice"),
        ({"choices": [1], "low": 2}, "choices go without low"),
    ],
)
def test_a_wrong_parameter_takes_one_line(given: Any, words: str) -> None:
    with pytest.raises(UserError) as error:
        Parameter.of("task.width", given)
    assert words in str(error.value)
    assert str(error.value).startswith("tune.space.task.width")
    assert "\n" not in str(error.value)


CHOICES = st.lists(
    st.one_of(st.none(), st.booleans(), st.text(max_size=3), st.lists(st.integers(1, 9), max_size=3)),
    min_size=1,
    max_size=5,
    unique_by=json.dumps,
)


@given(CHOICES)
def test_choices_come_back_as_they_were_given(choices: list[Any]) -> None:
    parameter = Parameter.of("key", {"choices": choices})
    assert [parameter.decode(parameter.encode(choice)) for choice in choices] == choices


def test_a_grid_has_every_point_once() -> None:
    space = Space.of({"a": {"choices": [1, 2]}, "b": {"low": 0.0, "high": 0.3, "step": 0.1}, "c": [[1], [2]]})
    points = [tuple(space.grid_point(i).values()) for i in range(space.grid_size())]
    assert len(points) == 16 == len(set(points))
    with pytest.raises(UserError, match="tune=grid needs a step or choices"):
        Space.of({"a": {"low": 0.0, "high": 1.0}}).grid_size()


# The study.


def study_in(folder: Path, kind: str = "random", trials: int | None = 6, **settings: Any) -> SearchStudy:
    folder.mkdir(exist_ok=True)
    space = Space.of({"x": {"low": 0.0, "high": 1.0, "step": 0.25}, "c": {"choices": [[1], [2]]}})
    config = TuneConfig(kind=kind, trials=trials, population=2, **settings)
    return SearchStudy(folder, "study", config, space, ["minimize"], 10)


def work(study: SearchStudy, count: int = 99) -> list[dict[str, Any]]:
    """Finish so many trials, with a value that depends on their settings alone."""
    found = []
    while len(found) < count and (held := study.take()) is not None:
        study.finish(held, [held.settings["x"] + held.settings["c"][0]], 0.5)
        found.append(dict(held.settings))
    return found


@pytest.mark.parametrize("kind", ["grid", "random", "bayesian", "genetic"])
def test_a_search_in_pieces_equals_one_in_one_piece(kind: str, tmp_path: Path) -> None:
    trials = None if kind == "grid" else 16
    whole = study_in(tmp_path / "a", kind, trials)
    work(whole)
    assert len(whole.entries()) == (10 if kind == "grid" else 16)
    for count in (3, 1, 4, 99):
        work(study_in(tmp_path / "b", kind, trials), count)
    assert study_in(tmp_path / "b", kind, trials).entries() == whole.entries()
    assert whole.best()[0].values[0] == min(entry.values[0] for entry in whole.entries())


def test_a_trial_whose_settings_were_not_yet_noted_gets_them_again(tmp_path: Path) -> None:
    whole = study_in(tmp_path / "a")
    work(whole)
    journal = (tmp_path / "a" / "study.journal").read_bytes().splitlines(keepends=True)
    for end in range(2, len(journal)):
        folder = tmp_path / "b"
        folder.mkdir(exist_ok=True)
        for file in folder.glob("trials/*/lease.json"):
            file.unlink()
        torn = b"".join(journal[:end]) + journal[end][: len(journal[end]) // 2]
        (folder / "study.journal").write_bytes(torn)
        cut = study_in(folder)
        work(cut)
        assert cut.entries() == whole.entries(), f"cut in line {end}"


def test_a_failed_trial_keeps_its_reason(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    held = study.take()
    assert held is not None
    study.fail(held, "the lamp went out", 1.0)
    work(study)
    states = [(entry.state, entry.reason) for entry in study.entries()]
    assert states == [("failed", "the lamp went out")] + [("complete", "")] * 5


def test_importances_of_many_choices_are_there_at_once(tmp_path: Path) -> None:
    """What enumerates the subsets of the choices ends in minutes for 25 of them, and never for 50."""
    choices = [0.01 * 1.1**i for i in range(50)]
    space = Space.of({"x": {"choices": choices}, "c": {"choices": [[1], [2]]}})
    study = SearchStudy(tmp_path, "study", TuneConfig(kind="grid", trials=None), space, ["minimize"], 10)
    work(study)
    found = study.importances()
    assert set(found) == {"x", "c"}
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["c"] > found["x"], "which changes the value by 1"


def test_two_processes_never_hold_one_trial(tmp_path: Path) -> None:
    first, second = study_in(tmp_path), study_in(tmp_path)
    held = [study.take() for study in (first, second, first, second)]
    assert len({one.number for one in held if one is not None}) == 4
    assert held[1] is not None
    held[1].lease.release()  # as when its process ends
    again = first.take()
    assert again is not None
    assert (again.number, again.settings) == (held[1].number, held[1].settings)


def test_a_process_takes_the_trials_that_it_has_programs_for(tmp_path: Path) -> None:
    first, second = study_in(tmp_path), study_in(tmp_path)
    structures: dict[SearchStudy, list[Any]] = {first: [], second: []}
    for study in (first, second) * 3:
        held = study.take()
        assert held is not None
        structures[study].append(held.settings["c"])
    assert first.take() is None
    assert structures[first] == [[1], [1], [1]]
    assert structures[second] == [[2], [2], [1]], "the last one that was left"


def hold(folder: Path, taken: Any) -> None:
    taken.put(LeaseKeeper(60).take(folder / "lease.json") is not None)
    signal.pause()


def test_a_lease_ends_with_its_process(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    taken = context.Queue()
    holder = context.Process(target=hold, args=(tmp_path, taken))
    holder.start()
    assert taken.get(timeout=20)
    keeper = LeaseKeeper(60)
    assert keeper.take(tmp_path / "lease.json") is None
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    lease = keeper.take(tmp_path / "lease.json")
    assert lease is not None
    lease.release()


def looked_at(keeper: LeaseKeeper, path: Path, now: list[float], seconds: int) -> Lease | None:
    """What becomes of a lease that is looked at each second."""
    for _ in range(seconds):
        now[0] += 1
        lease = keeper.take(path)
        if lease is not None:
            return lease
    return None


def test_a_lease_of_another_machine_ends_with_its_heartbeat(tmp_path: Path) -> None:
    path = tmp_path / "lease.json"
    now = [0.0]
    keeper = LeaseKeeper(60, clock=lambda: now[0])
    path.write_text(json.dumps({"owner": "another machine", "beat": "1"}))
    assert looked_at(keeper, path, now, 59) is None
    path.write_text(json.dumps({"owner": "another machine", "beat": "2"}))
    assert looked_at(keeper, path, now, 40) is None
    now[0] += 3600  # in which this process was stopped, and so perhaps the other
    assert keeper.take(path) is None
    lease = looked_at(keeper, path, now, 60)
    assert lease is not None
    lease.release()


def stop(folder: Path, taken: Any, group: bool) -> None:
    if group:
        os.setpgid(0, 0)
    taken.put(LeaseKeeper(60).take(folder / "lease.json") is not None)
    os.kill(os.getpid(), signal.SIGSTOP)


@pytest.mark.parametrize("own_group", [False, True])
def test_a_process_that_no_longer_answers_is_killed_if_it_is_of_the_same_command(
    tmp_path: Path, own_group: bool
) -> None:
    context = multiprocessing.get_context("fork")
    taken = context.SimpleQueue()
    holder = context.Process(target=stop, args=(tmp_path, taken, own_group))
    holder.start()
    assert taken.get()
    now = [0.0]
    keeper = LeaseKeeper(60, clock=lambda: now[0])
    lease = looked_at(keeper, tmp_path / "lease.json", now, 100)
    assert (lease is None) is own_group
    assert now[0] >= 60
    assert holder.is_alive() is own_group
    if lease is not None:
        lease.release()
    holder.kill()
    holder.join()


# The journal.


def test_a_torn_journal_is_mended_and_optuna_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    storage = optuna.storages.JournalStorage(JournalFile(path))
    study = optuna.create_study(study_name="s", storage=storage)
    study.tell(study.ask(), 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    assert list(JournalFile(path).read_logs(0)) == [json.loads(line) for line in whole.splitlines()]
    assert path.read_bytes() == whole
    with path.open("ab") as file:
        file.write(b'{"op_code": 4, "wor')  # by a process that is killed while this one goes on
    study.tell(study.ask(), 2.0)
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    others = optuna.load_study(study_name="s", storage=optuna.storages.JournalStorage(backend))
    assert [trial.value for trial in others.trials] == [1.0, 2.0]


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    path.write_text("a shopping list\n")
    with pytest.raises(UserError, match="damaged in line 1"):
        JournalFile(path)
