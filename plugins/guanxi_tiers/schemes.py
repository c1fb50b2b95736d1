"""Schemes: other rules for tiers that are tried, run in shadow, and come in force in one step."""

import datetime as dt
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import select
from sqlalchemy.orm import Mapped

from guanxi_customers import Customer
from guanxi_sdk import (
    EVERY_ROW,
    Conflict,
    Context,
    Forbidden,
    Invalid,
    Model,
    column,
    reference,
)
from guanxi_tiers.access import sees_everybody
from guanxi_tiers.choices import SchemeState, Tier
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.values import TierReason

RULES = "tiers.rules"
Name = Annotated[str, Meta(max_length=200)]


class TierScheme(Model, write=RULES, closed=("update", "archive", "restore")):
    """Settings that differ from the present ones, to decide tiers by (分级方案).

    A scheme is never changed, so that it stays known by which rules a tier was decided.
    """

    name: Mapped[Name]
    """What it is called."""

    changes: Mapped[list[str]]
    """Settings by which tiers are decided, with other values, such as `threshold_s=85`."""

    state: Mapped[SchemeState] = column(indexed=True, readonly=True, default=SchemeState.DRAFT)
    """Draft, in shadow, in force or retired; at most one is in force, and one in shadow."""

    shadow_until: Mapped[dt.date | None] = column(readonly=True)
    """Last day on which it runs in shadow."""

    in_force_from: Mapped[dt.date | None] = column(readonly=True)
    """Day on which it came in force."""


class TierShadow(Model, within="customer", closed=("create", "update", "archive", "restore")):
    """The tier that a scheme in shadow gives a customer beside the one in force."""

    scheme_id: Mapped[UUID] = reference(TierScheme, reverse="shadows")
    """The scheme."""

    customer_id: Mapped[UUID] = reference(Customer, reverse="tier_shadows")
    """The customer."""

    tier: Mapped[Tier | None] = column(indexed=True)
    """The tier by the scheme; null where it knows nothing."""

    reasons: Mapped[list[TierReason]]
    """Why."""

    as_of: Mapped[dt.date]
    """Day since whose facts the scheme says so."""


def changed(settings: TierSettings, changes: Sequence[str]) -> TierSettings:
    """``settings`` with ``changes`` such as ``threshold_s=85``; values are written as in JSON."""
    given = {}
    for change in changes:
        name, sign, value = change.partition("=")
        if not sign or name not in TierSettings.__struct_fields__:
            raise Invalid("changes", f"holds '{change}', which is not like threshold_s=85")
        if not TierSettings.is_rule(name):
            raise Invalid("changes", f"names {name}, by which no tier is decided: set it itself")
        if name in given:
            raise Invalid("changes", f"names {name} twice")
        try:
            given[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            given[name] = value
    try:
        return msgspec.convert(msgspec.to_builtins(settings) | given, TierSettings)
    except (ValueError, msgspec.ValidationError) as error:
        raise Invalid("changes", f"would not do: {error}") from None


async def settings_in_force(ctx: Context, settings: TierSettings) -> TierSettings:
    """The plugin's settings with those of the scheme in force."""
    scheme = await _in_state(ctx, SchemeState.IN_FORCE)
    return settings if scheme is None else changed(settings, scheme.changes)


async def in_shadow(ctx: Context) -> TierScheme | None:
    """The scheme that runs in shadow today."""
    scheme = await _in_state(ctx, SchemeState.SHADOW)
    if scheme is None or scheme.shadow_until is None or scheme.shadow_until < ctx.today():
        return None
    return scheme


async def _in_state(ctx: Context, state: SchemeState) -> TierScheme | None:
    wanted = select(TierScheme).where(TierScheme.state == state).limit(1)
    return await ctx.db.scalar(wanted, execution_options=EVERY_ROW)


async def put_in_shadow(ctx: Context, scheme_id: UUID, until: dt.date) -> TierScheme:
    """Let a scheme run in shadow up to a day, in place of nobody."""
    _of_everybody(ctx)
    scheme = await ctx.get(TierScheme, scheme_id, path="scheme_id")
    if until < ctx.today():
        raise Invalid("until", "is past: name today or a later day")
    if scheme.state not in (SchemeState.DRAFT, SchemeState.SHADOW):
        raise Conflict("scheme_id", f"is {scheme.state.en.lower()}: only drafts run in shadow")
    other = await in_shadow(ctx)
    if other is not None and other.id != scheme.id:
        raise Conflict("scheme_id", f"waits for '{other.name}', in shadow now: retire that first")
    if other is None:
        past = await _in_state(ctx, SchemeState.SHADOW)
        if past is not None:
            past.state = SchemeState.DRAFT
    scheme.state, scheme.shadow_until = SchemeState.SHADOW, until
    await ctx.db.flush()
    return scheme


async def put_in_force(ctx: Context, scheme_id: UUID) -> TierScheme:
    """Let a scheme decide from now on; the one before retires."""
    _of_everybody(ctx)
    scheme = await ctx.get(TierScheme, scheme_id, path="scheme_id")
    if scheme.state is SchemeState.IN_FORCE:
        raise Conflict("scheme_id", "is in force already")
    former = await _in_state(ctx, SchemeState.IN_FORCE)
    if former is not None:
        former.state = SchemeState.RETIRED
    scheme.state, scheme.in_force_from = SchemeState.IN_FORCE, ctx.today()
    await ctx.db.flush()
    return scheme


async def retire(ctx: Context, scheme_id: UUID) -> tuple[TierScheme, bool]:
    """Take a scheme out of use, and say whether it was in force."""
    _of_everybody(ctx)
    scheme = await ctx.get(TierScheme, scheme_id, path="scheme_id")
    if scheme.state is SchemeState.RETIRED:
        raise Conflict("scheme_id", "is retired already")
    was_in_force = scheme.state is SchemeState.IN_FORCE
    scheme.state = SchemeState.RETIRED
    await ctx.db.flush()
    return scheme, was_in_force


def _of_everybody(ctx: Context) -> None:
    """Rules are for all customers, so whoever sees some alone has no say in them."""
    if not sees_everybody(ctx):
        raise Forbidden(RULES)
