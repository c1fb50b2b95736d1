"""What happens to webhooks."""

from uuid import UUID

from guanxi_sdk import Event


class WebhookMessageQueued(Event, entity="endpoint_id"):
    """A message is to be sent; those of one endpoint follow each other."""

    endpoint_id: UUID
    message_id: UUID
    attempt: int
    """How often it was tried before, so that each attempt is made once."""


class WebhookDisabled(Event):
    """An endpoint was disabled, because it failed or its user is gone."""

    endpoint_id: UUID
    reason: str
