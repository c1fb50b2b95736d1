"""Messages: made of events, tried again, replayed, and forgotten at last."""

import datetime as dt
from collections.abc import Iterable
from typing import Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from guanxi_sdk import AnyEvent, Conflict, Context, Delivery
from guanxi_webhooks.choices import WebhookMessageStatus, WebhookStatus
from guanxi_webhooks.events import WebhookMessageQueued
from guanxi_webhooks.models import WebhookAttempt, WebhookEndpoint, WebhookMessage
from guanxi_webhooks.payloads import TEST, subjects, variables

#: Messages that one transaction queues.
_MANY: Final = 500


async def record(ctx: Context, event: AnyEvent) -> None:
    """Make a message for each endpoint that is told of such events."""
    wanted = sa.select(WebhookEndpoint.id).where(
        WebhookEndpoint.status == WebhookStatus.ACTIVE,
        WebhookEndpoint.archived_at.is_(None),
        sa.literal(event.name, sa.Text) == sa.any_(WebhookEndpoint.events),
    )
    delivery = Delivery.current()
    for endpoint_id in await ctx.db.scalars(wanted.order_by(WebhookEndpoint.id)):
        message = WebhookMessage(
            endpoint_id=endpoint_id, event=event.name, event_id=str(delivery.id),
            subject=_subject(ctx, event), occurred_at=delivery.at,
            payload=msgspec.json.encode(event.payload).decode(),
        )  # fmt: skip
        _queue(ctx, [await ctx.add(message)])


async def test(ctx: Context, endpoint: WebhookEndpoint) -> WebhookMessage:
    """A message that says nothing, whatever the endpoint's status."""
    message = WebhookMessage(endpoint_id=endpoint.id, event=TEST, occurred_at=ctx.now())
    _queue(ctx, [await ctx.add(message)])
    return message


async def replay(ctx: Context, message_id: UUID) -> WebhookMessage:
    """Send a message again that was sent, given up or withheld.

    One that is about to be sent is queued once more for the same attempt, in case its delivery
    died. Deliveries to an endpoint come one after the other, and the first makes the attempt.
    """
    message = await ctx.get(WebhookMessage, message_id)
    pending = message.status is WebhookMessageStatus.PENDING
    if pending and message.next_attempt_at is not None:
        raise Conflict("id", "is tried again by itself, see nextAttemptAt")
    await _active(ctx, message.endpoint_id)
    if pending:
        _queue(ctx, [message])
    else:
        await _again(ctx, [message])
    return message


async def replay_failed(ctx: Context, endpoint_id: UUID, since: dt.datetime) -> int:
    """Send messages of an endpoint again that were given up, the oldest first."""
    await _active(ctx, endpoint_id)
    failed = (
        sa.select(WebhookMessage)
        .where(
            WebhookMessage.endpoint_id == endpoint_id,
            WebhookMessage.status == WebhookMessageStatus.FAILED,
            WebhookMessage.occurred_at >= since,
            WebhookMessage.event != TEST,
        )
        .order_by(WebhookMessage.occurred_at, WebhookMessage.id)
        .limit(_MANY)
    )
    return await _again(ctx, (await ctx.db.scalars(failed)).all())


async def retry(ctx: Context) -> None:
    """Queue what is due to be tried again."""
    due = (
        sa.select(WebhookMessage)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookMessage.endpoint_id)
        .where(
            WebhookMessage.status == WebhookMessageStatus.PENDING,
            WebhookMessage.next_attempt_at <= ctx.now(),
            WebhookEndpoint.status == WebhookStatus.ACTIVE,
            WebhookEndpoint.archived_at.is_(None),
        )
        .order_by(WebhookMessage.next_attempt_at, WebhookMessage.id)
        .limit(_MANY)
    )
    messages = (await ctx.db.scalars(due)).all()
    for message in messages:
        message.next_attempt_at = None
    await ctx.db.flush()
    _queue(ctx, messages)


async def forget(ctx: Context, keep: dt.timedelta) -> None:
    """Delete messages that are older, with their attempts."""
    old = WebhookMessage.created_at < ctx.now() - keep
    of_old = WebhookAttempt.message_id.in_(sa.select(WebhookMessage.id).where(old))
    await ctx.delete_where(WebhookAttempt, of_old)
    await ctx.delete_where(WebhookMessage, old)


async def _again(ctx: Context, messages: Iterable[WebhookMessage]) -> int:
    messages = list(messages)
    for message in messages:
        message.status = WebhookMessageStatus.PENDING
        message.attempt_count = 0
        message.next_attempt_at = message.sent_at = message.error = None
    await ctx.db.flush()
    _queue(ctx, messages)
    return len(messages)


def _queue(ctx: Context, messages: Iterable[WebhookMessage]) -> None:
    for message in messages:
        ctx.emit(
            WebhookMessageQueued(
                endpoint_id=message.endpoint_id,
                message_id=message.id,
                attempt=message.attempt_count,
            )
        )


async def _active(ctx: Context, endpoint_id: UUID) -> None:
    endpoint = await ctx.get(WebhookEndpoint, endpoint_id, path="endpoint_id")
    if endpoint.status is not WebhookStatus.ACTIVE or endpoint.archived_at is not None:
        raise Conflict("endpoint_id", "is not active: resume the webhook first")


def _subject(ctx: Context, event: AnyEvent) -> str | None:
    known = ctx.events()
    info = known.get(event.name)
    if info is None:
        return None
    asked = subjects(info, known)
    sent = variables(info, {name: event.payload.get(name) for name in asked}, known)
    return next((value for value in sent.values() if value is not None), None)
