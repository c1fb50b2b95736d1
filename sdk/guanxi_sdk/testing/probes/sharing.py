"""What all tenants of one probe have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from guanxi_core.editions import Edition


@dataclass
class Shared:
    """What all tenants of one probe are filled alike with."""

    edition: Edition
    #: Values that the author named, by attribute or argument, by ``Model.attribute``, or by
    #: ``mutation.Model.attribute`` for the rows that this mutation alone finds.
    examples: Mapping[str, Any] = field(default_factory=dict)
    #: What constraints asked for, by table, row and column.
    fixes: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    #: Columns of the database that no model maps, by table, with the type of each.
    unmapped: dict[str, dict[str, str]] = field(default_factory=dict)
    #: Tables with rows of tenants that no model stands for.
    tables: tuple[str, ...] = ()

    def of(self, mutation: str) -> "Shared":
        """With the rows that one mutation is to find."""
        start = f"{mutation}."
        rows = {
            key.removeprefix(start): value
            for key, value in self.examples.items()
            if key.startswith(start) and key.count(".") == 2
        }
        return replace(self, examples={**self.examples, **rows})

    def example(self, owner: str, name: str) -> tuple[Any] | None:
        """The author's value, if there is one."""
        for key in (f"{owner}.{name}", name):
            if key in self.examples:
                return (self.examples[key],)
        return None
