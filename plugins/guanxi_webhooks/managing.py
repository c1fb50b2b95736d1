"""The verbs of endpoints: only the subscriber decides what is sent where."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from guanxi_sdk import Conflict, Context, EgressRefused, Forbidden, Invalid
from guanxi_webhooks.choices import WebhookMessageStatus, WebhookStatus
from guanxi_webhooks.events import WebhookDisabled
from guanxi_webhooks.models import LONGEST, WebhookEndpoint, WebhookHealth, WebhookMessage
from guanxi_webhooks.payloads import OWN, deaf, examples, subjects
from guanxi_webhooks.settings import WebhookSettings
from guanxi_webhooks.signing import new_secret

#: Endpoints that a user may have, archived ones not counted.
_MOST: Final = 20
_READ: Final = f"{OWN}.read"
_WRITE: Final = f"{OWN}.write"
_SHOWN: Final = "webhooks.secrets"


async def create(
    ctx: Context,
    settings: WebhookSettings,
    url: str,
    events: Sequence[str],
    selection: str | None,
    description: str | None,
) -> WebhookEndpoint:
    """An endpoint of the caller's own."""
    user = await _subscriber(ctx)
    check_url(ctx, settings, url)
    count = sa.select(sa.func.count()).select_from(WebhookEndpoint)
    mine = count.where(WebhookEndpoint.user_id == user, WebhookEndpoint.archived_at.is_(None))
    if (await ctx.db.scalar(mine) or 0) >= _MOST:
        raise Invalid(None, f"You have {_MOST} webhooks already: archive one that is not needed.")
    await _check_events(ctx, events)
    await _check_selection(ctx, events, selection)
    endpoint = WebhookEndpoint(
        url=url, events=list(events), selection=selection or None, user_id=user,
        description=description or None, secret=new_secret(),
    )  # fmt: skip
    await ctx.add(endpoint)
    _show(ctx, endpoint)
    return endpoint


async def update(
    ctx: Context,
    settings: WebhookSettings,
    id: UUID,
    given: Mapping[str, Any],
    version: int | None,
) -> WebhookEndpoint:
    """Change what is not None; an empty text takes a selection or description away."""
    endpoint = await live(ctx, id)
    if version is not None and version != endpoint.version:
        raise Conflict
    changed = {name: value for name, value in given.items() if value is not None}
    if changed.keys() - {"description"}:
        await _only_subscriber(ctx, endpoint)
    if "url" in changed:
        check_url(ctx, settings, changed["url"])
    if "events" in changed:
        await _check_events(ctx, changed["events"])
    if "events" in changed or "selection" in changed:
        await _check_selection(
            ctx,
            changed.get("events", endpoint.events),
            changed.get("selection", endpoint.selection),
        )
    for name, value in changed.items():
        setattr(endpoint, name, value or None)
    await ctx.db.flush()
    return endpoint


async def pause(ctx: Context, id: UUID) -> WebhookEndpoint:
    """Tell it of nothing until it is resumed."""
    endpoint = await live(ctx, id)
    if endpoint.status is WebhookStatus.DISABLED:
        raise Conflict("id", "is disabled already, so it is told of nothing")
    endpoint.status = WebhookStatus.PAUSED
    await ctx.db.flush()
    return endpoint


async def resume(ctx: Context, id: UUID) -> WebhookEndpoint:
    """Tell it of events again, and of what was still to be sent."""
    endpoint = await live(ctx, id)
    if endpoint.status is WebhookStatus.ACTIVE:
        return endpoint
    endpoint.status = WebhookStatus.ACTIVE
    endpoint.disabled_at = endpoint.disabled_reason = None
    await ctx.db.flush()
    await ctx.save_many(WebhookHealth, [{"id": id, "failures": 0, "failing_since": None}])
    waiting = WebhookMessage.status == WebhookMessageStatus.PENDING
    of_it = WebhookMessage.endpoint_id == id
    await ctx.update_where(WebhookMessage, sa.and_(of_it, waiting), next_attempt_at=ctx.now())
    return endpoint


async def rotate(ctx: Context, settings: WebhookSettings, id: UUID) -> WebhookEndpoint:
    """Give it a new secret; the former one signs as well for some time."""
    endpoint = await live(ctx, id)
    await _only_subscriber(ctx, endpoint)
    endpoint.previous_secret = endpoint.secret
    endpoint.previous_secret_until = ctx.now() + dt.timedelta(hours=settings.overlap_hours)
    endpoint.secret = new_secret()
    await ctx.db.flush()
    _show(ctx, endpoint)
    return endpoint


async def archive(ctx: Context, id: UUID) -> WebhookEndpoint:
    """Tell it of nothing any more, for good; its secrets are forgotten."""
    endpoint = await live(ctx, id)
    endpoint.archived_at = ctx.now()
    endpoint.secret = endpoint.previous_secret = endpoint.previous_secret_until = None
    await ctx.db.flush()
    return endpoint


async def disable(ctx: Context, endpoint_id: UUID, reason: str) -> None:
    """Tell it of nothing until somebody has looked."""
    active = WebhookEndpoint.status == WebhookStatus.ACTIVE
    changed = await ctx.update_where(
        WebhookEndpoint,
        sa.and_(WebhookEndpoint.id == endpoint_id, active),
        status=WebhookStatus.DISABLED, disabled_reason=reason, disabled_at=ctx.now(),
    )  # fmt: skip
    if changed:
        ctx.emit(WebhookDisabled(endpoint_id=endpoint_id, reason=reason))


def check_url(ctx: Context, settings: WebhookSettings, url: str) -> None:
    """Refuse an address that would not be asked, or that anybody could listen to."""
    try:
        ctx.egress.check(url)
    except EgressRefused as refused:
        raise Invalid("url", f"cannot be used: {refused}") from None
    if problem := insecure(settings, url):
        raise Invalid("url", problem)


def insecure(settings: WebhookSettings, url: str) -> str | None:
    """Why an address may not be used although it could be reached."""
    if settings.allow_http or url.lower().startswith("https:"):
        return None
    return "must begin with https://, or everybody on the way could read and alter what is sent"


def shown(ctx: Context, endpoint: WebhookEndpoint) -> str | None:
    """The secret, in the answer of the mutation that made it."""
    secrets: dict[UUID, str | None] = ctx.db.info.get(_SHOWN, {})
    return secrets.get(endpoint.id)


def _show(ctx: Context, endpoint: WebhookEndpoint) -> None:
    if endpoint.secret is not None:
        ctx.tell_once(endpoint.secret)
        ctx.db.info.setdefault(_SHOWN, {})[endpoint.id] = endpoint.secret


async def live(ctx: Context, id: UUID) -> WebhookEndpoint:
    """The endpoint, unless it is archived."""
    endpoint = await ctx.get(WebhookEndpoint, id)
    if endpoint.archived_at is not None:
        raise Conflict("id", "is archived: create a new webhook")
    return endpoint


async def _subscriber(ctx: Context) -> str:
    """The global id of the user who asks, with a token that has all of their rights."""
    user_id = ctx.caller.user_id
    if user_id is None:
        raise Forbidden(_WRITE, "A webhook belongs to a user: use a token of a user.")
    if not ctx.caller.may(_READ):
        raise Forbidden(_READ)  # the answer, with its secret, could not be shown
    if (await ctx.rights_of(user_id)).held != ctx.caller.rights.held:
        raise Forbidden(
            _WRITE, "A webhook acts with all roles of its user, but this token is limited to one: "
            "use a token of the user without a role.",
        )  # fmt: skip
    return f"user_{user_id}"


async def _only_subscriber(ctx: Context, endpoint: WebhookEndpoint) -> None:
    if await _subscriber(ctx) != endpoint.user_id:
        raise Forbidden(
            _WRITE, "Only its subscriber changes what a webhook is sent, where to and signed by "
            "what: pause or archive it, and create one of your own.",
        )  # fmt: skip


async def _check_events(ctx: Context, events: Sequence[str]) -> None:
    if not events:
        raise Invalid("events", "names none: see webhookEvents")
    if len(set(events)) < len(events):
        raise Invalid("events", "names one twice")
    known = ctx.events()
    for name in events:
        info = known.get(name)
        if info is None or info.plugin == OWN:
            raise Invalid("events", "names one that cannot be told of: see webhookEvents")
        if problem := deaf(info, ctx.caller.rights, subjects(info, known)):
            raise Invalid("events", f"names {name}, which {problem}", code=Forbidden.code)


async def _check_selection(ctx: Context, events: Sequence[str], selection: str | None) -> None:
    if not selection:
        return
    if len(selection) > LONGEST:
        raise Invalid("selection", f"is longer than {LONGEST} characters")
    known = ctx.events()
    for info in (known[name] for name in events if name in known):
        if problems := await ctx.graphql.check(selection, variables=examples(info, known)):
            raise Invalid("selection", f"cannot be answered for {info.name}: {problems[0]}")
