"""The parameters of a change, checked twice: as written when the Dag is parsed, and as rendered when the task runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.parameter import (
    check_members,
    check_tier_path,
    is_literal,
    is_reference,
    is_template,
)
from airflow_provider_chefconsul.domain.write.change import parse_change
from airflow_provider_chefconsul.domain.write.pacing import parse_pacing
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.operators.writing import check_sequence, sequence_of
from airflow_provider_chefconsul.triggers.stoppable import Stoppable
from airflow_provider_chefconsul.triggers.writer import writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg
    from airflow.sdk.types import Logger

    from airflow_provider_chefconsul.domain.model.values import Scalar
    from airflow_provider_chefconsul.domain.write.change import Change

CHANGE_FIELDS = ("environment", "tier", "state", "values", "canary", "slots", "sequence", "members", "consul_conn_id")
"""The parameters of a change that are templated."""

_ANY = Writer("any", "any", "any")


class ChangeOperator(Stoppable):
    """Takes the parameters of a change; they are documented by ``SetDesiredStateOperator``."""

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str],
        state: str,
        values: Mapping[str, Scalar] | XComArg | None = None,
        canary: int | str | Sequence[str] | None = None,
        spread: str | None = None,
        slots: int | str | None = None,
        per: str | None = None,
        spread_over: timedelta | None = None,
        sequence: int | str | None = None,
        members: str | Sequence[str] = "service",
        consul_conn_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if spread is not None:
            if canary is None:
                raise InvalidInput("spread requires canary")
            Wave.parse(1, spread)  # of the two, only the canary is templated
        check_tier_path(environment, tier)
        check_members(members)
        check_written_change(state=state, values=values, canary=canary, spread=spread)
        check_written_pacing(slots, per, spread_over)
        check_sequence(sequence)
        self.environment = environment
        self.tier = tier
        self.state = state
        self.values = values
        self._texts = find_texts(values)
        self.canary = canary
        self.spread = spread
        self.slots = slots
        self.per = per
        self.spread_over = spread_over
        self.sequence = sequence
        self.members = members
        self.consul_conn_id = consul_conn_id

    def parse_change(self, context: Context, **options: Any) -> Change:
        """The change that the parameters describe in this run.

        :param options: further parameters of :func:`parse_change`.
        :raises InvalidInput: names the parameter that is refused.
        """
        return parse_change(
            state=self.state,
            writer=writer_of(context),
            values=keep_texts(self.values, self._texts, self.log),
            canary=self.canary,
            spread=self.spread,
            slots=self.slots,
            per=self.per,
            spread_over=self.spread_over,
            sequence=sequence_of(context, self.sequence),
            **options,
        )


def check_wave(wave: object) -> tuple[int, int] | None:
    """Return ``wave`` when it is the number of a wave and how many there are.

    :raises InvalidInput: it is not.
    """
    match wave:
        case None:
            return None
        case (int() as number, int() as of) if 0 < number <= of:
            return number, of
    raise InvalidInput(f"wave must be the number of a wave and how many there are, such as (2, 3), not {wave!r}")


def check_written_change(
    *, state: Any = "any", values: Any = None, canary: Any = None, spread: Any = None, allowed_from: Any = None
) -> None:
    """Check those parameters of a change, or parts of them, that are written out; the task checks the rest.

    :raises InvalidInput: names the parameter that is refused.
    """
    if isinstance(values, Mapping):
        values = {name: value if is_literal(value) else "" for name, value in values.items()}
    if isinstance(allowed_from, (list, tuple)):
        allowed_from = [name for name in allowed_from if is_literal(name)]
    parse_change(
        state=state if is_literal(state) else "any",
        writer=_ANY,
        values=values if is_literal(values) else None,
        canary=canary if is_literal(canary) else None,
        spread=spread if is_literal(canary) else None,
        allowed_from=allowed_from if is_literal(allowed_from) else None,
    )


def check_written_pacing(slots: Any, per: object, spread_over: object) -> None:
    """Check how fast nodes may take a change up, as far as it is written out; the task checks the rest.

    :raises InvalidInput: names the parameter that is refused.
    """
    parse_pacing(slots if is_literal(slots) else 1, per, spread_over)


def find_texts(values: Any) -> dict[str, str]:
    """By name, the values that are text as the author wrote them, with Jinja or without."""
    if is_reference(values) or not isinstance(values, Mapping):
        return {}
    return {name: value for name, value in values.items() if isinstance(value, str)}


def keep_texts(values: Any, texts: Mapping[str, str], log: Logger) -> Any:
    """Undo what native rendering did to text, where that is possible.

    A Dag with ``render_template_as_native_obj=True`` reads all rendered text as a Python literal, so release "2.10"
    becomes 2.1. Text without Jinja is put back. A template that became a number with a fraction is refused, since its
    text is lost. A template that became another type may be what the author wants; the log names it.

    :param texts: as :func:`find_texts` gave them before the templates were rendered.
    :raises InvalidInput: names the value, and says how to keep its text.
    """
    if not isinstance(values, Mapping):
        return values
    kept = dict(values)
    for name, text in texts.items():
        value = values.get(name)
        if isinstance(value, str):
            continue
        if not is_template(text):
            kept[name] = text
        elif isinstance(value, float):
            quoted = f"'{text}'"
            raise InvalidInput(
                f"values[{name!r}]: template {text!r} became the number {value!r}, because this Dag renders templates "
                f'natively, which turns "2.10" into 2.1; for text, quote the template once more, '
                f'"{quoted}"; for a number, take it from an XCom or from dag.param()'
            )
        else:
            log.info("values[%r] is written as %s, not as text: %r became %r", name, type(value).__name__, text, value)
    return kept
