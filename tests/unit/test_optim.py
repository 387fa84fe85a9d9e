"""A given optimizer stays the object that it is, and settings change what they name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf

from trainkit.config import ClipConfig, EmaConfig, OptimizerConfig, ScheduleConfig
from trainkit.core.errors import UserError
from trainkit.optim import factory

OPTIMIZERS = keras.optimizers
DECAY = OPTIMIZERS.schedules.ExponentialDecay


def build(recipe: keras.optimizers.Optimizer, **settings: Any) -> keras.optimizers.Optimizer:
    return factory.build(OptimizerConfig(**settings), recipe, total_steps=100)


def rates(schedule: Any, steps: int) -> list[float]:
    return [float(schedule(step)) for step in range(steps)]


def keras_optimizers() -> list[type[Any]]:
    """All optimizers of Keras that are no wrappers of others."""
    wrappers = (
        OPTIMIZERS.Optimizer,
        OPTIMIZERS.LossScaleOptimizer,
        getattr(OPTIMIZERS, "MultiOptimizer", None),
    )
    classes = [value for value in vars(OPTIMIZERS).values() if isinstance(value, type)]
    return [c for c in classes if issubclass(c, OPTIMIZERS.Optimizer) and c not in wrappers]


class Lossy(OPTIMIZERS.SGD):
    """A user's optimizer whose `get_config` forgets an argument."""

    def __init__(self, learning_rate: float = 0.01, strength: float = 1.0, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self.strength = strength


def two_parts() -> keras.optimizers.Optimizer:
    if not hasattr(OPTIMIZERS, "MultiOptimizer"):
        pytest.skip("Keras has MultiOptimizer from 3.15 on")
    first, second = OPTIMIZERS.Adam(0.01), OPTIMIZERS.SGD(0.1)
    return OPTIMIZERS.MultiOptimizer(OPTIMIZERS.OptimizerMap(first, {".*kernel": second}))


# What is given stays the object that it is.


@pytest.mark.parametrize("make", [*keras_optimizers(), Lossy, two_parts], ids=lambda make: make.__name__)
def test_a_recipe_without_settings_is_the_very_object(make: Callable[[], Any]) -> None:
    recipe = make()
    assert build(recipe) is recipe


def test_a_recipe_in_a_loss_scale_is_the_very_object() -> None:
    recipe = OPTIMIZERS.LossScaleOptimizer(OPTIMIZERS.Adam())
    assert build(recipe) is recipe


def test_settings_that_the_recipe_has_already_change_nothing() -> None:
    recipe = OPTIMIZERS.AdamW(0.003, weight_decay=0.1, beta_1=0.8, clipnorm=2.0, use_ema=True)
    settings: dict[str, Any] = {
        "learning_rate": 0.003,
        "weight_decay": 0.1,
        "options": {"beta_1": 0.8},
        "clip": ClipConfig(norm=2.0),
        "ema": EmaConfig(enabled=True),
    }
    assert build(recipe, **settings) is recipe
    assert build(recipe, **{**settings, "weight_decay": 0.2}) is not recipe


@pytest.mark.parametrize("make", keras_optimizers(), ids=lambda make: make.__name__)
def test_one_setting_changes_one_argument(make: Callable[[], Any]) -> None:
    recipe = make()
    before = recipe.get_config()
    changed = build(recipe, learning_rate=0.125)
    assert type(changed) is type(recipe)
    assert changed.get_config() == {**before, "learning_rate": 0.125}
    assert recipe.get_config() == before


def test_the_asked_clipping_replaces_that_of_the_recipe() -> None:
    config = build(OPTIMIZERS.SGD(clipvalue=0.5), clip=ClipConfig(global_norm=1.0)).get_config()
    assert (config["global_clipnorm"], config["clipnorm"], config["clipvalue"]) == (1.0, None, None)


def test_a_setting_reaches_the_optimizer_inside_a_loss_scale() -> None:
    recipe = OPTIMIZERS.LossScaleOptimizer(OPTIMIZERS.Adam(0.001), initial_scale=8.0, dynamic_growth_steps=5)
    changed = build(recipe, learning_rate=0.5)
    assert isinstance(changed, OPTIMIZERS.LossScaleOptimizer)
    assert (changed.initial_scale, changed.dynamic_growth_steps) == (8.0, 5)
    assert float(changed.inner_optimizer.learning_rate) == 0.5
    assert float(recipe.inner_optimizer.learning_rate) == pytest.approx(0.001)


def test_a_changed_recipe_keeps_its_own_schedule() -> None:
    own = DECAY(0.1, 10, 0.5)
    changed = build(OPTIMIZERS.Adam(own), weight_decay=0.1)
    assert changed.get_config() == {
        **OPTIMIZERS.Adam(own, weight_decay=0.1).get_config(),
        "name": changed.name,
    }
    assert float(changed.learning_rate) == pytest.approx(0.1)


def test_a_schedule_that_has_no_config_is_kept_or_named() -> None:
    class Own(OPTIMIZERS.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return keras.ops.cast(0.25, "float32")

    recipe = OPTIMIZERS.SGD(Own())
    assert build(recipe) is recipe
    with pytest.raises(UserError, match=r"get_config\(\) failed"):
        build(recipe, weight_decay=0.1)


def test_the_asked_rate_replaces_an_own_schedule() -> None:
    changed = build(OPTIMIZERS.Adam(DECAY(0.1, 10, 0.5)), learning_rate=0.25)
    assert float(changed.learning_rate) == 0.25
    changed.learning_rate = 0.5  # a number again, which a callback may set
    assert float(changed.learning_rate) == 0.5


def test_a_warm_up_leads_into_an_own_schedule() -> None:
    own = DECAY(0.1, 10, 0.5)
    changed = build(OPTIMIZERS.SGD(own), schedule=ScheduleConfig(warmup_steps=4))
    config = changed.get_config()["learning_rate"]
    got = rates(keras.saving.deserialize_keras_object(config), 12)
    assert got == pytest.approx([0.02, 0.04, 0.06, 0.08, *rates(own, 8)], rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "start"), [({"learning_rate": 0.5}, 0.5), ({"name": "sgd"}, 0.01)], ids=["rate", "name"]
)
def test_a_decay_starts_from_the_rate(settings: dict[str, Any], start: float) -> None:
    changed = build(
        OPTIMIZERS.Adam(DECAY(0.1, 10, 0.5)),
        **settings,
        schedule=ScheduleConfig(name="cosine", decay_steps=10),
    )
    config = changed.get_config()["learning_rate"]["config"]
    assert (config["initial_learning_rate"], config["decay_steps"]) == (pytest.approx(start), 10)


def test_names_excluded_from_weight_decay_stay_excluded() -> None:
    recipe = OPTIMIZERS.AdamW(0.1, weight_decay=0.5)
    recipe.exclude_from_weight_decay(var_names=["bias", "gamma"])
    changed = build(recipe, learning_rate=0.2)
    variables = [keras.Variable(1.0, name=name) for name in ("kernel", "bias", "gamma")]
    changed.build(variables)
    changed.apply([tf.constant(0.0)] * 3)
    assert [float(v) for v in variables] == pytest.approx([1 - 0.5 * 0.2, 1.0, 1.0])


def test_variables_excluded_from_weight_decay_stay_excluded() -> None:
    excluded, other = keras.Variable(1.0, name="kernel"), keras.Variable(1.0, name="kernel")
    recipe = OPTIMIZERS.AdamW(0.1, weight_decay=0.5)
    recipe.exclude_from_weight_decay(var_list=[excluded])
    changed = build(recipe, learning_rate=0.2)
    changed.build([excluded, other])
    changed.apply([tf.constant(0.0), tf.constant(0.0)])
    assert float(excluded) == 1.0
    assert float(other) == pytest.approx(1 - 0.5 * 0.2)


# What cannot be kept is refused in one line.


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 0.1},
        {"weight_decay": 0.1},
        {"clip": ClipConfig(norm=1.0)},
        {"ema": EmaConfig(enabled=True)},
        {"schedule": ScheduleConfig(name="cosine")},
        {"options": {"momentum": 0.9}},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_multi_optimizer_is_not_changed_by_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="MultiOptimizer"):
        build(two_parts(), **settings)


def test_an_argument_that_get_config_forgets_is_named() -> None:
    with pytest.raises(UserError, match=r"get_config\(\) leaves out strength"):
        build(Lossy(strength=2.0), learning_rate=0.1)


def test_an_optimizer_that_has_trained_is_not_built_again() -> None:
    variable, recipe = keras.Variable(1.0), OPTIMIZERS.SGD(0.1)
    recipe.build([variable])
    recipe.apply([tf.constant(1.0)])
    assert build(recipe, learning_rate=0.1) is recipe
    with pytest.raises(UserError, match="has taken 1 steps"):
        build(recipe, learning_rate=0.2)


def test_a_decay_without_a_rate_is_refused_where_the_recipe_has_a_schedule() -> None:
    with pytest.raises(UserError, match=r"optimizer\.learning_rate="):
        build(OPTIMIZERS.Adam(DECAY(0.1, 10, 0.5)), schedule=ScheduleConfig(name="cosine"))


def test_a_function_for_a_rate_cannot_be_warmed_up() -> None:
    with pytest.raises(UserError, match=r"optimizer\.learning_rate="):
        build(OPTIMIZERS.SGD(abs_rate), schedule=ScheduleConfig(warmup_steps=2))


def abs_rate() -> float:
    return 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "adma"}, "did you mean adam"),
        ({"options": {"momentun": 0.9}}, "momentun"),
        ({"name": "sgd", "options": {"beta_1": 0.9}}, "beta_1"),
    ],
)
def test_what_an_optimizer_does_not_take_is_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build(OPTIMIZERS.SGD(), **settings)
    assert "\n" not in str(caught.value)
