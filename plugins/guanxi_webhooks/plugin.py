"""The webhooks plugin: its verbs, its handlers, its schedules."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from guanxi_sdk import (
    SQL,
    Ambient,
    AnyEvent,
    Context,
    Erasure,
    Model,
    Outside,
    Permission,
    Plugin,
    Scope,
    field,
    hookimpl,
    mutation,
    on,
    policy,
    query,
    schedule,
    sql_field,
)
from guanxi_webhooks import erasing, managing, queueing, sending
from guanxi_webhooks.choices import WebhookMessageStatus
from guanxi_webhooks.events import WebhookDisabled, WebhookMessageQueued
from guanxi_webhooks.models import WebhookAttempt, WebhookEndpoint, WebhookHealth, WebhookMessage
from guanxi_webhooks.payloads import OWN, deaf, names_of_variables, subjects, subscribable
from guanxi_webhooks.settings import WebhookSettings
from guanxi_webhooks.values import WebhookEvent

READ = Permission("webhooks.read", "See webhooks and what was sent.")
WRITE = Permission("webhooks.write", "Have other systems told of events, as oneself may see them.")


class Webhooks(
    Plugin[WebhookSettings],
    name=OWN,
    models=[WebhookEndpoint, WebhookHealth, WebhookMessage, WebhookAttempt],
    events=[WebhookMessageQueued, WebhookDisabled],
    permissions=[READ, WRITE],
):
    """Tells other systems of events, signed, as far as the subscriber may see them."""

    @staticmethod
    @policy(WebhookEndpoint)
    def own_webhooks(endpoint: Any, scope: Scope, ambient: Ambient) -> sa.ColumnElement[bool]:
        """One's own; a webhook belongs to one user, so to no team and to no office."""
        user = sa.literal("user_", sa.Text).concat(sa.cast(ambient.user_id, sa.Text))
        mine: sa.ColumnElement[bool] = endpoint.user_id == user
        return mine

    @staticmethod
    @sql_field(WebhookEndpoint)
    def last_success_at(endpoint: Any, ambient: Ambient) -> SQL[dt.datetime | None]:
        """When a message was last accepted, as far as messages are kept; null if never.

        Filtering or sorting by it computes it for every endpoint.
        """
        return (
            sa.select(sa.func.max(WebhookMessage.sent_at))
            .where(
                WebhookMessage.endpoint_id == endpoint.id,
                WebhookMessage.status == WebhookMessageStatus.SENT,
            )
            .scalar_subquery()
        )

    @field(WebhookEndpoint, needs=WRITE, columns=("id",))
    async def secret(self, ctx: Context, endpoints: Sequence[WebhookEndpoint]) -> list[str | None]:
        """The secret that signs, in the answer of the mutation that made it and never again."""
        return [managing.shown(ctx, endpoint) for endpoint in endpoints]

    @hookimpl
    def erasures(self, subject: type[Model], id: UUID) -> Sequence[Erasure]:
        """What messages tell of somebody, and somebody's own webhooks."""
        return erasing.erasures(subject, id)

    @query(needs=READ)
    async def webhook_events(self, ctx: Context) -> list[WebhookEvent]:
        """The events that the caller may subscribe to."""
        known = ctx.events()
        return [
            WebhookEvent(
                name=info.name, description=info.description, plugin=info.plugin,
                variables=names_of_variables(info),
            )
            for info in subscribable(known)
            if deaf(info, ctx.caller.rights, subjects(info, known)) is None
        ]  # fmt: skip

    @mutation(needs=WRITE)
    async def create_webhook(
        self,
        ctx: Context,
        url: str,
        events: list[str],
        selection: str | None = None,
        description: str | None = None,
    ) -> WebhookEndpoint:
        """Have an address told of events, as the caller may see them at the time of each.

        `selection` is a query whose answer is sent, for instance
        `query ($id: ID!) { customer(id: $id) { name } }`. `secret` is shown in this answer only.

        Args:
            url: Where messages are sent by POST: a public address of up to 2,000 characters, with
                `https` unless the settings allow `http`, and without a password.
            events: Names of the events that it is told of, as `webhookEvents` lists them: at least
                one, and none twice.
            selection: A GraphQL query of up to 20,000 characters whose answer is sent; it must suit
                the variables of every event that is named. Left out, the event's own fields are
                sent.
            description: What the webhook is for, in up to 1,000 characters; none when left out.
        """
        return await managing.create(ctx, self.settings, url, events, selection, description)

    @mutation(needs=WRITE)
    async def update_webhook(
        self,
        ctx: Context,
        id: UUID,
        url: str | None = None,
        events: list[str] | None = None,
        selection: str | None = None,
        description: str | None = None,
        version: int | None = None,
    ) -> WebhookEndpoint:
        """Change a webhook; what is left out stays, an empty text takes away.

        Only its subscriber changes more than the description.

        Args:
            id: The webhook to change; an archived one is refused.
            url: Where messages are sent from now on, as for `createWebhook`; unchanged when left
                out.
            events: Names of all events that it is told of from now on, which its selection must
                suit; unchanged when left out.
            selection: The query whose answer is sent from now on, as for `createWebhook`; unchanged
                when left out. An empty text removes it, so that the event's own fields are sent.
            description: What the webhook is for, in up to 1,000 characters; unchanged when left
                out, and an empty text removes it.
            version: The version that was read, for a `CONFLICT` if it is another by now; not
                compared when left out.
        """
        given = {"url": url, "events": events, "selection": selection, "description": description}
        return await managing.update(ctx, self.settings, id, given, version)

    @mutation(needs=WRITE)
    async def pause_webhook(self, ctx: Context, id: UUID) -> WebhookEndpoint:
        """Tell it of nothing until it is resumed; what happens meanwhile it does not hear of.

        Args:
            id: The webhook to pause; a disabled or archived one is refused.
        """
        return await managing.pause(ctx, id)

    @mutation(needs=WRITE)
    async def resume_webhook(self, ctx: Context, id: UUID) -> WebhookEndpoint:
        """Tell it of events again, also one that was disabled, and send what was still waiting.

        Args:
            id: The webhook, paused or disabled, to be told of events again; an archived one is
                refused.
        """
        return await managing.resume(ctx, id)

    @mutation(needs=WRITE)
    async def rotate_webhook_secret(self, ctx: Context, id: UUID) -> WebhookEndpoint:
        """Give it a new secret, shown in this answer only; the former signs as well for a while.

        Args:
            id: The webhook that gets a new secret: one of the caller's own, and not archived.
        """
        return await managing.rotate(ctx, self.settings, id)

    @mutation(needs=WRITE)
    async def test_webhook(self, ctx: Context, id: UUID) -> WebhookMessage:
        """Send it a message of the type `webhook.test`, once, whatever its status.

        Args:
            id: The webhook to test, which may be paused or disabled; an archived one is refused.
        """
        return await queueing.test(ctx, await managing.live(ctx, id))

    @mutation(needs=WRITE)
    async def archive_webhook(self, ctx: Context, id: UUID) -> WebhookEndpoint:
        """Tell it of nothing any more; it cannot be restored.

        Args:
            id: The webhook to archive; one that is archived already is refused.
        """
        return await managing.archive(ctx, id)

    @mutation(needs=WRITE)
    async def replay_webhook_message(self, ctx: Context, id: UUID) -> WebhookMessage:
        """Send a message again, under the same id, with what the subscriber may see now.

        Args:
            id: The message to send again, whatever became of it; refused while it has a
                `nextAttemptAt`, and where its webhook is not active.
        """
        return await queueing.replay(ctx, id)

    @mutation(needs=WRITE)
    async def replay_webhook_messages(
        self, ctx: Context, endpoint_id: UUID, since: dt.datetime
    ) -> int:
        """Send messages again that were given up, up to 500 of them, the oldest first.

        Answers how many, so that one goes on until there are none.

        Args:
            endpoint_id: The webhook whose messages are sent again; it must be active.
            since: Only messages of events that happened at this time or later are sent again.
        """
        return await queueing.replay_failed(ctx, endpoint_id, since)

    @on(AnyEvent)
    async def record(self, ctx: Context, event: AnyEvent) -> None:
        """Make messages of an event."""
        await queueing.record(ctx, event)

    @on(WebhookMessageQueued, outside=True, deadline=90)
    async def send(self, ctx: Outside, event: WebhookMessageQueued) -> None:
        """Try to send one."""
        await sending.send(ctx, self.settings, event)

    @schedule("* * * * *")
    async def retry(self, ctx: Context) -> None:
        """Try again what is due."""
        await queueing.retry(ctx)

    @schedule("30 2 * * *")
    async def forget(self, ctx: Context) -> None:
        """Delete old messages every night."""
        await queueing.forget(ctx, dt.timedelta(days=self.settings.keep_days))
