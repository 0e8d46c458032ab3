"""The values of an assignment: flat, public, and the same to both languages."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from airflow_provider_chefconsul.domain.model.document import fits_64_bits
from airflow_provider_chefconsul.exceptions import InvalidInput

Scalar = str | int | float | bool | None


def is_same(one: object, other: object) -> bool:
    """Whether two values are the same to recipes, which see types: 1, 1.0 and true are different values."""
    return type(one) is type(other) and one == other


def is_scalar(value: object) -> bool:
    """Whether a value is a JSON scalar that both languages read alike."""
    if isinstance(value, int):
        return fits_64_bits(value)
    return value is None or isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))


def check_values(values: object) -> dict[str, Scalar]:
    """Return ``values`` if they are a flat mapping of names to JSON scalars.

    :raises InvalidInput: names the value that is not.
    """
    if not isinstance(values, Mapping):
        raise InvalidInput(f"values must be a mapping of names to scalars, not {type(values).__name__}")
    for name, value in values.items():
        if not isinstance(name, str) or not name:
            raise InvalidInput(f"values: {name!r} is not a name for a value; use a non-empty string")
        if isinstance(value, int) and not fits_64_bits(value):
            raise InvalidInput(f"values[{name!r}] is an integer of more than 64 bits; not every language can read it")
        if not is_scalar(value):
            raise InvalidInput(
                f"values[{name!r}] must be a string, number, boolean or null, not {type(value).__name__}: "
                f"values are flat; put structure into the cookbook"
            )
    try:
        # As recipes will read them: a subclass such as an enum becomes JSON's plain type.
        plain: dict[str, Scalar] = json.loads(json.dumps(dict(values), ensure_ascii=False).encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(f"values contain text that is not valid Unicode: {error}") from error
    return plain
