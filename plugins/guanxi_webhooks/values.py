"""What the plugin answers besides its models."""

from guanxi_sdk import Value


class WebhookEvent(Value):
    """An event that the caller may subscribe to."""

    name: str
    """Its name, for `createWebhook`."""

    description: str
    """When it happens."""

    plugin: str
    """The plugin that it comes from."""

    variables: list[str]
    """Variables that a selection may use for it, without `$`."""
