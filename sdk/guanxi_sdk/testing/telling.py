"""What a subscription tells of all that has happened so far, without waiting for anything."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from guanxi_core.platform import Access, Platform


async def told(
    platform: "Platform", access: "Access", document: str, variables: Mapping[str, Any]
) -> list[bytes]:
    """The messages, in order; one with the errors alone where it is refused."""
    from guanxi_core import feed
    from guanxi_graphql.execute.engine import Engine
    from guanxi_graphql.requests import Request
    from guanxi_graphql.subscriptions.operations import errors_of

    position, found, more = feed.Position(0, "1:1:"), [], True
    try:
        following = await Engine(platform).follow(access, Request(document, dict(variables)))
        if following is None:
            raise ValueError("the document holds no subscription")
        while more:
            page = await feed.read(
                platform.pool, access.installation.tenant.id, position, following.names
            )
            found += [body for _, body in await following.messages(page.events)]
            position, more = page.next, page.more
    except Exception as error:
        return [msgspec.json.encode({"errors": errors_of(error)})]
    return found
