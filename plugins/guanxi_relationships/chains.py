"""Decision chains: who takes which seat, and who influences whom (domain rules B4, C1)."""

import datetime as dt
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import select

from guanxi_customers import DecisionRole, Person
from guanxi_relationships.events import ChainChanged
from guanxi_relationships.models import ChainLink, ChainSeat, DecisionChain
from guanxi_sdk import Context, Invalid, NotFound


async def _chain(ctx: Context, chain_id: UUID) -> DecisionChain:
    """Lock the chain against others who seat people at the same time."""
    chain = await ctx.db.scalar(
        select(DecisionChain).where(DecisionChain.id == chain_id).with_for_update(key_share=True)
    )
    if chain is None:
        raise NotFound("chain_id")
    if chain.archived_at is not None:
        raise Invalid("chain_id", "is archived: restore the chain first")
    return chain


async def live_person(ctx: Context, person_id: UUID, path: str = "person_id") -> Person:
    """A person who is neither archived nor erased."""
    person = await ctx.get(Person, person_id, path=path)
    if person.archived_at is not None or person.erased_at is not None:
        raise Invalid(path, "is archived: choose somebody who still works there")
    return person


async def seat(
    ctx: Context, chain_id: UUID, person_id: UUID, role: DecisionRole, start: dt.date
) -> ChainSeat:
    """Give a person a role in a chain; a role held before ends on that day."""
    if role == DecisionRole.NONE:
        raise Invalid("role", "is none: use leaveChain to take a person out of a chain")
    chain = await _chain(ctx, chain_id)
    person = await live_person(ctx, person_id)
    if person.customer_id != chain.customer_id:
        raise Invalid("person_id", "works for another customer than the one that decides")
    former = await ctx.db.scalar(
        select(ChainSeat).where(
            ChainSeat.chain_id == chain_id,
            ChainSeat.person_id == person_id,
            ChainSeat.ends_on.is_(None),
        )
    )
    if former is not None:
        if former.role == role:
            raise Invalid("role", "is the person's role in this chain already")
        if start < former.starts_on:
            raise Invalid("starts_on", f"is before {former.starts_on}, when the present role began")
    later = await ctx.db.scalar(
        select(sa.func.max(ChainSeat.ends_on)).where(
            ChainSeat.chain_id == chain_id,
            ChainSeat.person_id == person_id,
            ChainSeat.ends_on > sa.literal(start, sa.Date),
        )
    )
    if later is not None:
        raise Invalid("starts_on", f"is before {later}, when a role of the person's ends")
    if former is not None:
        former.ends_on = start
        await ctx.db.flush()
    made = await ctx.add(
        ChainSeat(chain_id=chain_id, person_id=person_id, role=role, starts_on=start)
    )
    ctx.emit(ChainChanged(customer_id=chain.customer_id, chain_id=chain_id, person_id=person_id))
    return made


async def leave(ctx: Context, seat_id: UUID, end: dt.date) -> ChainSeat:
    """End a person's role in a chain."""
    left = await ctx.get(ChainSeat, seat_id, path="seat_id")
    if left.ends_on is not None:
        raise Invalid("seat_id", f"has an end already, on {left.ends_on}")
    if end < left.starts_on:
        raise Invalid("ends_on", f"is before the start on {left.starts_on}")
    chain = await ctx.get(DecisionChain, left.chain_id, path="seat_id")
    left.ends_on = end
    await ctx.db.flush()
    ctx.emit(
        ChainChanged(customer_id=chain.customer_id, chain_id=chain.id, person_id=left.person_id)
    )
    return left


async def link(ctx: Context, chain_id: UUID, source_id: UUID, target_id: UUID) -> ChainLink:
    """Say that one person in a chain influences another."""
    await _chain(ctx, chain_id)
    given = {"source_id": source_id, "target_id": target_id}
    for path, person_id in given.items():
        await ctx.get(Person, person_id, path=path)
    if source_id == target_id:
        raise Invalid("target_id", "is the same person: nobody influences themselves")
    for path, person_id in given.items():
        seats = select(sa.func.count()).where(
            ChainSeat.chain_id == chain_id,
            ChainSeat.person_id == person_id,
            ChainSeat.ends_on.is_(None),
        )
        if not await ctx.db.scalar(seats.select_from(ChainSeat)):
            raise Invalid(path, "has no seat in this chain: use seatInChain first")
    known = select(ChainLink).where(
        ChainLink.chain_id == chain_id,
        ChainLink.source_id == source_id,
        ChainLink.target_id == target_id,
        ChainLink.archived_at.is_(None),
    )
    if await ctx.db.scalar(known):
        raise Invalid("target_id", "is linked already")
    return await ctx.add(ChainLink(chain_id=chain_id, source_id=source_id, target_id=target_id))
