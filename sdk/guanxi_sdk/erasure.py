"""What plugins answer when everything that is kept about a person is to be erased."""

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa

from guanxi_sdk.errors import PluginError
from guanxi_sdk.model import Extension, Model

#: What every row has, and what keeps it whole.
HOUSEKEEPING: Final = frozenset(
    {"tenant_id", "id", "created_at", "updated_at", "version", "archived_at", "erased_at"}
)


class Erasure:
    """Rows that hold something about a person, and what is to become of them.

    ``Erasure(Note, Note.person_id == id)`` deletes the rows, ``Erasure(Person, Person.id == id,
    "name", "phone")`` keeps them and blanks these attributes: null where that is allowed, else a
    value that says nothing. :meth:`blank` names all attributes at once.

    ``same`` is an attribute of the person's own row that holds the global id of the same person
    under another model, such as the user that an employee is: that one is erased, too. It must be
    readonly, or whoever may write it could have anybody erased.
    """

    def __init__(
        self,
        model: type[Model] | type[Extension],
        condition: sa.ColumnElement[bool],
        *attributes: str,
        same: str | None = None,
    ) -> None:
        self.model = model
        self.condition = condition
        #: Columns of the table; None where the rows are to be deleted.
        self.columns: tuple[str, ...] | None = None
        if attributes:
            self.columns = tuple(_columns(model, attributes))
        if same is not None:
            _check_same(model, same)
        self.same = same

    @classmethod
    def blank(
        cls,
        model: type[Model] | type[Extension],
        condition: sa.ColumnElement[bool],
        *,
        keep: Iterable[str] = (),
        same: str | None = None,
    ) -> "Erasure":
        """Blank all that is neither a reference nor named in ``keep``; the rows stay."""
        kept = {*HOUSEKEEPING, *(one.column for one in model.info.references.values())}
        kept.update(_columns(model, keep))
        names = [column.name for column in model.info.table.c if column.name not in kept]
        if not names:
            raise PluginError(
                model.info.plugin, f"{model.__name__} has nothing but references: there is nothing "
                "to blank.",
            )  # fmt: skip
        return cls(model, condition, *names, same=same)


class Hindrance:
    """Rows that must not be there when a person is erased, and what the caller is told.

    ``Hindrance(Loan, Loan.person_id == id, "has books of ours: take them back first")``.
    """

    def __init__(self, model: type[Model], condition: sa.ColumnElement[bool], message: str) -> None:
        self.model = model
        self.condition = condition
        self.message = message


def _check_same(model: type[Model] | type[Extension], name: str) -> None:
    """Refuse what is no text, and what others than the plugin itself write."""
    field = model.info.fields.get(name)
    if field is None or field.kind != "text" or not field.readonly:
        raise PluginError(
            model.info.plugin, f"{model.__name__} has no readonly text '{name}' that could say who "
            "the same person is.",
        )  # fmt: skip


def _columns(model: type[Model] | type[Extension], names: Iterable[str]) -> list[str]:
    """The table's columns behind attributes, private ones included."""
    info = model.info
    found: list[str] = []
    for name in names:
        field = info.fields.get(name)
        columns = field.columns if field else (name,)
        if HOUSEKEEPING.intersection(columns) or any(c not in info.table.c for c in columns):
            raise PluginError(
                info.plugin, f"{model.__name__} has no attribute '{name}' that could be erased."
            )
        found += columns
    return found
