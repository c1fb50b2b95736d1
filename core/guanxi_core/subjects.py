"""People in models: which plugins must say what they keep about them, and who can be meant."""

from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from guanxi_sdk import Plugin
from guanxi_sdk.contributions import Contribution
from guanxi_sdk.info import ModelInfo

#: The hook that they answer, of :class:`guanxi_sdk.CoreHooks`.
HOOK: Final = "erasures"


def answer_of(plugin: type[Plugin[Any]]) -> Contribution | None:
    """The plugin's answer to the hook, if it has one."""
    for contribution in plugin.manifest.contributions:
        if contribution.kind == "hookimpl" and contribution.name == HOOK:
            return contribution
    return None


def unanswered(plugin: type[Plugin[Any]]) -> str | None:
    """Why ``plugin`` must answer the hook and does not, and the remedy; None if all is well."""
    if answer_of(plugin) is not None:
        return None
    for owner in (*plugin.manifest.models, *plugin.manifest.extensions):
        info = owner.info
        reason = None
        if info.subject:
            reason = f"{info.name} is about natural persons"
        elif info.of is not None and info.of.info.subject:
            reason = f"{info.name} extends {info.of.info.name}, which is about natural persons"
        for relation in info.references.values():
            if relation.target.info.subject and reason is None:
                reason = (
                    f"{info.name}.{relation.name} refers to {relation.target.info.name}, which is "
                    "about natural persons"
                )
        if reason:
            return (
                f"{reason}: answer the hook '{HOOK}' and say what of it is erased with a person "
                "(an empty list if nothing is)."
            )
    return None


def people_named(info: ModelInfo) -> list[tuple[str, ModelInfo]]:
    """Attributes of a row that name a person, each with the model that the person is a row of."""
    named = [(one.column, one.target.info) for one in info.references.values()]
    if info.of is not None:
        named.append(("id", info.of.info))
    return [(column, target) for column, target in named if target.subject]


def kept(target: ModelInfo, tenant_id: UUID, ids: Collection[UUID]) -> sa.Select[Any]:
    """Which of these people were not erased; whoever is being erased is waited for.

    They cannot be erased before the transaction ends.
    """
    table = target.table
    wanted = sa.literal(list(ids), ARRAY(sa.Uuid))
    rows = sa.select(table.c.id).where(
        table.c.tenant_id == tenant_id, table.c.id == sa.any_(wanted), table.c.erased_at.is_(None)
    )
    return rows.with_for_update(read=True, key_share=True)
