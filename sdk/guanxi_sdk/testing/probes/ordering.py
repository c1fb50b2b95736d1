"""Which models an edition has: in the order of insertion, behind a permission, by a name."""

from collections.abc import Iterator
from typing import Any

from guanxi_core.editions import Edition, Owner
from guanxi_sdk._docs import snake
from guanxi_sdk.model import Model
from guanxi_sdk.testing.probes.findings import ProbeFailed


def in_order(edition: Edition) -> Iterator[Owner]:
    """Models in the order in which rows can be inserted, then what is beside them."""
    tables = {model.info.table: model for model in edition.models.values()}
    done: set[Any] = set()
    waiting = list(edition.models.values())
    while waiting:
        for model in waiting:
            keys = model.info.table.foreign_key_constraints
            needed = {tables.get(key.referred_table) for key in keys} - {model, None}
            if needed <= done:
                break
        else:
            raise ProbeFailed("the models refer to each other in a circle: no row can come first.")
        waiting.remove(model)
        done.add(model)
        yield model
    for model in edition.models.values():
        yield from edition.owners(model)[1:]


def owners_behind(edition: Edition, permission: str) -> list[Owner]:
    """What a permission lets its holders read, in the order of insertion."""
    return [owner for owner in in_order(edition) if owner.info.read == permission]


def model_called(edition: Edition, stem: str) -> type[Model] | None:
    """The model whose name ends an argument's: ``former_employee`` means Employee."""
    found = [m for m in edition.models.values() if f"_{stem}".endswith(f"_{snake(m.info.name)}")]
    return max(found, key=lambda model: len(model.info.name), default=None)
