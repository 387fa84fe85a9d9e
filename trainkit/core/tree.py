"""What a task is: the data, model, loss and metrics that a `Trainer` trains. Imports neither TensorFlow nor Keras."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


# One array, or a tuple or dict of arrays for a model with several inputs or outputs.
Structure = Any


def leaves(structure: Structure) -> Iterable[Any]:
    """The arrays of a structure of tuples, lists and dicts, in order; None has none."""
    if isinstance(structure, Mapping):
        for key in structure:
            yield from leaves(structure[key])
    elif isinstance(structure, (tuple, list)):
        for item in structure:
            yield from leaves(item)
    elif structure is not None:
        yield structure


def map_leaves(function: Any, structure: Structure) -> Structure:
    """`function` applied to every array of a structure, the structure kept."""
    if isinstance(structure, Mapping):
        return {key: map_leaves(function, value) for key, value in structure.items()}
    if isinstance(structure, (tuple, list)):
        return type(structure)(map_leaves(function, value) for value in structure)
    return None if structure is None else function(structure)
