"""Sending one message: what the subscriber may see of it now, signed, and what became of it."""

import datetime as dt
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
import sqlalchemy as sa

from guanxi_sdk import Context, EgressFailed, EgressRefused, Forbidden, GuanxiError, Outside
from guanxi_webhooks.choices import WebhookMessageStatus, WebhookStatus
from guanxi_webhooks.events import WebhookMessageQueued
from guanxi_webhooks.managing import disable, insecure
from guanxi_webhooks.models import WebhookAttempt, WebhookEndpoint, WebhookHealth, WebhookMessage
from guanxi_webhooks.patience import hopeless, next_pause
from guanxi_webhooks.payloads import OWN, TEST, deaf, subjects, variables
from guanxi_webhooks.settings import WebhookSettings
from guanxi_webhooks.signing import signed

log = logging.getLogger(__name__)

_WRITE: Final = f"{OWN}.write"
_SEEN: Final = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
_USER_GONE: Final = "Its user is archived."
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class _Parcel:
    """What is to be sent, as it stood when the attempt began."""

    message_id: UUID
    global_id: str
    event: str
    occurred_at: dt.datetime
    url: str
    keys: tuple[str, ...]
    user_id: UUID
    selection: str | None
    variables: Mapping[str, Any]
    ids: tuple[str, ...]  # global ids of what must be visible to the subscriber


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of an attempt."""

    kind: Literal["sent", "failed", "refused", "gone"]
    error: str | None = None
    status_code: int | None = None
    milliseconds: int = 0


class _Withheld(Exception):
    """The subscriber may not know of it; the message says why."""


async def send(ctx: Outside, settings: WebhookSettings, event: WebhookMessageQueued) -> None:
    """Make one attempt, unless it was made already or is not to be made any more."""
    async with ctx.transaction() as inner:
        parcel = await _parcel(inner, event)
    if parcel is None:
        return
    try:
        data = await _data(ctx, parcel)
    except _Withheld as withheld:
        async with ctx.transaction() as inner:
            if (found := await _pending(inner, event)) is not None:
                await _withhold(inner, found[0], str(withheld))
        return
    except Forbidden:  # archived since the attempt began
        async with ctx.transaction() as inner:
            await disable(inner, event.endpoint_id, _USER_GONE)
        return
    except GuanxiError:
        raise  # for instance an outage of the database: nothing was tried yet
    except Exception as error:
        data = _unexpected(parcel, error)
    at = ctx.now()
    if isinstance(data, _Outcome):
        outcome = data
    else:
        try:
            outcome = await _post(ctx, settings, parcel, data, at)
        except Exception as error:
            outcome = _unexpected(parcel, error)
    async with ctx.transaction() as inner:
        await _note(inner, settings, event, outcome, at)


# --- what is sent ------------------------------------------------------------------------------


async def _pending(
    ctx: Context, event: WebhookMessageQueued
) -> tuple[WebhookMessage, WebhookEndpoint] | None:
    """Message and endpoint, if just this attempt is still to be made."""
    found = (
        await ctx.db.execute(
            sa.select(WebhookMessage, WebhookEndpoint)
            .join(WebhookEndpoint, WebhookEndpoint.id == WebhookMessage.endpoint_id)
            .where(
                WebhookMessage.id == event.message_id,
                WebhookMessage.status == WebhookMessageStatus.PENDING,
                WebhookMessage.attempt_count == event.attempt,
            )
        )
    ).one_or_none()
    return None if found is None else (found[0], found[1])


async def _parcel(ctx: Context, event: WebhookMessageQueued) -> _Parcel | None:
    found = await _pending(ctx, event)
    if found is None:
        return None
    message, endpoint = found
    if endpoint.archived_at is not None:
        message.status, message.error = WebhookMessageStatus.FAILED, "The endpoint is archived."
        return None
    user_id = UUID(endpoint.user_id.removeprefix("user_"))
    sent, ids = {}, ()
    if message.event != TEST:
        if endpoint.status is not WebhookStatus.ACTIVE:
            return None  # it waits until the endpoint is resumed
        try:
            rights = await ctx.rights_of(user_id)
        except Forbidden:
            await disable(ctx, endpoint.id, _USER_GONE)
            return None
        known = ctx.events()
        info = known.get(message.event)
        if info is None:
            await _withhold(ctx, message, "Its plugin is switched off.")
            return None
        if message.payload is None:
            await _withhold(ctx, message, "What it told of was erased.")
            return None
        payload = msgspec.json.decode(message.payload)
        sent = variables(info, payload, known)
        asked = {name: payload.get(name) for name in subjects(info, known)}
        ids = tuple(one for one in variables(info, asked, known).values() if one is not None)
        problem = deaf(info, rights, ids)
        if _WRITE not in rights.permissions:
            problem = f"needs the permission '{_WRITE}'"
        if problem:
            await _withhold(ctx, message, f"{message.event} {problem}.")
            return None
    overlaps = (endpoint.previous_secret_until or ctx.now()) > ctx.now()
    keys = (endpoint.secret, endpoint.previous_secret if overlaps else None)
    return _Parcel(
        message.id, f"{message.info.prefix}_{message.id}", message.event, message.occurred_at,
        endpoint.url, tuple(key for key in keys if key), user_id,
        None if message.event == TEST else endpoint.selection, sent, ids,
    )  # fmt: skip


async def _data(ctx: Outside, parcel: _Parcel) -> dict[str, Any] | _Outcome:
    """``data``, and ``errors`` beside it, as the subscriber may see them now."""
    if parcel.ids:
        seen = await ctx.graphql.execute(_SEEN, {"ids": parcel.ids}, user_id=parcel.user_id)
        if None in ((seen.get("data") or {}).get("nodes") or [None]):
            raise _Withheld("The subscriber may not see what it is about.")
    if parcel.selection is None:
        return {"data": parcel.variables}
    answer = await ctx.graphql.execute(parcel.selection, parcel.variables, user_id=parcel.user_id)
    if "data" in answer:
        return answer
    reason = answer["errors"][0]["message"]
    return _Outcome("failed", f"The selection cannot be answered any more: {reason}"[:1000])


async def _post(
    ctx: Outside, settings: WebhookSettings, parcel: _Parcel, data: dict[str, Any], at: dt.datetime
) -> _Outcome:
    if problem := insecure(settings, parcel.url):
        return _Outcome("refused", f"The address {problem}.")
    happened = parcel.occurred_at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    content = msgspec.json.encode({"type": parcel.event, "timestamp": happened, **data}).decode()
    headers = {"content-type": "application/json", "user-agent": _agent()}
    headers |= signed(parcel.keys, parcel.global_id, at, content)
    began = time.monotonic()
    try:
        answer = await ctx.egress.send(
            "POST", parcel.url, content=content.encode(), headers=headers, timeout=settings.timeout
        )
    except EgressRefused as refused:
        return _Outcome("refused", str(refused)[:1000])
    except EgressFailed as failed:
        return _Outcome("failed", str(failed)[:1000], None, _since(began))
    status, took = answer.status, _since(began)
    if 200 <= status < 300:
        return _Outcome("sent", None, status, took)
    if status == _GONE:
        return _Outcome("gone", "It answered 410: nobody wants these messages.", status, took)
    more = "; redirects are not followed" if 300 <= status < 400 else ""
    return _Outcome("failed", f"It answered {status}{more}.", status, took)


def _unexpected(parcel: _Parcel, error: Exception) -> _Outcome:
    """A failed attempt all the same, so that the message is tried again or given up in time."""
    log.error("%s could not be sent", parcel.global_id, exc_info=error)
    return _Outcome("failed", f"It could not be sent: {type(error).__name__}.")


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


@lru_cache(maxsize=1)
def _agent() -> str:
    return f"guanxi/{version('guanxi')}"


# --- what became of it -------------------------------------------------------------------------


async def _withhold(ctx: Context, message: WebhookMessage, reason: str) -> None:
    message.status, message.error = WebhookMessageStatus.WITHHELD, reason
    message.next_attempt_at = None
    await ctx.db.flush()


async def _note(
    ctx: Context,
    settings: WebhookSettings,
    event: WebhookMessageQueued,
    outcome: _Outcome,
    at: dt.datetime,
) -> None:
    """Log the attempt, and decide about the next one and about the endpoint."""
    found = await _pending(ctx, event)
    if found is None:
        return
    message, endpoint = found
    await ctx.add(
        WebhookAttempt(
            message_id=message.id, at=at, status_code=outcome.status_code,
            milliseconds=outcome.milliseconds, error=outcome.error,
        )
    )  # fmt: skip
    message.attempt_count += 1
    message.error = outcome.error
    again = None if message.event == TEST else next_pause(settings, message.attempt_count)
    if outcome.kind == "sent":
        message.status, message.sent_at = WebhookMessageStatus.SENT, ctx.now()
    elif again is None:
        message.status = WebhookMessageStatus.FAILED
    elif outcome.kind == "failed":
        message.next_attempt_at = ctx.now() + again
    await ctx.db.flush()
    if message.event != TEST:
        await _judge(ctx, settings, endpoint, outcome)


async def _judge(
    ctx: Context, settings: WebhookSettings, endpoint: WebhookEndpoint, outcome: _Outcome
) -> None:
    statement = sa.select(WebhookHealth).where(WebhookHealth.id == endpoint.id)
    health = await ctx.db.scalar(statement)
    failures = (health.failures or 0) if health else 0
    since = health.failing_since if health else None
    if outcome.kind == "sent":
        if failures:
            await _keep(ctx, endpoint, 0, None)
        return
    failures, since = failures + 1, since or ctx.now()
    await _keep(ctx, endpoint, failures, since)
    if outcome.kind in ("refused", "gone"):
        await disable(ctx, endpoint.id, outcome.error or "")
        return
    if hopeless(settings, failures, ctx.now() - since):
        await disable(
            ctx, endpoint.id, f"{failures} attempts failed in a row. {outcome.error}"[:1000]
        )


async def _keep(
    ctx: Context, endpoint: WebhookEndpoint, failures: int, since: dt.datetime | None
) -> None:
    row = {"id": endpoint.id, "failures": failures, "failing_since": since}
    await ctx.save_many(WebhookHealth, [row])
