"""Each case, trained by `keras.Model.fit` and by the candidate side by side: every note must be equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conformance.candidate import (
    DEFAULT_REFUSED,
    REFUSED,
    candidate,
    default_candidate,
    keras_fit,
    this_part,
)
from tests.conformance.cases import CASES
from tests.conformance.closeness import first_gap
from tests.conformance.compare import first_difference
from tests.conformance.registry import Case
from tests.conformance.side import Side, run
from trainkit.backend import kernels
from trainkit.core.errors import UserError
from trainkit.trainer import given_rows

pytestmark = pytest.mark.filterwarnings("ignore")

QUICK = 7  # one case in so many is trained also where slow tests are left out

LISTED = (Path(__file__).parent / "known_differences.txt").read_text().splitlines()
KNOWN = {line for line in LISTED if line and not line.startswith("#")}


def check_refusals(side: Side) -> None:
    """A refusal by us is one line for people."""
    for refusal in side.refusals:
        if isinstance(refusal, UserError):
            assert "\n" not in str(refusal), f"not one line: {refusal}"


def marked(number: int, case: Case) -> Any:
    """A case that still differs is expected to fail; one that no longer does has to leave the list."""
    differs = case.name in KNOWN and candidate() is not keras_fit
    known = [pytest.mark.xfail(strict=True, reason="a known difference")] if differs else []
    slow = [pytest.mark.slow] if number % QUICK else []
    return pytest.param(case, id=case.name, marks=known + slow)


@pytest.mark.parametrize("case", [marked(number, case) for number, case in enumerate(this_part(CASES))])
def test_the_candidate_does_what_model_fit_does(case: Case, tmp_path: Path) -> None:
    expected = run(case.run, keras_fit, tmp_path / "keras")
    if case.name in REFUSED and candidate() is not keras_fit:
        with pytest.raises(UserError, match=REFUSED[case.name]):
            run(case.run, candidate(), tmp_path / "candidate")
        return
    got = run(case.run, candidate(), tmp_path / "candidate")
    check_refusals(got)
    found = first_difference(expected.noted, got.noted)
    if found:
        pytest.fail(f"{case.name}: {found}", pytrace=False)


@pytest.mark.slow
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in this_part(CASES[::-1])])
def test_the_default_mode_does_the_same_up_to_rounding(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Keras's dropout masks in place of ours, which are drawn otherwise."""
    monkeypatch.setattr(kernels, "fast_kernels", lambda xla, **_: [])
    if len(case.name) % 2:  # half of the cases run whole epochs in a call, as a long training does
        monkeypatch.setattr(given_rows, "SHORT_STEPS_OF_ARRAYS", 0)
    if case.name in DEFAULT_REFUSED:
        with pytest.raises(UserError, match=DEFAULT_REFUSED[case.name]):
            run(case.run, default_candidate(), tmp_path / "candidate")
        return
    expected = run(case.run, keras_fit, tmp_path / "keras")
    got = run(case.run, default_candidate(), tmp_path / "candidate")
    check_refusals(got)
    found = first_gap(expected.noted, got.noted)
    if found:
        pytest.fail(f"{case.name}: {found}", pytrace=False)


def test_every_case_that_is_set_apart_exists() -> None:
    assert {*REFUSED, *DEFAULT_REFUSED, *KNOWN} <= {case.name for case in CASES}
