"""Rows of the outbox: reports of a transaction, kept in it until they are delivered."""

from collections.abc import Iterable
from typing import Any

import msgspec
from uuid_utils.compat import uuid7

from guanxi_core.access import Installation
from guanxi_core.delivery.queue import status_of
from guanxi_core.journal import Report
from guanxi_sdk import Event


def report_of(event: Event) -> Report:
    """An event that plugin code emitted, by class name, with its fields as payload."""
    return Report(type(event).__name__, msgspec.to_builtins(event), event)


def outbox_rows(installation: Installation, reports: Iterable[Report]) -> list[dict[str, Any]]:
    """The rows of ``guanxi_outbox`` for ``reports``, in their order."""
    return [
        {
            "tenant_id": installation.tenant.id, "id": uuid7(), "name": report.name,
            "payload": report.payload, "status": status_of(installation, report.name),
        }
        for report in reports
    ]  # fmt: skip
