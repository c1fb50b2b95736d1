"""Columns as authors declare them: what their types are in the database, and how to adjust them."""

import datetime as dt
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from guanxi_sdk.access import Confidentiality
from guanxi_sdk.errors import PluginError
from guanxi_sdk.info import Kind
from guanxi_sdk.values import Choice, Value

if TYPE_CHECKING:
    from guanxi_sdk.model import Model

#: Longest text when the annotation does not say: short enough for every index.
DEFAULT_MAX_LENGTH: Final = 500


@dataclass(frozen=True, slots=True)
class Spec:
    """What `column()` and its siblings were told, until the class is complete."""

    indexed: bool = False
    default: Any = None
    readonly: bool = False
    target: "type[Model] | Literal['self'] | None" = None
    reverse: str | None = None
    confidentiality: Confidentiality = Confidentiality.INTERNAL
    private: bool = False
    search: bool = False


def column(
    *,
    indexed: bool = False,
    default: Any = None,
    readonly: bool = False,
    confidentiality: Confidentiality = Confidentiality.INTERNAL,
    private: bool = False,
    search: bool = False,
) -> Any:
    """Adjust a column: ``indexed`` makes it filterable and sortable.

    ``search`` lets a text be found by any part of what it says: Chinese as it is written, by its
    pinyin or by initials, words by how they begin. The first 200 characters count.

    What is more confidential than the caller's clearance answers null, cannot be written and is
    refused in filters and orders; reading what is ``SECRET`` takes a reason and is audited.

    A ``private`` one is for the plugin's own code: no caller reads, writes, filters, imports or
    exports it, and the audit tells that the row was changed, not the value.
    """
    if not isinstance(confidentiality, Confidentiality):
        levels = ", ".join(f"Confidentiality.{level.name}" for level in Confidentiality)
        raise PluginError(
            "", f"column(confidentiality={confidentiality!r}) is no level: write one of {levels}."
        )
    return Spec(
        indexed=indexed, default=default, readonly=readonly, confidentiality=confidentiality,
        private=private, search=search,
    )  # fmt: skip


def reference(
    model: "type[Model] | Literal['self']", *, reverse: str | None = None, readonly: bool = False
) -> Any:
    """Refer to another model; ``reverse`` names the list that the other model gains.

    The attribute is called ``<relation>_id`` and annotated ``Mapped[UUID]``, or
    ``Mapped[UUID | None]`` where it may be empty.
    """
    return Spec(target=model, reverse=reverse, indexed=True, readonly=readonly)


class ValuesType(sa.types.TypeDecorator[list[Any]]):
    """A list of :class:`Value` kept as JSON."""

    impl = JSONB(none_as_null=True)
    cache_ok = True

    def __init__(self, item: type[Value]) -> None:
        super().__init__()
        self.item = item

    def process_bind_param(self, value: list[Any] | None, dialect: sa.Dialect) -> Any:
        """The values as JSON."""
        return None if value is None else msgspec.to_builtins(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        """JSON as the values."""
        return None if value is None else msgspec.convert(value, list[self.item])  # type: ignore[name-defined]


def choice_type(choice: type[Choice], column: str) -> sa.Enum:
    """Text that is one of the values of ``choice``, as a CHECK of the column says."""
    return sa.Enum(
        choice,
        native_enum=False,
        create_constraint=True,
        length=40,
        name=column,  # two columns of one table may share a choice
        values_callable=lambda c: [member.value for member in c],
    )


SIMPLE: Final[dict[Any, tuple[Kind, Any]]] = {
    str: ("text", sa.Text),
    int: ("int", sa.Integer),
    float: ("float", sa.Float(53)),
    bool: ("bool", sa.Boolean),
    dt.date: ("date", sa.Date),
    dt.datetime: ("datetime", sa.TIMESTAMP(timezone=True)),
    UUID: ("reference", sa.Uuid),
    list[str]: ("texts", ARRAY(sa.Text)),
}


def read_annotation(annotation: Any) -> tuple[Any, bool, dict[str, Any]]:
    """``Mapped[Annotated[str, Meta(…)] | None]`` as (type, nullable, limits)."""
    limits: dict[str, Any] = {}
    nullable = False
    inner = get_args(annotation)[0]
    while True:
        origin = get_origin(inner)
        if origin is Annotated:
            inner, *extras = get_args(inner)
            for meta in extras:
                if isinstance(meta, msgspec.Meta):
                    limits |= {
                        "max_length": meta.max_length,
                        "minimum": meta.ge,
                        "maximum": meta.le,
                    }
        elif origin in (Union, types.UnionType):
            members = [a for a in get_args(inner) if a is not type(None)]
            nullable = len(members) < len(get_args(inner))
            inner = members[0] if len(members) == 1 else inner
            if len(members) != 1:
                return inner, nullable, limits
        else:
            return inner, nullable, {k: v for k, v in limits.items() if v is not None}
