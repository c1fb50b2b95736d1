"""Arguments for plugin code, so that what one plugin changes is nothing to the others."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from guanxi_sdk import Extension, Model

_CHANGEABLE: Final = (dict, list, set)
_STATE: Final = "_sa_instance_state"
_ROWS: Final = (Model, Extension)
_HOLDING: Final = (*_ROWS, list, tuple)


def shield(value: Any) -> Any:
    """A copy of ``value`` and of what it holds; a dictionary becomes read-only."""
    kind = type(value)
    if kind is dict:
        return MappingProxyType(own(value))
    return own(value) if kind in _CHANGEABLE else value


def own(value: Any) -> Any:
    """A copy of lists, dictionaries and sets, and of those in them; all else is taken as it is."""
    kind = type(value)
    if kind is list:
        return [own(item) if type(item) in _CHANGEABLE else item for item in value]
    if kind is dict:
        return {
            name: own(item) if type(item) in _CHANGEABLE else item for name, item in value.items()
        }
    return value.copy() if kind is set else value


class Rows:
    """The models' rows among the arguments of one call, which cannot be copied."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._before = [
            (row, dict(row.__dict__))
            for value in arguments.values() if isinstance(value, _HOLDING)
            for row in _rows(value)
        ]  # fmt: skip

    def restore(self) -> bool:
        """Undo what was done to them; whether there was anything."""
        changed = False
        for row, before in self._before:
            for name in [n for n in row.__dict__ if n not in before]:
                if row.info.stored(name) is None:  # a column loaded meanwhile is no change
                    vars(row).pop(name)
                    changed = True
            for name, value in before.items():
                if name != _STATE and row.__dict__.get(name) is not value:
                    setattr(row, name, value)
                    changed = True
        return changed


def _rows(value: Any) -> Iterator[Model | Extension]:
    if isinstance(value, _ROWS):
        yield value
    else:
        for item in value:
            if isinstance(item, _ROWS):
                yield item
