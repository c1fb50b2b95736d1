"""What the webhooks plugin keeps: endpoints, messages to them, and each attempt to send one."""

import datetime as dt
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta
from sqlalchemy.orm import Mapped

from guanxi_sdk import Confidentiality, Extension, Model, column, reference
from guanxi_webhooks.choices import WebhookMessageStatus, WebhookStatus

#: Characters of a selection.
LONGEST: Final = 20_000
Sentence = Annotated[str, Meta(max_length=1_000)]
_CLOSED = ("create", "update", "archive", "restore")


class WebhookEndpoint(Model, closed=_CLOSED):
    """An address of another system that is told of events, as one user may see them."""

    url: Mapped[Annotated[str, Meta(max_length=2_000)]] = column(
        readonly=True, confidentiality=Confidentiality.CONFIDENTIAL
    )
    """Where messages are sent by POST; confidential, because addresses often hold a key."""

    description: Mapped[Sentence | None] = column(readonly=True)
    """What it is for."""

    events: Mapped[list[str]] = column(readonly=True)
    """Names of the events that it is told of; `webhookEvents` lists them."""

    selection: Mapped[Annotated[str, Meta(max_length=LONGEST)] | None] = column(readonly=True)
    """GraphQL query whose answer is sent; without one the event's own fields are."""

    user_id: Mapped[str] = column(indexed=True, readonly=True)
    """Id of the subscriber: the user whose rights decide what is sent."""

    status: Mapped[WebhookStatus] = column(
        indexed=True, readonly=True, default=WebhookStatus.ACTIVE
    )
    """Whether it is told of events."""

    disabled_reason: Mapped[Sentence | None] = column(readonly=True)
    """Why it was disabled."""

    disabled_at: Mapped[dt.datetime | None] = column(readonly=True)
    """When it was disabled."""

    previous_secret_until: Mapped[dt.datetime | None] = column(readonly=True)
    """Until when the secret before the present one signs as well."""

    secret: Mapped[str | None] = column(private=True)
    previous_secret: Mapped[str | None] = column(private=True)


class WebhookHealth(Extension, of=WebhookEndpoint):
    """How an endpoint fails, kept apart so that it changes without a change of the endpoint."""

    failures: Mapped[int | None]
    """Attempts that failed since one last succeeded."""

    failing_since: Mapped[dt.datetime | None]
    """When the first of these was made."""


class WebhookMessage(Model, within="endpoint", closed=_CLOSED):
    """One event on its way to one endpoint."""

    endpoint_id: Mapped[UUID] = reference(WebhookEndpoint, reverse="messages", readonly=True)
    """The endpoint that is told."""

    event: Mapped[str] = column(indexed=True, readonly=True)
    """Name of the event; `webhook.test` for a test."""

    event_id: Mapped[str | None] = column(readonly=True)
    """Id of the event, the same for all endpoints; null for a test."""

    subject: Mapped[str | None] = column(indexed=True, readonly=True)
    """Global id of the object that the event is about, if it is about one."""

    occurred_at: Mapped[dt.datetime] = column(readonly=True)
    """When the event happened."""

    status: Mapped[WebhookMessageStatus] = column(
        indexed=True, readonly=True, default=WebhookMessageStatus.PENDING
    )
    """How far it has come."""

    attempt_count: Mapped[int] = column(readonly=True, default=0)
    """How often it was tried, since it was last replayed."""

    next_attempt_at: Mapped[dt.datetime | None] = column(indexed=True, readonly=True)
    """When it is tried again."""

    sent_at: Mapped[dt.datetime | None] = column(readonly=True)
    """When the endpoint accepted it."""

    error: Mapped[Sentence | None] = column(readonly=True)
    """Why it is not sent."""

    payload: Mapped[Annotated[str, Meta(max_length=1_000_000)] | None] = column(private=True)


class WebhookAttempt(Model, within="message", append_only=True):
    """One attempt to send a message."""

    message_id: Mapped[UUID] = reference(WebhookMessage, reverse="attempts")
    """The message."""

    at: Mapped[dt.datetime]
    """When it was sent."""

    status_code: Mapped[int | None]
    """HTTP status of the answer; null if there was none."""

    milliseconds: Mapped[int]
    """How long the endpoint took."""

    error: Mapped[Sentence | None]
    """What went wrong; null if it was accepted."""
