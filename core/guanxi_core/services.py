"""Services that other packages offer to plugins, found by entry point when they are first asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, Protocol

from guanxi_sdk import GraphQL, GuanxiError

if TYPE_CHECKING:
    from guanxi_core.access import Installation
    from guanxi_core.editions import Edition
    from guanxi_core.limits import Limits
    from guanxi_core.platform import Platform

GROUP: Final = "guanxi.services"


class GraphQLService(Protocol):
    """What the entry point ``graphql`` makes of a platform."""

    def of(self, installation: "Installation") -> GraphQL:
        """The GraphQL of one tenant."""
        ...


@dataclass(frozen=True, slots=True)
class Described:
    """What one document is, as far as can be told where there are problems."""

    name: str
    kind: str
    problems: Sequence[str] = ()


#: What the entry point ``operations`` is: tells what a document is to an edition.
Examine = Callable[["Edition", str, "Limits"], Described]


def examiner() -> Examine:
    """The installed one."""
    for entry in entry_points(group=GROUP, name="operations"):
        examine: Examine = entry.load()
        return examine
    raise _missing()


def graphql_service(platform: "Platform") -> GraphQLService:
    """The installed one, or a :class:`GuanxiError` that says that there is none."""
    for entry in entry_points(group=GROUP, name="graphql"):
        service: GraphQLService = entry.load()(platform)
        return service
    raise _missing()


def _missing() -> GuanxiError:
    return GuanxiError("there is no GraphQL here: install the distribution 'guanxi' as a whole.")
