"""What operators see of deliveries and jobs."""

import datetime as dt
from typing import Final

from sqlalchemy.orm import Mapped

from guanxi_sdk import Choice, Model, Permission, column

OPERATE: Final = Permission("guanxi.operate", "See deliveries of events, and repeat dead ones.")
JOBS: Final = Permission("guanxi.jobs", "See the progress of long work.")


class DeliveryStatus(Choice):
    """How far a delivery has come."""

    WAITING = "waiting", "等待", "Waiting"
    HELD = "held", "排队", "Behind an earlier one of the same entity"
    RUNNING = "running", "进行", "Running"
    DONE = "done", "完成", "Done"
    DEAD = "dead", "失败", "Given up"


class JobStatus(Choice):
    """How far a job has come."""

    RUNNING = "running", "进行", "Running"
    DONE = "done", "完成", "Done"
    FAILED = "failed", "失败", "Failed"


class Delivery(Model, plugin="guanxi", plural="deliveries", append_only=True, read=OPERATE.name):
    """An event on its way to one handler of a plugin, or one run of a schedule."""

    event: Mapped[str | None]
    """The event's name; null for a schedule."""
    plugin: Mapped[str]
    """Whose handler or schedule."""
    handler: Mapped[str]
    """The plugin's method."""
    entity: Mapped[str | None]
    """What the event is about; deliveries of one entity to one handler keep their order."""
    scheduled_for: Mapped[dt.datetime | None]
    """When the schedule was due; null for an event."""
    status: Mapped[DeliveryStatus] = column(indexed=True)
    """How far it has come."""
    attempts: Mapped[int]
    """How often it was tried."""
    due_at: Mapped[dt.datetime]
    """When it is tried next; while it runs, when its claim ends."""
    error: Mapped[str | None]
    """Why it failed last."""
    finished_at: Mapped[dt.datetime | None]
    """When it was done or given up."""


class Job(Model, plugin="guanxi", append_only=True, read=JOBS.name):
    """Long work and its progress."""

    kind: Mapped[str]
    """The mutation, handler or schedule that does it, or `administration`."""
    title: Mapped[str]
    """What is being done."""
    who: Mapped[str]
    """Who asked for it."""
    total: Mapped[int | None]
    """How much there is to do, if that is known."""
    done: Mapped[int]
    """How much is done."""
    message: Mapped[str | None]
    """What it says of itself."""
    status: Mapped[JobStatus] = column(indexed=True)
    """How far it has come."""
    finished_at: Mapped[dt.datetime | None]
    """When it was done or failed."""
