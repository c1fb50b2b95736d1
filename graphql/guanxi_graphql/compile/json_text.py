"""JSON put together as text in the statement.

PostgreSQL takes two thirds of the time for it that `row_to_json` and `json_agg` take, which look up
the type of each column for each row.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import concat_op

from guanxi_graphql.compile.scope import as_text, literal

_CHAIN = 64  # operands of `||` in a row: the parser goes as deep as there are


class JSONText(sa.Text):
    """Text that is JSON already; NULL stands for null."""


class _Joined(FunctionElement[str]):
    """Texts one after the other: what a chain of ``||`` is, made at once."""

    name = "joined"
    inherit_cache = False
    type = JSONText()


@compiles(_Joined)
def _render(element: _Joined, compiler: Any, **options: Any) -> str:
    return f"({' || '.join([compiler.process(term, **options) for term in element.clauses])})"


class Parts:
    """JSON in the making: its own text and SQL expressions of text, side by side; never NULL."""

    def __init__(self, parts: Iterable[Any]) -> None:
        self.parts: list[Any] = []
        for part in parts:
            if isinstance(part, str) and self.parts and isinstance(self.parts[-1], str):
                self.parts[-1] += part
            else:
                self.parts.append(part)

    @property
    def expression(self) -> Any:
        """All of it as one SQL expression."""
        terms = [
            literal(part) if isinstance(part, str) else part.self_group(against=concat_op)
            for part in self.parts
        ]
        chains = [_Joined(*terms[at : at + _CHAIN]) for at in range(0, len(terms), _CHAIN)]
        return chains[0] if len(chains) == 1 else sa.func.concat(*chains, type_=JSONText)


NULL = Parts(["null"])


def constant(text: str) -> Parts:
    """A name of the schema as a JSON string."""
    return Parts([f'"{text}"'])


def quoted(expression: Any, *, nullable: bool = True) -> Parts:
    """An SQL expression whose text needs no escaping, as a JSON string."""
    if not nullable:
        return Parts(['"', as_text(expression), '"'])
    return Parts(
        [
            sa.func.coalesce(
                literal('"').concat(as_text(expression)).concat(literal('"')), literal("null")
            )
        ]
    )


def rendered(expression: Any, *, nullable: bool = True) -> Parts:
    """An SQL expression as JSON, by its type."""
    type_ = expression.type
    if isinstance(type_, JSONText):
        text = expression
    elif isinstance(type_, sa.Boolean | sa.Integer):
        text = as_text(expression)
    elif isinstance(type_, sa.Uuid | sa.Date):
        return quoted(expression, nullable=nullable)
    else:
        text = as_text(sa.func.to_json(expression))
    return Parts([sa.func.coalesce(text, literal("null")) if nullable else text])


def object_of(columns: Sequence[tuple[str, Any]]) -> Parts:
    """An object; its values are parts or SQL expressions."""
    parts: list[Any] = ["{"]
    for key, value in columns:
        parts.append(f'{"," if len(parts) > 1 else ""}"{key}":')
        parts += (value if isinstance(value, Parts) else rendered(value)).parts
    return Parts([*parts, "}"])


def array_of(rows: Any) -> Parts:
    """The objects of a select as an array, in their order."""
    joined = sa.func.coalesce(sa.func.string_agg(rows.c.j, literal(",")), literal(""))
    return Parts(["[", sa.select(joined).select_from(rows).scalar_subquery(), "]"])


def in_bytes(text: Any) -> Any:
    """Text as UTF-8, which the driver hands on as it is."""
    return sa.func.convert_to(text, sa.literal_column("'UTF8'"))
