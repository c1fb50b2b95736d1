"""What the database refuses, as a refusal that a caller understands.

PostgreSQL names table, constraint or column of a violation; the models know which attribute that
is. Neither SQL nor values reach the message.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.orm.exc import StaleDataError

from guanxi_sdk import Conflict, Extension, Invalid, Model, NotFound, Refusal
from guanxi_sdk._docs import words

_PREPARER: Final = dialect.dialect().identifier_preparer  # type: ignore[no-untyped-call]
_UNSTORABLE: Final = (
    asyncpg.CharacterNotInRepertoireError,
    asyncpg.UntranslatableCharacterError,
)

AnyModel = type[Model] | type[Extension]


def refusal_of(error: BaseException, models: Iterable[AnyModel] | None = None) -> Refusal | None:
    """The refusal that ``error``, or what caused it, amounts to; None for a fault of the server.

    ``models`` are those that the statement may have written, all by default.
    """
    if isinstance(error, StaleDataError):
        return Conflict()
    cause = _cause(error)
    if cause is None:
        return None
    if isinstance(cause, asyncpg.SerializationError | asyncpg.DeadlockDetectedError):
        return Conflict(None, "Somebody else changed the same data at the same time: repeat.")
    if isinstance(cause, asyncpg.NumericValueOutOfRangeError):
        return Invalid(None, "A number is too large.")
    if isinstance(cause, asyncpg.StringDataRightTruncationError):
        return Invalid(None, "A text is too long.")
    if isinstance(cause, _UNSTORABLE) or isinstance(cause.__cause__, UnicodeError):
        return Invalid(None, "A text holds a character that cannot be stored.")
    if isinstance(cause, asyncpg.DataError) or _is_argument_error(cause):
        return Invalid(None, "A value does not fit its type.")
    if not isinstance(cause, asyncpg.IntegrityConstraintViolationError):
        return None
    return _violation(cause, models)


def _violation(cause: Any, models: Iterable[AnyModel] | None) -> Refusal | None:
    table, column = cause.table_name, cause.column_name
    model = next((m for m in models or _all() if m.info.table.name == table), None)
    if isinstance(cause, asyncpg.NotNullViolationError):
        return Invalid(_attribute(model, [column]), "is required")
    columns = _columns(model, cause.constraint_name)
    path = _attribute(model, columns)
    if isinstance(cause, asyncpg.ForeignKeyViolationError | asyncpg.RestrictViolationError):
        if _is_referenced(cause):
            what = words(model.info.name) if model else "another object"
            return Invalid(None, f"This is still used by a {what}.", code="IN_USE")
        return NotFound(path)
    if isinstance(cause, asyncpg.UniqueViolationError | asyncpg.ExclusionViolationError):
        reason = "is already taken" if path else "There is such a row already."
        return Invalid(path, reason, code="ALREADY_EXISTS")
    if isinstance(cause, asyncpg.CheckViolationError):
        return Invalid(path, "is not allowed" if path else "A value is not allowed.")
    return None


def _all() -> Iterator[AnyModel]:
    return (mapper.class_ for mapper in Model.registry.mappers)


def _cause(error: BaseException | None) -> Any:
    """asyncpg's error behind SQLAlchemy's, if there is one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, asyncpg.PostgresError) or _is_argument_error(error):
            return error
        seen.add(id(error))
        error = getattr(error, "orig", None) or error.__cause__
    return None


def _is_argument_error(error: BaseException) -> bool:
    """Whether asyncpg could not even send a value; it hides that class behind another's name."""
    return isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)


def _is_referenced(cause: Any) -> bool:
    """Whether the row that others refer to was to go, rather than a reference to lead nowhere."""
    return isinstance(cause, asyncpg.RestrictViolationError) or str(cause).startswith("update or")


def _columns(model: AnyModel | None, name: str | None) -> list[str]:
    """The columns of a constraint or unique index, by the name it has in the database."""
    if model is None or not name:
        return []
    table = model.info.table
    for constraint in table.constraints:
        if _PREPARER.format_constraint(constraint) == name:
            if isinstance(constraint, sa.CheckConstraint):
                return _mentioned(table, constraint.sqltext)
            return [c.name for c in constraint.columns]  # type: ignore[attr-defined]
    for index in table.indexes:
        if _PREPARER.format_index(index) == name:
            return [c.name for c in index.columns]
    return []


def _mentioned(table: sa.Table, condition: sa.ColumnElement[Any]) -> list[str]:
    """The column that ``condition`` is about; none if there are several."""
    if isinstance(condition, sa.TextClause):
        names = {word for word in re.findall(r"\w+", condition.text) if word in table.c}
    else:
        found = sa.sql.visitors.iterate(condition)
        names = {element.name for element in found if isinstance(element, sa.Column)}
    return list(names) if len(names) == 1 else []


def _attribute(model: AnyModel | None, columns: Iterable[str | None]) -> str | None:
    """The attribute that the last column belongs to which is not the tenant's."""
    named = [column for column in columns if column and column != "tenant_id"]
    if model is None or not named:
        return None
    for name, field in model.info.fields.items():
        if named[-1] in field.columns:
            return name
    return named[-1]
