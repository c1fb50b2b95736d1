"""What a tenant may adjust about its webhooks."""

from typing import Annotated

from msgspec import Meta

from guanxi_sdk import Settings

Hours = Annotated[int, Meta(ge=0, le=24 * 365)]
Pauses = Annotated[tuple[Annotated[int, Meta(ge=1, le=7 * 24 * 60)], ...], Meta(max_length=20)]


class WebhookSettings(Settings):
    """When is tried again, when it is given up, how long the log is kept."""

    allow_http: Annotated[
        bool,
        Meta(description="Allow addresses with http: all on the way can read and alter messages."),
    ] = False
    timeout: Annotated[
        float, Meta(gt=0, le=30, description="Seconds that an endpoint has for its answer.")
    ] = 10
    pauses: Annotated[
        Pauses,
        Meta(description="Minutes between the attempts to send a message, the shortest first."),
    ] = (1, 5, 30, 120, 300, 600, 840, 1200, 1440)
    disable_after: Annotated[
        int, Meta(ge=1, le=10_000, description="Failed attempts in a row that disable an endpoint.")
    ] = 20
    disable_after_hours: Annotated[
        Hours, Meta(description="Hours that an endpoint must have failed to be disabled.")
    ] = 24
    overlap_hours: Annotated[
        Hours, Meta(description="Hours in which a secret that was replaced signs as well.")
    ] = 24
    keep_days: Annotated[
        int, Meta(ge=1, le=3650, description="Days for which messages and attempts are kept.")
    ] = 30
