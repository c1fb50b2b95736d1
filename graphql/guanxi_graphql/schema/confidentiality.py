"""How closely contributed fields are kept: as what they are made of, unless they say otherwise."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlalchemy.sql.visitors import iterate

from guanxi_core.editions import Edition
from guanxi_sdk import Confidentiality, SQLMoney
from guanxi_sdk.contributions import Ambient, Contribution

_AMBIENT = Ambient(
    tenant_id=sa.bindparam("tenant_id", type_=sa.Uuid),
    today=sa.bindparam("today", type_=sa.Date),
    currency=sa.bindparam("currency", type_=sa.Text),
    user_id=sa.bindparam("user_id", type_=sa.Uuid),
)


def confidentiality_of(edition: Edition, contribution: Contribution) -> Confidentiality:
    """What the contribution declares, else the highest of the columns it reads."""
    if contribution.confidentiality is not None:
        return contribution.confidentiality
    if not any(_marked(edition).values()):
        return Confidentiality.INTERNAL
    if contribution.kind == "field":
        assert contribution.model is not None  # noqa: S101  the decorator demands it
        fields = contribution.model.info.fields
        levels = [fields[name].confidentiality for name in contribution.columns or fields]
    else:
        marked = _marked(edition)
        columns = _columns(contribution, given=False) | _columns(contribution, given=True)
        levels = [marked[column] for column in columns & marked.keys()]
    return max((*levels, Confidentiality.INTERNAL))


def _marked(edition: Edition) -> dict[tuple[str, str], Confidentiality]:
    """The columns that are more than internal, by table and name; private ones are secret."""
    owners: list[Any] = [*edition.models.values()]
    owners += [one for several in edition.extensions.values() for one in several]
    hidden = {
        (owner.info.table.name, column): Confidentiality.SECRET
        for owner in owners
        for field in owner.info.private.values()
        for column in field.columns
    }
    return hidden | {
        (owner.info.table.name, column): field.confidentiality
        for owner in owners
        for field in owner.info.fields.values()
        if field.confidentiality > Confidentiality.INTERNAL
        for column in field.columns
    }


def _columns(contribution: Contribution, *, given: bool) -> set[tuple[str, str]]:
    """Columns in the expression, with its arguments given or left out."""
    arguments = {
        one.name: sa.bindparam(f"argument_{one.name}", type_=sa.Text) if given else None
        for one in contribution.arguments
    }
    assert contribution.model is not None  # noqa: S101  the decorator demands it
    made = contribution.function(aliased(contribution.model), _AMBIENT, **arguments)
    parts: list[Any] = [made.minor, made.currency] if isinstance(made, SQLMoney) else [made]
    found = set()
    for element in (inner for part in parts for inner in iterate(part)):
        if isinstance(element, sa.ColumnClause) and element.table is not None:
            found |= {(base.table.name, base.name) for base in element.base_columns
                      if getattr(base, "table", None) is not None}  # fmt: skip
    return found
