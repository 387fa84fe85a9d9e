"""The suite finds what is planted in `model.fit`, and finds nothing where nothing is."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from keras.callbacks import CallbackList

from tests.conformance.candidate import Fit, keras_fit
from tests.conformance.cases import CASES
from tests.conformance.compare import Noted, difference, first_difference
from tests.conformance.faults import FAULTS
from tests.conformance.faulty_lists import LIST_FAULTS, driven
from tests.conformance.side import run

pytestmark = [pytest.mark.slow_but_first, pytest.mark.filterwarnings("ignore")]

PLANTED = {**FAULTS, **LIST_FAULTS}
BY_NAME = {case.name: case for case in CASES}
CONTROLS = ["architectures.sequential", "hooks.of_the_instance", "changes.write_into_the_epochs_logs"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """What Keras notes in a case, run once for all faults that it has to find."""

    @cache
    def noted(name: str) -> Noted:
        return run(BY_NAME[name].run, keras_fit, tmp_path_factory.mktemp("keras") / "side").noted

    return noted


def found(name: str, fault: Fit, expected: Noted, folder: Path) -> str | None:
    """What the case finds: a difference, or that the training or an assertion of the case failed."""
    try:
        got = run(BY_NAME[name].run, fault, folder)
    except AssertionError as failed:
        return f"failed: {failed}"
    return first_difference(expected, got.noted)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str, expected, tmp_path: Path) -> None:
    faulty, name = PLANTED[fault]
    assert found(name, faulty, expected(name), tmp_path / "faulty") is not None


@pytest.mark.parametrize("name", CONTROLS)
def test_nothing_is_found_where_nothing_is_planted(name: str, expected, tmp_path: Path) -> None:
    """Also with the wrapper that most faults are planted in."""
    assert found(name, driven(CallbackList), expected(name), tmp_path / "driven") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1.0, 1),
        (1.0, float("nan")),
        (0.1, 0.1 + 2**-56),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, {}),
        ([1], [1, 2]),
        ((1,), [1]),
        (None, {}),
        ("a", "b"),
    ],
)
def test_values_that_differ_in_type_order_or_a_bit_are_different(one: object, other: object) -> None:
    assert difference(one, other) is not None
    assert difference(other, one) is not None
    assert difference(one, one) is None
    assert difference(other, other) is None
