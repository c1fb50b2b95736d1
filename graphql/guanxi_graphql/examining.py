"""What a document is to an edition, before anybody asks for it."""

from typing import TYPE_CHECKING

from guanxi_core.limits import Limits
from guanxi_core.services import Described
from guanxi_core.telemetry import metrics
from guanxi_graphql.execute.documents import Cache, Document, Refused
from guanxi_graphql.schema import schema_of

if TYPE_CHECKING:
    from guanxi_core.editions import Edition


def examine(edition: "Edition", text: str, limits: Limits) -> Described:
    """What the entry point ``operations`` of ``guanxi.services`` names."""
    try:
        document = Document(schema_of(edition), text, None, Cache(1, metrics.PLANS), limits)
        if not document.price.varies:
            document.admit(limits, {})
    except Refused as refused:
        return Described("", "", [str(error["message"]) for error in refused.errors])
    name = document.operation.node.name
    problems = []
    if name is None:
        problems.append("The operation has no name.")
    if document.price.introspects:
        problems.append("It asks for the schema: use guanxi schema instead.")
    return Described(name.value if name else "", document.kind, problems)
