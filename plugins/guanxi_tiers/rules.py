"""By which rules tiers are decided: the strategies that a tenant chose, ready to be asked."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec

from guanxi_sdk import Context, Invalid
from guanxi_tiers import f1, purchases, triage
from guanxi_tiers.facts import named
from guanxi_tiers.population import pareto_bounds, rfm_bounds
from guanxi_tiers.rows import Rows
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.strategy import TierHooks, TierStrategy, TierVerdict


@dataclass(frozen=True, slots=True)
class Asked:
    """One strategy as it is asked: it may add columns to the rows before it answers."""

    name: str
    version: str
    answer: Callable[[Rows], tuple[Rows, TierVerdict]]
    offered: TierStrategy | None = None  # None for the plugin's own

    @property
    def title(self) -> str:
        """Name and version, as a run keeps them."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings, strategies in their order, and a digest of all that they rest on but facts."""

    settings: TierSettings
    asked: tuple[Asked, ...]
    basis: str

    def without(self, *names: str) -> "Rules":
        """The same rules, with strategies left out."""
        return replace(self, asked=tuple(one for one in self.asked if one.name not in names))


async def rules_of(ctx: Context, settings: TierSettings, as_of: dt.date) -> Rules:
    """The strategies that ``settings`` name, with what they know of all customers on a day."""
    currency = ctx.tenant.currency
    offered = {one.name: one for one in ctx.ask(TierHooks.tier_strategies)}
    asked: list[Asked] = []
    bounds: dict[str, Any] = {}
    for name in settings.strategies:
        if name == f1.NAME:
            answer: Callable[[Rows], Any] = partial(f1.f1, settings=settings, currency=currency)
            asked.append(Asked(name, f1.VERSION, answer))
        elif name == purchases.PARETO:
            bounds[name] = least = await pareto_bounds(ctx, settings, as_of)
            answer = partial(
                purchases.pareto, settings=settings, currency=currency, bounds=least
            )  # fmt: skip
            asked.append(Asked(name, purchases.PARETO_VERSION, answer))
        elif name == purchases.RFM:
            bounds[name] = fifths = await rfm_bounds(ctx, as_of)
            answer = partial(purchases.rfm, settings=settings, fifths=fifths)
            asked.append(Asked(name, purchases.RFM_VERSION, answer))
        elif name == triage.NAME:
            answer = partial(triage.triage, settings=settings)
            asked.append(Asked(name, triage.VERSION, answer))
        elif name in offered:
            strategy = offered[name]
            asked.append(Asked(name, strategy.version, partial(_decide, strategy), strategy))
        else:
            known = ", ".join(known_names(offered))
            raise Invalid(
                None, f"The setting 'strategies' names '{name}', which is none of {known}."
            )
    basis = repr((msgspec.to_builtins(settings), [one.title for one in asked], bounds, currency))
    return Rules(settings, tuple(asked), sha256(basis.encode()).hexdigest())


def known_names(offered: Sequence[str] | dict[str, Any]) -> list[str]:
    """The names that the setting ``strategies`` may have."""
    return [f1.NAME, purchases.PARETO, purchases.RFM, triage.NAME, *sorted(offered)]


def _decide(strategy: TierStrategy, rows: Rows) -> tuple[Rows, TierVerdict]:
    verdict: object = strategy.decide(named(rows))
    if not isinstance(verdict, TierVerdict):
        raise TypeError(f"decide() returned {type(verdict).__name__}, not TierVerdict")
    return rows, verdict
