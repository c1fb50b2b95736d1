"""What is checked of a plugin's methods as its class is made."""

import datetime as dt
from collections.abc import Callable
from typing import Any, get_args
from uuid import UUID

from cronsim import CronSim, CronSimError

from guanxi_sdk._docs import documented
from guanxi_sdk.context import Context, Outside
from guanxi_sdk.errors import PluginError
from guanxi_sdk.model import Model
from guanxi_sdk.values import Event, Permission


def check_cron(plugin: str, name: str, cron: str) -> None:
    """Refuse what is no cron expression, or never comes true."""
    try:
        if len(cron.split()) != 5:
            raise CronSimError("five fields are needed")
        next(CronSim(cron, dt.datetime.now(dt.UTC)))
    except (CronSimError, StopIteration) as error:
        raise PluginError(
            plugin, f"{name}(): {cron!r} is no cron expression ({error or 'it never comes true'}): "
            "write minute, hour, day of month, month and day of week, such as '0 3 * * *'.",
        ) from None  # fmt: skip


def check_columns(
    plugin: str, name: str, model: type[Model], columns: tuple[str, ...] | None
) -> None:
    """Refuse names of attributes that a model does not have."""
    known = model.info.fields
    for column in columns or ():
        if column not in known:
            raise PluginError(
                plugin, f"{name}(): columns= names {column!r}, which {model.info.name} does not "
                f"have: it has {', '.join(known)}.",
            )  # fmt: skip


def check_context(plugin: str, name: str, annotation: Any, *, outside: bool) -> None:
    """Refuse a handler that is annotated with the other kind of context."""
    if outside and annotation is Context:
        raise PluginError(
            plugin, f"{name}() is called outside any transaction: annotate ctx as Outside, and "
            "open one with `async with ctx.transaction() as inner`.",
        )  # fmt: skip
    if not outside and annotation is Outside:
        raise PluginError(
            plugin, f"{name}() takes an Outside: say outside=True, or annotate ctx as Context."
        )


def check_entity(plugin: str, event: type[Event]) -> None:
    """Refuse an event whose entity is none of its fields."""
    if event.__entity__ is not None and event.__entity__ not in event.__struct_fields__:
        raise PluginError(
            plugin, f"event {event.__name__} has no field '{event.__entity__}': name one of its "
            "fields as entity.",
        )  # fmt: skip


def check_shown(plugin: str, name: str, returns: Any, needs: Any) -> None:
    """Refuse a result by which clients find nothing, and what is no permission."""
    if _holds_uuid(returns):
        raise PluginError(
            plugin, f"{name}() returns a UUID, by which clients find no row: return the row, or a "
            "str that global_id() makes.",
        )  # fmt: skip
    if needs is not None and not isinstance(needs, Permission):
        raise PluginError(
            plugin, f"{name}() has needs={needs!r}, which is no permission: import the one that a "
            "plugin declares, or write Permission('customers.read', 'See customers.').",
        )  # fmt: skip


def _holds_uuid(annotation: Any) -> bool:
    return annotation is UUID or any(map(_holds_uuid, get_args(annotation)))


def described(plugin: str, name: str, function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """What a method's docstring says of it, and of its arguments under ``Args:``."""
    try:
        return documented(function.__doc__)
    except ValueError as error:
        raise PluginError(
            plugin, f"{name}(): the line {str(error).strip()!r} under Args: is not 'name: what it "
            "is', indented by four spaces, nor goes on with one, indented further.",
        ) from None  # fmt: skip
