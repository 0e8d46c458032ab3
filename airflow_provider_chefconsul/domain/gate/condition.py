"""What a measured value must satisfy."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass

from airflow_provider_chefconsul.exceptions import InvalidInput

_COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_CONDITION = re.compile(r"\s*([<>]=?|[=!]=)\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class MetricCondition:
    """A comparison with a number.

    :param comparison: ``<``, ``<=``, ``>``, ``>=``, ``==`` or ``!=``.
    """

    comparison: str
    bound: float

    @classmethod
    def parse(cls, text: object) -> MetricCondition:
        """Parse a condition as authors write it, such as ``"< 0.01"``.

        :raises InvalidInput: it is anything else.
        """
        found = _CONDITION.fullmatch(text) if isinstance(text, str) else None
        if found is None or not math.isfinite(float(found[2])):
            raise InvalidInput(
                f'condition must be a comparison and a number, such as "< 0.01", ">= 5" or "== 0", not {text!r}'
            )
        return cls(found[1], float(found[2]))

    def is_met_by(self, value: float) -> bool:
        """Whether a value satisfies it."""
        return bool(_COMPARISONS[self.comparison](value, self.bound))

    def __str__(self) -> str:
        """The form that authors write."""
        return f"{self.comparison} {str(self.bound).removesuffix('.0')}"
