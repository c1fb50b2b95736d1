"""What is erased with a person: messages that tell of them, and the webhooks of a user."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from guanxi_sdk import Erasure, Model
from guanxi_webhooks.models import WebhookAttempt, WebhookEndpoint, WebhookMessage


def erasures(subject: type[Model], id: UUID) -> Sequence[Erasure]:
    """A message keeps that it was sent, not what it said; a webhook without its user is none."""
    name = f"{subject.info.prefix}_{id}"
    tells = sa.or_(
        WebhookMessage.subject == name, sa.func.strpos(WebhookMessage.payload, str(id)) > 0
    )
    messages = sa.select(WebhookMessage.id).where(tells)
    return [
        Erasure(WebhookAttempt, WebhookAttempt.message_id.in_(messages), "error"),
        Erasure(WebhookMessage, tells, "payload", "error"),
        Erasure.blank(WebhookEndpoint, WebhookEndpoint.user_id == name, keep=("user_id", "status")),
    ]
