"""Closed lists of the webhooks plugin, each value with its Chinese and English label."""

from guanxi_sdk import Choice


class WebhookStatus(Choice):
    """Whether an endpoint is told of events."""

    ACTIVE = "ACTIVE", "启用", "Active"
    PAUSED = "PAUSED", "暂停", "Paused by somebody"
    DISABLED = "DISABLED", "停用", "Switched off because it failed"


class WebhookMessageStatus(Choice):
    """How far a message has come."""

    PENDING = "PENDING", "待发送", "To be sent, for the first time or again"
    SENT = "SENT", "已送达", "Accepted by the endpoint"
    FAILED = "FAILED", "失败", "Given up"
    WITHHELD = "WITHHELD", "不予发送", "Not sent, because the subscriber may not know of it"
