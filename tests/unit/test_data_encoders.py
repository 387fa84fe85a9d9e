"""Laws of the encoders: numbers, categories, dates and targets as said, inverted exactly."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.columns import objects
from trainkit.core.errors import UserError
from trainkit.data.preparation import ColumnSettings, PreparationSettings
from trainkit.data.preparation.categories import fit_categories
from trainkit.data.preparation.dates import fit_dates
from trainkit.data.preparation.labels import NumberTarget, fit_class_labels, fit_number_target
from trainkit.data.preparation.numeric import fit_numeric
from trainkit.data.preparation.preparation import Preparation
from trainkit.data.preparation.scaling import Scaling, fit_scaling
from trainkit.data.preparation.settings import SCALINGS
from trainkit.data.preparation.tokens import fit_tokens

NAN = np.nan
quickly = settings(max_examples=100, deadline=None)
SOME_NUMBERS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30).map(np.array)


# Scaling


@quickly
@given(st.sampled_from(SCALINGS), SOME_NUMBERS)
def test_a_scaling_is_inverted(kind: str, values: np.ndarray) -> None:
    scaling = fit_scaling(kind, values)
    assert np.isfinite(scaling.apply(values)).all()
    np.testing.assert_allclose(scaling.invert(scaling.apply(values)), values, rtol=1e-9, atol=1e-6)


HUGE = st.lists(st.sampled_from([1.0, 3.0, 1e39, 1e160, -1e300, 1.797e308]), min_size=1, max_size=9).map(
    np.array
)


@quickly
@given(st.sampled_from(SCALINGS), HUGE)
def test_numbers_of_any_size_are_prepared_as_finite_numbers_or_refused_by_name(
    kind: str, values: np.ndarray
) -> None:
    def numbers() -> np.ndarray:
        encoder = fit_numeric("paid", values, ColumnSettings(scaling=kind))
        return Preparation((encoder,), ("paid",)).encode({"paid": values})["numbers"]

    def labels() -> np.ndarray:
        target = fit_number_target("paid", values, PreparationSettings(target_scaling=kind))
        return target.encode(values)

    for prepare in (numbers, labels):
        told = ""
        try:
            assert np.isfinite(prepare()).all()
        except UserError as error:
            told = str(error)
        told_well = r"data\.columns\.paid: \S+ is too far from .* set 'data\.columns\.paid\.missing=\["
        assert not told or (np.abs(values).max() > 1e38 and re.match(told_well, told))


def test_a_preparation_that_json_cannot_hold_is_not_kept() -> None:
    target = NumberTarget("paid", Scaling("standard", 0.0, np.inf))
    with pytest.raises(UserError, match=r"data\.columns\.paid has numbers too large"):
        Preparation((), (), target).to_dict()


@quickly
@given(SOME_NUMBERS)
def test_scalings_are_those_of_scikit_learn(values: np.ndarray) -> None:
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    values = np.round(values)  # scikit-learn has another limit for what it takes for constant
    peers = {"standard": StandardScaler(), "min_max": MinMaxScaler(), "robust": RobustScaler()}
    for kind, peer in peers.items():
        expected = peer.fit_transform(values[:, None])[:, 0]
        np.testing.assert_allclose(fit_scaling(kind, values).apply(values), expected, atol=1e-9)


def test_logarithm_pixels_and_constants_are_scaled_as_said() -> None:
    logarithm = fit_scaling("log", np.array([-1.0, 0.0, 9.0]))
    assert (logarithm.low, logarithm.apply(np.array([-5.0]))) == (-1.0, logarithm.apply(np.array([-1.0])))
    np.testing.assert_allclose(logarithm.apply(np.array([-1.0, 0.0, 9.0])).mean(), 0, atol=1e-12)
    assert fit_scaling("pixels", np.array([3.0])).apply(np.array([0.0, 255.0])).tolist() == [0.0, 1.0]
    assert fit_scaling("standard", np.full(7, 0.1)).apply(np.array([1.1])).tolist() == pytest.approx([1.0])


# Numbers


def test_missing_numbers_are_filled_and_marked() -> None:
    training = np.array([1.0, NAN, 2.0, 9.0])
    encoder = fit_numeric("age", training, ColumnSettings(scaling="none"))
    assert encoder.names() == ("age", "age is missing")
    assert encoder.encode(np.array([5.0, NAN, np.inf])).tolist() == [[5, 0], [2, 1], [2, 1]]
    fills = {"mean": 4.0, "zero": 0.0, -1: -1.0}
    for fill, value in fills.items():
        filled = fit_numeric("age", training, ColumnSettings(scaling="none", fill=fill, indicator=False))
        assert filled.encode(np.array([NAN])).tolist() == [[value]]


def test_without_gaps_in_training_there_is_no_mark() -> None:
    encoder = fit_numeric("age", np.array([1.0, 3.0]), ColumnSettings())
    assert encoder.names() == ("age",)
    assert encoder.encode(np.array([NAN])).tolist() == [[0.0]]


# Categories


def test_categories_are_numbered_by_frequency_and_the_others_share_one_number() -> None:
    training = objects("b", "b", "b", "a", "a", "rare", "")
    encoder = fit_categories("c", training, ColumnSettings(encoding="embedding"))
    assert encoder.known == ("b", "a")
    assert encoder.size == 4
    assert encoder.encode(objects("", "rare", "unseen", "b", "a")).tolist() == [0, 1, 1, 2, 3]
    as_number = fit_categories("c", training, ColumnSettings(encoding="integer"))
    assert as_number.encode(objects("", "a")).tolist() == [[0.0], [3.0]]


def test_one_hot_has_a_column_for_what_training_had_and_zeros_for_the_rest() -> None:
    encoder = fit_categories("c", objects("b", "b", "a", "a"), ColumnSettings())
    assert encoder.names() == ("c=a", "c=b")
    assert encoder.encode(objects("a", "b", "", "x")).tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]
    encoder = fit_categories("c", objects("b", "b", "", "x"), ColumnSettings())
    assert encoder.names() == ("c is missing", "c is rare or unseen", "c=b")
    assert encoder.encode(objects("", "y", "b")).tolist() == np.eye(3).tolist()


def test_many_categories_are_embedded_and_the_rarest_dropped() -> None:
    training = objects(*[f"c{i}" for i in range(20) for _ in range(2 + i)])
    assert fit_categories("c", training, ColumnSettings()).encoding == "embedding"
    assert fit_categories("c", training, ColumnSettings(max_one_hot=20)).encoding == "one_hot"
    few = fit_categories("c", training, ColumnSettings(max_categories=3))
    assert few.known == ("c19", "c18", "c17")


SPELLED = st.lists(st.sampled_from(["", "NA", "a", "b", "c", "d"]), min_size=1, max_size=20).map(
    lambda cells: objects(*cells)
)


@quickly
@given(SPELLED, SPELLED, st.sampled_from(["integer", "one_hot", "embedding"]))
def test_cells_are_unseen_that_no_training_row_had(
    training: np.ndarray, new: np.ndarray, encoding: str
) -> None:
    fitted = fit_categories("c", training, ColumnSettings(encoding=encoding), ("NA",))
    encoder = type(fitted).from_dict(fitted.to_dict())
    assert encoder == fitted
    unseen = sum(cell not in ("", "NA", *training) for cell in new)
    told = f"c: {unseen} of {len(new)} cells are categories that the training did not have, such as '"
    assert encoder.note_unseen(new).startswith(told if unseen else "")
    assert bool(encoder.note_unseen(new)) == bool(unseen)


def test_a_note_on_unseen_categories_names_the_known_ones_and_says_where_rare_ones_are_not_known() -> None:
    encoder = fit_categories("flag", objects("TRUE", "FALSE", "TRUE", "FALSE"), ColumnSettings())
    assert encoder.note_unseen(objects("True", "FALSE")) == (
        "flag: 1 of 2 cells are categories that the training did not have, such as 'True'; "
        "known are 'FALSE', 'TRUE'"
    )
    state = encoder.to_dict()
    del state["rare"]  # as of an older version
    older = type(encoder).from_dict(state)
    assert "did not have, or seldom had, such as 'True'" in older.note_unseen(objects("True"))


# Dates


def test_a_text_without_words_is_one_unknown_word_and_needs_texts_with_words_to_learn_from() -> None:
    encoder = fit_tokens("note", [objects("good good", "bad"), objects("")], ColumnSettings(length=3))
    assert encoder.words == ("good", "bad")
    assert encoder.encode(objects("", "bad good", "?!", "zebra")).tolist() == [
        [1, 0, 0],
        [3, 2, 0],
        [1, 0, 0],
        [1, 0, 0],
    ]
    with pytest.raises(UserError, match=r"data\.columns\.note: no text of a training row has a word"):
        fit_tokens("note", [objects("", "!!")], ColumnSettings())


def test_dates_become_days_and_places_in_their_cycles() -> None:
    training = objects("1970-01-02 06:00", "1970-02-03 18:00", "")
    encoder = fit_dates("at", training, "%Y-%m-%d %H:%M", ColumnSettings(scaling="none"))
    assert encoder.names() == (
        "at",
        *(f"at {cycle} ({wave})" for cycle in ("month", "weekday", "hour") for wave in ("sin", "cos")),
        "at is missing",
    )
    first, missing = encoder.encode(objects("1970-01-02 06:00", ""))
    friday = 2 * np.pi * 4 / 7
    np.testing.assert_allclose(first, [1.25, 0, 1, np.sin(friday), np.cos(friday), 1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(missing, [17.5, 0, 0, 0, 0, 0, 0, 1])


def test_a_cycle_in_which_nothing_varies_is_left_out() -> None:
    encoder = fit_dates("d", objects("2024-01-01", "2024-01-08"), "%Y-%m-%d", ColumnSettings())
    assert encoder.names() == ("d",)


# Targets


LABEL = st.sampled_from(["0", "10", "9", "-1", "cat", "dog"])
LABELS = st.lists(LABEL, min_size=2, max_size=20).filter(lambda labels: len(set(labels)) > 1)


@quickly
@given(LABELS, st.sampled_from(["integer", "one_hot"]))
def test_labels_are_decoded_to_what_they_were(names: list[str], encoding: str) -> None:
    values = objects(*names)
    labels = fit_class_labels("y", values, PreparationSettings(labels=encoding))
    encoded = labels.encode(values)
    scores = np.eye(len(labels.classes))[encoded] if encoding == "integer" else encoded
    assert labels.decode(scores) == (
        names if len(labels.classes) > 1 else [labels.classes[1 - 1]] * 0 or names
    )


def test_classes_have_a_natural_order() -> None:
    numbers = fit_class_labels("y", objects("10", "9", "-1"), PreparationSettings())
    assert numbers.classes == ("-1", "9", "10")
    assert fit_class_labels("y", objects("b", "10", "a"), PreparationSettings()).classes == ("10", "a", "b")


def test_one_probability_names_the_second_class() -> None:
    labels = fit_class_labels("y", objects("no", "yes"), PreparationSettings())
    probabilities = np.array([[0.2], [0.9]])
    assert labels.decode(probabilities) == ["no", "yes"]
    assert labels.confidence(probabilities).tolist() == [0.8, 0.9]


def test_several_labels_of_a_row() -> None:
    values = objects("red|blue", "", "green")
    labels = fit_class_labels("y", values, PreparationSettings(labels="multi_label"))
    assert labels.classes == ("blue", "green", "red")
    assert labels.encode(values).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert labels.decode(labels.encode(values)) == ["blue|red", "", "green"]


def test_an_unknown_class_is_refused() -> None:
    labels = fit_class_labels("y", objects("a", "b"), PreparationSettings())
    with pytest.raises(
        UserError, match=r"data\.target=y: 'c' is no class of the training rows; they had a, b"
    ):
        labels.encode(objects("a", "c"))


@quickly
@given(SOME_NUMBERS, st.sampled_from(SCALINGS))
def test_a_target_is_reported_in_its_unit(values: np.ndarray, scaling: str) -> None:
    target = fit_number_target("price", values, PreparationSettings(target_scaling=scaling), "k$")
    assert target.encode(values).shape == (len(values), 1)
    exact = target.scaling.apply(values)[:, None]
    np.testing.assert_allclose(target.decode(exact), values, rtol=1e-9, atol=1e-6)


def test_a_target_whose_numbers_are_the_same_once_scaled_is_refused() -> None:
    times = 1_700_000_000 + 3.0 * np.arange(400)
    assert len(np.unique(fit_number_target("at", times, PreparationSettings()).encode(times))) == 400
    with pytest.raises(UserError, match=r"data\.target=at: of its 400 different values only \d+ can be told"):
        fit_number_target("at", times, PreparationSettings(target_scaling="none"))


@pytest.mark.parametrize("kind", SCALINGS)
def test_scalings_are_advised_only_where_they_are_taken(kind: str) -> None:
    def refusal(values: np.ndarray, kind: str) -> str:
        try:
            fit_number_target("y", values, PreparationSettings(target_scaling=kind))
        except UserError as error:
            return str(error).rstrip(".")
        return ""

    far = np.append(np.linspace(0, 1, 99), -1e30)
    for values in (np.exp(60 * np.linspace(0, 1, 120)), 1.7e9 + 3.0 * np.arange(99), far):
        told = refusal(values, kind)
        advised = told.partition("Choose ")[2]
        assert [refusal(values, other) for other in advised.split(" or ") if advised] in ([], [""], ["", ""])
        assert bool(advised) == (told != "" and values is not far)
