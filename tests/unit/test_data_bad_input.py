"""Bad columns and targets are refused in one line that names the key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.columns import NUMBERS, ROWS, texts
from trainkit.core.errors import UserError
from trainkit.data import targets
from trainkit.data.inference import infer_schema


def inferring(values: np.ndarray, **settings: Any) -> Callable[[], Any]:
    return lambda: infer_schema({"x": texts("a", "b"), "y": values}, **settings)


TARGET = {"y": "target"}
MANY = np.array([f"c{n}" for n in range(10_000)], object)
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "no such target": (
        lambda: infer_schema({"price": NUMBERS}, roles={"prize": "target"}),
        r"data\.target=prize: the data have no column 'prize'; did you mean price",
    ),
    "no such column": (inferring(NUMBERS, overrides={"z": "numeric"}), r"data\.columns\.z: the data have no"),
    "a title above the names": (
        lambda: infer_schema({"My flats": texts("x"), "column_2": texts("y")}, roles={"y": "target"}),
        r"no column 'y'; .* The first line of the file is read as the names of the columns\.$",
    ),
    "no column of a file without names": (
        lambda: infer_schema({"column_1": texts("x"), "column_2": texts("y")}, roles={"y": "target"}),
        r"no column 'y'; known: column_1, column_2\.$",
    ),
    "no such kind": (
        inferring(NUMBERS, overrides={"y": "number"}),
        r"data\.columns\.y=number is no kind; did you",
    ),
    "no such setting": (
        inferring(NUMBERS, overrides={"y": {"knd": "id"}}),
        r"data\.columns\.y\.knd is no setting",
    ),
    "a text for a regression": (
        inferring(texts("Oslo", "Rome", "Oslo"), roles=TARGET, problem="regression"),
        r"40 of 40 cells are no number, e\.g\. 'Oslo'; .* Use task=tabular_classification\.$",
    ),
    "no such role": (inferring(NUMBERS, roles={"y": "label"}), "'label' is no role"),
    "constant target": (inferring(texts("1"), roles=TARGET), r"data\.target=y is '1' in every row"),
    "empty target": (inferring(texts(""), roles=TARGET), r"data\.target=y has no values"),
    "text for regression": (
        inferring(texts("low", "high"), roles=TARGET, problem="regression"),
        r"data\.target=y: 40 of 40 cells are no number, e\.g\. 'low'",
    ),
    "one text for regression": (
        inferring(np.array(["1", "2", "inf"], object), roles=TARGET, problem="regression"),
        r"data\.target=y: 1 of 3 cells is no number, e\.g\. 'inf'",
    ),
    "numbers that are one as float64": (
        inferring(np.array([str(2**60 + i) for i in range(40)], object), roles=TARGET, problem="regression"),
        r"data\.target=y: of its 40 different values only 1 can be told apart as float64",
    ),
    "10,000 classes": (
        lambda: infer_schema({"y": MANY}, roles=TARGET, problem="classification"),
        r"data\.target=y has 10000 classes in 10000 rows; expected at most 1000",
    ),
    "a measure as class": (
        inferring(NUMBERS * 0.37, roles=TARGET, problem="classification"),
        "40 classes in 40 rows; expected at most 20.*task=tabular_regression",
    ),
    "mixed numbers": (
        inferring(texts(*"123456789x")),
        r"data\.columns\.y: 10\.0% of the cells are no numbers.*row 10",
    ),
    "mixed dates": (
        inferring(texts(*["2024-01-31"] * 9, "soon")),
        r"data\.columns\.y: 10\.0% .* no dates as %Y-%m-%d.*'soon'",
    ),
    "ambiguous dates": (
        inferring(texts("01/02/2024", "03/04/2024")),
        r"data\.columns\.y: .* as %d/%m/%Y or %m/%d/%Y; set data\.columns\.y\.format",
    ),
    "decimal commas": (
        inferring(texts("1,5", "2", "3,25")),
        r"data\.columns\.y: '1,5' looks like a number with a decimal comma; set 'data\.decimal=\",\"'",
    ),
    "thousands": (
        inferring(texts("1,500", "2", "3,250")),
        r"data\.columns\.y: '1,500' may be a number in thousands, or one with a decimal comma",
    ),
    "thousands with decimals": (
        inferring(texts("1,500.25", "2", "3,250,000.00", "12.5")),
        r"data\.columns\.y: '1,500\.25' is a number with commas .* set 'data\.thousands=\",\"'",
    ),
    "a few in thousands": (
        inferring(texts(*(["780.25"] * 19), "1,500.25")),
        r"data\.columns\.y: '1,500\.25' is a number with commas between thousands",
    ),
    "thousands as in German": (
        inferring(texts("4.780,17", "12,5", "3")),
        r"data\.columns\.y: '4\.780,17' is .* points .* set 'data\.decimal=\",\"' data\.thousands=\.,",
    ),
    "thousands in a column of numbers": (
        inferring(texts("1.500.000", "2"), overrides={"y": "numeric"}),
        r"data\.columns\.y: '1\.500\.000' is a number with points between thousands",
    ),
    "thousands to predict": (
        inferring(texts("1,500.25", "2"), roles=TARGET, problem="regression"),
        r"data\.columns\.y: '1,500\.25' is a number with commas .*; set 'data\.thousands=\",\"'",
    ),
    "thousands as in French": (
        inferring(texts("4\xa0780,17", "12,5", "3")),
        r"'4\\xa0780,17' is a number with blanks .* set 'data\.decimal=\",\"' 'data\.thousands=\" \"',",
    ),
    "thousands as in French to predict": (
        inferring(texts("4 780,17", "12 000"), roles=TARGET, problem="regression"),
        r"'4 780,17' is a number with blanks .* set 'data\.decimal=\",\"' 'data\.thousands=\" \"',",
    ),
    "thousands as in Switzerland": (
        inferring(texts("4’780.17", "12.5", "3")),
        r"'4’780\.17' is a number with apostrophes .*; set \"data\.thousands=\\\"'\\\"\",",
    ),
    "negative in brackets": (
        inferring(texts("(4780.17)", "12.5", "3")),
        r"'\(4780\.17\)' may be a negative number in brackets; write it with a minus, or set data",
    ),
    "no such problem": (
        inferring(NUMBERS, problem="clasification"),
        "is no kind of problem; did you mean class",
    ),
    "no date": (inferring(texts("x"), overrides={"y": "date"}), "'x' is no date in a format known here"),
    "no number": (inferring(texts("x"), overrides={"y": "numeric"}), "40 of 40 cells are no number"),
    "infinite": (
        inferring(np.resize([1.0, 2.0, np.inf], ROWS)),
        r"13 of 40 cells are no number.*'inf' in row 3",
    ),
    "huge": (
        inferring(np.array(["1.5"] * 9 + ["1e300"], object)),
        r"y: 1 of 10 cells are no number of at most 1e\+100, the first is '1e300' in row 10\. Mend them, set "
        r"'data\.columns\.y\.missing=\[\"1e300\"\]' if it means a gap",
    ),
    "a huge number to predict": (
        inferring(np.array([1.5] * 9 + [-1.797e308]), roles=TARGET, problem="regression"),
        r"y: 1 of 10 cells are no number of at most 1e\+100.*'-1\.797e\+308' in row 10",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_one_line_that_names_the_key(case: str) -> None:
    run, said = BAD[case]
    with pytest.raises(UserError, match=said) as error:
        run()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", ["$1.5", "12 %", "3 kg", "1.000 €", "1'000.50 CHF"])
def test_numbers_with_a_sign_or_unit_are_told(value: str) -> None:
    (note,) = infer_schema({"y": texts(value, value.replace("1", "2").replace("3", "4"))})["y"].notes
    assert note == f"read as texts: {value!r} is a number with a sign or unit; leave that out"
    for other in (("a1", "b2", "3c", "x-4"), ("(1)", "(2.5)"), ("+47 123 456", "+47 123 457")):
        assert not infer_schema({"y": texts(*other)})["y"].notes


def test_rows_without_a_target_are_refused_or_left_out() -> None:
    for target in (np.array(["a", "", "b"], object), np.array([1.0, np.nan, 2.0])):
        with pytest.raises(
            UserError, match=r"data\.target=y has no value in 1 of 3 rows, the first is row 2"
        ):
            targets.rows_with_target("y", target, "")
        assert targets.rows_with_target("y", target, "", skip_bad=True).tolist() == [0, 2]


def test_weights_are_numbers_of_at_least_zero() -> None:
    targets.check_weights("w", np.array([0.0, 2.0]))
    for bad in ([1.0, np.nan], [1.0, -1.0]):
        with pytest.raises(UserError, match=r"data\.weight=w: 1 weights .* the first in row 2"):
            targets.check_weights("w", np.array(bad))
    with pytest.raises(UserError, match="is 0 in every row"):
        targets.check_weights("w", np.zeros(3))


def test_many_combinations_of_labels_are_no_classes() -> None:
    tags = np.array([f"a|b{n}" for n in range(ROWS)], object)
    schema = infer_schema({"y": tags}, roles=TARGET, problem="multi_label")
    assert (schema["y"].kind, schema["y"].role) == ("category", "target")


def test_a_class_without_training_rows_is_refused() -> None:
    target = np.array(["a", "b", "a", "c"], object)
    targets.check_classes("y", target, {"train": np.array([0, 1, 3]), "test": np.array([2])})
    with pytest.raises(UserError, match=r"data\.target=y: 'c' occurs only in the test rows"):
        targets.check_classes("y", target, {"train": np.array([0, 1]), "test": np.array([2, 3])})
    said = targets.class_notes("classification", target)
    assert said == ["class 'b' has one row only", "class 'c' has one row only"]


@pytest.mark.parametrize("problem", ["classification", "multi_label"])
def test_classes_that_differ_in_case_alone_are_named(problem: str) -> None:
    target = np.array(["Yes", "yes", "YES", "No", "no", "maybe", ""] * 2, object)
    said = "classes that differ in case alone train as classes of their own: 'No', 'no', 'YES', 'Yes', 'yes'"
    assert said in targets.class_notes(problem, target)
    more = np.array([*target, "Maybe", "Maybe"], object)
    listed = next(note for note in targets.class_notes(problem, more) if "in case alone" in note)
    assert listed.endswith(": 'Maybe', 'maybe', 'No', 'no', 'YES' and 2 more")
    different = np.array(["Yes", "No"] * 2, object)
    assert targets.class_notes(problem, different) == []
