"""Runs of a version that judged columns otherwise go on with the setting that the refusal names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.columns import texts
from trainkit.core.datasets import Source
from trainkit.core.errors import UserError
from trainkit.data.fitted import check_same_schema
from trainkit.data.inference import infer_schema

DATES = texts(*(f"{1 + i % 12}/{1 + i}/2020" for i in range(28)))


@pytest.mark.parametrize(("kind", "setting"), [("id", "ignore"), ("category", "category")])
def test_a_run_to_which_dates_were_texts_goes_on_with_the_setting_that_is_named(
    kind: str, setting: str
) -> None:
    schema = infer_schema({"us": DATES})
    assert schema["us"].kind == "date"
    role = "ignored" if kind == "id" else "feature"
    read = infer_schema({"us": DATES}, overrides={"us": "category"})["us"]
    before = replace(schema, columns=(replace(read, kind=kind, role=role, chosen=False),))
    with pytest.raises(
        UserError, match=f"us: kind is 'date' now, .* Set data.columns.us={setting} to go on as"
    ):
        check_same_schema(schema, before, Source())
    check_same_schema(infer_schema({"us": DATES}, overrides={"us": setting}), before, Source())


def test_a_setting_that_changed_the_role_is_to_be_put_back() -> None:
    columns = {"a": texts("1.5", "2.5"), "b": texts("3.5", "4.5")}
    before, now = (infer_schema(columns, roles={name: "target"}, problem="regression") for name in "ab")
    with pytest.raises(UserError, match=r"a: role is 'feature' now, .* Put the setting back, or start"):
        check_same_schema(now, before, Source())
