"""Whatever a file of rows holds: it is read, or refused in one line with exit code 2, and stays as it was."""

from __future__ import annotations

import io
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.commands import examples, refused_or_good

ANY_HEALTH = list(hypothesis.HealthCheck)
WORDS = ["red", "green", "blue"]
CELLS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["", "NA", "nan", "inf", "1", "-2.5", "1e999", "2024-02-30", '"', "=1+1", "a,b", "\x00"]),
    st.integers(-(2**70), 2**70).map(str),
)


def csv(rows: int = 30) -> bytes:
    lines = [f"{i},{i * 7 % 5}.5,{WORDS[i % 3]},{'yes' if i % 2 else 'no'}" for i in range(rows)]
    return ("id,size,colour,y\n" + "\n".join(lines) + "\n").encode()


def parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"size": np.arange(30.0), "colour": WORDS * 10, "y": ["yes", "no"] * 15}
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def png() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(file, "PNG")
    return file.getvalue()


@st.composite
def damaged(draw: Any, good: bytes) -> bytes:
    """A file that is cut, that has other bytes in places, or that holds anything at all."""
    how = draw(st.sampled_from(["anything", "cut", "changed", "repeated"]))
    place = draw(st.integers(0, len(good) - 1))
    if how == "anything":
        return bytes(draw(st.binary(max_size=80)))
    if how == "cut":
        return good[:place]
    if how == "repeated":
        return good + good[place:]
    changed = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        changed[draw(st.integers(0, len(good) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=4).map(",".join), max_size=12).map(
    lambda lines: ("a,b,y\n" + "\n".join(lines)).encode(errors="replace")
)


@pytest.mark.slow
@hypothesis.settings(max_examples=examples(120), suppress_health_check=ANY_HEALTH)
@given(content=st.one_of(damaged(csv()), TABLES))
def test_odd_tables(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("table")
    (folder / "rows.csv").write_bytes(content)
    for task in ("tabular_classification", "tabular_regression"):
        refused_or_good([f"task={task}", f"data.path={folder}/rows.csv", "data.target=y"], folder)


@pytest.mark.slow
@hypothesis.settings(max_examples=examples(80), suppress_health_check=ANY_HEALTH)
@given(content=damaged(parquet()))
def test_odd_parquet_files(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("table")
    (folder / "rows.parquet").write_bytes(content)
    words = ["task=tabular_classification", f"data.path={folder}/rows.parquet", "data.target=y"]
    refused_or_good(words, folder)


@pytest.mark.slow
@hypothesis.settings(max_examples=examples(40), suppress_health_check=ANY_HEALTH)
@given(content=damaged(png()), also=damaged(b"some words of a text\n"))
def test_odd_images_and_texts(content: bytes, also: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("rows")
    for kind in ("images", "texts"):
        for name in ("a", "b"):
            (folder / kind / name).mkdir(parents=True)
            for i in range(6):
                good = png() if kind == "images" else f"word{i} {name}".encode()
                (folder / kind / name / f"{i}.{'png' if kind == 'images' else 'txt'}").write_bytes(good)
    (folder / "images" / "a" / "0.png").write_bytes(content)
    (folder / "texts" / "a" / "0.txt").write_bytes(also)
    refused_or_good(["task=image_classification", f"data.path={folder}/images"], folder)
    refused_or_good(["task=text_classification", f"data.path={folder}/texts"], folder)


@pytest.mark.slow
@hypothesis.settings(max_examples=examples(40), suppress_health_check=ANY_HEALTH)
@given(data=st.data())
def test_odd_archives(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where a known data set is expected."""
    folder = tmp_path_factory.mktemp("known")
    file = io.BytesIO()
    np.savez(file, x=np.ones((6, 13)), y=np.arange(6.0))
    (folder / "boston_housing.npz").write_bytes(data.draw(damaged(file.getvalue())))
    refused_or_good(["task=boston", "data.source=boston", f"data.dir={folder}"], folder)
