"""Webhooks: other systems are told of events, signed, as far as the subscriber may see them."""

from guanxi_webhooks.choices import WebhookMessageStatus, WebhookStatus
from guanxi_webhooks.events import WebhookDisabled, WebhookMessageQueued
from guanxi_webhooks.models import WebhookAttempt, WebhookEndpoint, WebhookHealth, WebhookMessage
from guanxi_webhooks.plugin import READ, WRITE, Webhooks
from guanxi_webhooks.settings import WebhookSettings
from guanxi_webhooks.values import WebhookEvent

__all__ = [
    "READ",
    "WRITE",
    "WebhookAttempt",
    "WebhookDisabled",
    "WebhookEndpoint",
    "WebhookEvent",
    "WebhookHealth",
    "WebhookMessage",
    "WebhookMessageQueued",
    "WebhookMessageStatus",
    "WebhookSettings",
    "WebhookStatus",
    "Webhooks",
]
