"""What plugins say about rows that are about to be imported."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Self

import msgspec

from guanxi_core.access import Access
from guanxi_core.hooks import ask
from guanxi_core.importing.binding import Binding, Converted
from guanxi_sdk import Model, Money
from guanxi_sdk.hookspecs import CoreHooks
from guanxi_sdk.info import FieldInfo


class Inquiry:
    """Asks the hook ``write_errors`` about rows of one model."""

    def __init__(
        self,
        access: Access,
        model: type[Model],
        fields: Sequence[FieldInfo],
        unknown: Collection[str],
    ) -> None:
        self._installation = access.installation
        self._model = model
        self._values = _rebuild(fields, unknown)

    @classmethod
    def of(cls, access: Access, binding: Binding) -> Self | None:
        """Nothing to ask where no plugin answers about the model."""
        if not access.installation.edition.hooks["write_errors"].concerns(binding.step.model):
            return None
        fields = [made.plan.info for made in binding.converters]
        return cls(access, binding.step.model, fields, binding.step.custom)

    def wrong(self, record: Sequence[Any]) -> str | None:
        """What is wrong with a row, given as its columns are stored."""
        arguments = {"model": self._model, "verb": "import", "values": self._values(record)}
        edition, plugins = self._installation.edition, self._installation.plugins
        errors = ask(edition, plugins, CoreHooks.write_errors, arguments)
        return "; ".join(str(error) for error in errors) or None

    def check(self, converted: Converted) -> None:
        """Reject the rows of a chunk that something is wrong with."""
        answers = [self.wrong(record) for record in converted.records]
        if not any(answers):
            return
        lines, records = converted.lines, converted.records
        converted.lines, converted.records = [], []
        for line, record, answer in zip(lines, records, answers, strict=True):
            if answer:
                converted.rejected.append((line, answer))
            else:
                converted.lines.append(line)
                converted.records.append(record)


def _rebuild(
    fields: Sequence[FieldInfo], unknown: Collection[str]
) -> Callable[[Sequence[Any]], Mapping[str, Any]]:
    """A function from stored columns to a row's values by attribute, as plugins know them.

    Those that are ``unknown`` to them, which custom fields are, are left out.
    """
    makers: list[tuple[str, int, Callable[..., Any] | None]] = []
    at = 0
    for field in fields:
        make: Callable[..., Any] | None = None
        if field.kind == "choice":
            make = field.python
        elif field.kind == "money":
            make = Money
        elif field.kind == "values":
            make = _decoder(field.python)
        if field.name not in unknown:
            makers.append((field.name, at, make))
        at += len(field.columns)

    def values(record: Sequence[Any]) -> dict[str, Any]:
        result = {}
        for name, at, make in makers:
            value = record[at]
            if make is not None and value is not None:
                value = make(value, record[at + 1]) if make is Money else make(value)
            result[name] = value
        return result

    return values


def _decoder(type_: Any) -> Callable[[str], Any]:
    return lambda text: msgspec.json.decode(text, type=type_)
