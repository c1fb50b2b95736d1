"""What the probes of the test kit are told of the plugins that are probed here."""

import types
from collections.abc import Sequence
from typing import Any, Final

from with_every_kind import Lab

from figures import LONG
from guanxi_core.discovery import discover
from guanxi_sdk import Plugin

#: What the laboratory does wrong on purpose.
_WRONG: Final = ("broken", "explode")

#: Values with which their mutations are done, by plugin, as ``examples=`` takes them.
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "tiers": {
        "TierObligation.state": "OPEN",
        "TierScheme.changes": ["threshold_s=85"],
        "TierScheme.state": "DRAFT",
        "createTierScheme.changes": ["threshold_s=85"],
        "backtestTiers.changes": ["threshold_s=85"],
        "fulfilTierObligation.on": "2024-03-01",
        "shadowTierScheme.until": "2024-03-01",
    },
    "relationships": {
        "ChainSeat.ends_on": None,
        "RelationshipPlan.year": 2024,
        "Standing.tier": "A",
        "draftRelationshipPlan.year": 2024,
        "RelationshipPlan.submitted_by": None,
        "linkInChain.ChainSeat.chain_id": 1,
        "startRelationshipPlan.RelationshipPlan.state": "APPROVED",
        "reachLevel.RelationshipPlan.state": "RUNNING",
        "claimRelationshipPlan.RelationshipPlan.state": "RUNNING",
        "confirmRelationshipPlan.RelationshipPlan.state": "CLAIMED",
        "closeRelationshipPlan.RelationshipPlan.state": "CONFIRMED",
        "proposeHandover.Handover.state": "COMPLETED",
        "proposeHandover.Stewardship.is_primary": True,
        "proposeHandover.Stewardship.ends_on": None,
    },
    "webhooks": {
        "createWebhook.events": ["UserCreated"],
        "updateWebhook.events": ["UserCreated"],
        "WebhookMessage.status": "FAILED",
    },
}
#: Mutations that are always refused, as ``undone=`` takes them; without any plugin by no name. In
#: the long form every plugin is asked what the core is: there these are done, if one of its models
#: takes custom fields.
UNDONE: Final[dict[str, dict[str, str]]] = {
    "lab": {"refuse": "as its name says"},
    "relationships": {"completeHandover": "takes a plugin that knows how complete a profile is"},
    "": dict.fromkeys(
        ("defineCustomField", "changeCustomField"), "the core has no model that clients write"
    ),
}


def sound_lab() -> type[Plugin]:
    """The laboratory without what fails in it on purpose."""
    manifest = Lab.manifest
    members = {name: one for name, one in vars(Lab).items() if name not in (*_WRONG, "manifest")}
    keywords = {
        "name": manifest.name,
        "models": [*manifest.models, *manifest.extensions],
        "events": manifest.events,
        "permissions": manifest.permissions,
    }
    return types.new_class("SoundLab", (Plugin,), keywords, lambda body: body.update(members))


def subjects(
    *small: type[Plugin], large: Sequence[type[Plugin]] = ()
) -> dict[str, tuple[type[Plugin], ...]]:
    """What is probed, by name: the core alone, each installed plugin, and plugins of our own.

    The ``large`` ones, and the laboratory, only in the long form.
    """
    own = (*small, *((*large, sound_lab()) if LONG else ()))
    return {
        "the core": (),
        **{name: (plugin,) for name, plugin in discover().plugins.items()},
        **{plugin.manifest.name: (plugin,) for plugin in own},
    }


def told(plugins: Sequence[type[Plugin]]) -> dict[str, dict[str, Any]]:
    """The ``examples`` and ``undone`` of these and what they require, as the probes take them."""
    found: dict[str, dict[str, Any]] = {"examples": {}, "undone": {}}
    for name in _with_required(plugins) or [""]:
        found["examples"] |= EXAMPLES.get(name, {})
        found["undone"] |= UNDONE.get(name, {})
    return found


def _with_required(plugins: Sequence[type[Plugin]]) -> list[str]:
    """The names of plugins, after those of all that they require."""
    known = discover().plugins
    names: list[str] = []
    for plugin in plugins:
        required = [known[name] for name, _ in plugin.manifest.requires if name in known]
        names += [*_with_required(required), plugin.manifest.name]
    return names
