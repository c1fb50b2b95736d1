"""Decision chains and the levels of persons, through GraphQL (domain rules B4, C4, C5)."""

import datetime as dt
from typing import Any
from uuid import uuid4

import pytest

from guanxi_customers import DecisionRole, Person
from guanxi_relationships import (
    ChainChanged,
    ChainLink,
    ChainSeat,
    LevelAssessment,
    LevelChanged,
    LevelClaim,
    LevelClaimed,
    LevelClaimRejected,
    LevelEvidence,
)
from guanxi_sdk import Confidentiality
from guanxi_sdk.testing import Boot, GraphQLFailed, global_id
from guanxi_sdk.testing.tokens import make_token
from guanxi_tiers import Tier
from relating import TODAY, World, ago, world

LEVEL = "query ($id: ID!) { person(id: $id) { relationshipLevel } }"
CLAIM = "levelClaim { id state formerLevel claimedBy reviewedBy }"


async def level(w: World, person: Person) -> int | None:
    return (await w.app.graphql(LEVEL, id=person))["person"]["relationshipLevel"]


async def claimed(w: World, user: str, person: Person, to: int, day: dt.date = TODAY) -> Any:
    payload = await w.done(
        user, "claimLevel", CLAIM, personId=person, level=to, evidence="spoke up for us",
        happenedOn=day,
    )  # fmt: skip
    return payload["levelClaim"]


# levels


async def test_scenario_13_a_rise_from_1_to_3_without_evidence_is_rejected_and_stays_1(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    person = await w.person(await w.customer(), level=1)
    refused = await w.refused("ada", "claimLevel", personId=person, level=3)
    assert refused == ("EVIDENCE_MISSING", "evidence")
    undated = await w.refused("ada", "claimLevel", personId=person, level=3, evidence="he said so")
    assert undated == ("EVIDENCE_WITHOUT_DATE", "happenedOn")
    assert await level(w, person) == 1
    assert len(await w.app.all(LevelClaim)) == 1  # the one of the present level


async def test_a_rise_counts_when_somebody_else_has_approved_it(guanxi: Boot) -> None:
    w = await world(guanxi)
    person = await w.person(await w.customer(), level=1)
    claim = await claimed(w, "ada", person, 3, ago(3))
    assert (claim["state"], claim["formerLevel"], claim["reviewedBy"]) == ("PENDING", 1, None)
    assert await level(w, person) == 1
    more = await w.done(
        "ada", "addLevelEvidence", claimId=claim["id"], evidence="again", happenedOn=ago(1)
    )
    assert more["errors"] == []
    own = await w.refused("ada", "reviewLevel", claimId=claim["id"], approve=True)
    assert own == ("SAME_PERSON", "claimId")
    assert await level(w, person) == 1
    w.app.clock.advance(days=2)
    done = await w.done("bo", "reviewLevel", CLAIM, claimId=claim["id"], approve=True)
    assert done["levelClaim"]["state"] == "APPROVED"
    assert await level(w, person) == 3
    assert await w.refused("bo", "reviewLevel", claimId=claim["id"], approve=True) == (
        "CONFLICT", "claimId",
    )  # fmt: skip
    _, last = await w.app.all(LevelAssessment)
    assert (last.level, last.former_level) == (3, 1)
    assert last.assessed_on == TODAY + dt.timedelta(days=2)
    assert last.assessor == claim["claimedBy"] != last.reviewer
    assert [one.what for one in await w.app.all(LevelEvidence)] == ["spoke up for us", "again"]
    assert w.app.events == [
        LevelClaimed(person_id=person.id, claim_id=last.claim_id, level=3),
        LevelChanged(person_id=person.id, former=1, level=3),
    ]


async def test_what_is_no_rise_counts_at_once(guanxi: Boot) -> None:
    w = await world(guanxi)
    person = await w.person(await w.customer())
    for to, former in ((0, None), (-1, 0), (-1, -1)):
        payload = await w.done("ada", "claimLevel", CLAIM, personId=person, level=to)
        assert payload["levelClaim"]["state"] == "RECORDED"
        assert payload["levelClaim"]["formerLevel"] == former
        assert await level(w, person) == to
    changes = [event for event in w.app.events if isinstance(event, LevelChanged)]
    assert [(event.former, event.level) for event in changes] == [(None, 0), (0, -1)]
    assert (await claimed(w, "ada", person, 0))["state"] == "PENDING", "from −1 to 0 is a rise"


async def test_a_rejected_claim_changes_nothing_and_says_why(guanxi: Boot) -> None:
    w = await world(guanxi)
    person = await w.person(await w.customer())
    claim = await claimed(w, "ada", person, 1)
    waiting = await w.refused(
        "bo", "claimLevel", personId=person, level=2, evidence="x", happenedOn=TODAY
    )
    assert waiting == ("CONFLICT", "personId")
    silent = await w.refused("bo", "reviewLevel", claimId=claim["id"], approve=False)
    assert silent == ("INVALID", "remark")
    await w.done("bo", "reviewLevel", claimId=claim["id"], approve=False, remark="hearsay")
    assert await level(w, person) is None
    assert isinstance(w.app.events[-1], LevelClaimRejected)
    assert (await claimed(w, "bo", person, 2))["state"] == "PENDING"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"level": 4}, ("INVALID", "level")),
        ({"level": -2}, ("INVALID", "level")),
        ({"level": 2, "evidence": "  ", "happenedOn": TODAY}, ("INVALID", "evidence")),
        ({"level": 2, "evidence": "x", "happenedOn": ago(-1)}, ("INVALID", "happenedOn")),
        ({"level": 2, "evidence": "x" * 2001, "happenedOn": TODAY}, ("INVALID", "evidence")),
    ],
)
async def test_wrong_claims_are_refused(guanxi: Boot, wrong: Any, error: Any) -> None:
    w = await world(guanxi)
    person = await w.person(await w.customer())
    assert await w.refused("ada", "claimLevel", personId=person, **wrong) == error


async def test_a_token_without_a_user_claims_and_reviews_nothing(guanxi: Boot) -> None:
    w = await world(guanxi)
    person = await w.person(await w.customer())
    claim = """mutation ($id: ID!) { claimLevel(personId: $id, level: 0) {
        errors { code path message } } }"""
    [error] = (await w.app.graphql(claim, id=person))["claimLevel"]["errors"]
    assert (error["code"], error["path"]) == ("NO_USER", None)


async def test_evidence_is_confidential_and_reviewing_takes_a_permission(guanxi: Boot) -> None:
    w = await world(guanxi)
    person = await w.person(await w.customer())
    claim = await claimed(w, "ada", person, 1)
    review = """mutation ($id: ID!) { reviewLevel(claimId: $id, approve: true) {
        errors { code } } }"""
    with pytest.raises(GraphQLFailed) as failed:
        await w.ask("bo", review, "*.read", "relationships.write", id=claim["id"])
    assert failed.value.codes == ["FORBIDDEN"]
    document = "{ levelClaims { edges { node { evidence { edges { node { what } } } } } } }"
    token = await make_token(
        w.app.platform.pool, w.app.tenant, ["*.read"], clearance=Confidentiality.INTERNAL
    )
    w.app._tokens[frozenset({"internal"})] = token
    answer = await w.app.execute(document, can=["internal"])
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    [edge] = answer["data"]["levelClaims"]["edges"]
    assert edge["node"]["evidence"]["edges"] == [{"node": {"what": None}}]


# decision chains


async def test_a_person_changes_the_role_and_leaves_and_history_stays(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer = await w.customer()
    chain, person = await w.chain(customer), await w.person(customer)
    where = {"chainId": chain, "personId": person}
    await w.done("ada", "seatInChain", **where, role="I", startsOn=ago(9))
    again = await w.refused("ada", "seatInChain", **where, role="I", startsOn=ago(8))
    assert again == ("INVALID", "role")
    early = await w.refused("ada", "seatInChain", **where, role="D", startsOn=ago(10))
    assert early == ("INVALID", "startsOn")
    await w.done("ada", "seatInChain", **where, role="D", startsOn=ago(5))
    first, second = sorted(await w.app.all(ChainSeat), key=lambda seat: seat.starts_on)
    assert (first.role, first.ends_on) == (DecisionRole.I, ago(5))
    assert (second.role, second.ends_on) == (DecisionRole.D, None)
    await w.done("ada", "leaveChain", seatId=second)
    assert await w.refused("ada", "leaveChain", seatId=second) == ("INVALID", "seatId")
    assert [type(event) for event in w.app.events] == [ChainChanged] * 3


async def test_nobody_has_two_roles_in_one_chain_on_a_day(guanxi: Boot) -> None:
    """Neither beside a role that ends later, nor beside one that is over."""
    w = await world(guanxi)
    customer = await w.customer()
    chain, person = await w.chain(customer), await w.person(customer)
    where = {"chainId": chain, "personId": person}
    await w.seat(customer, person, DecisionRole.I, starts_on=ago(90), ends_on=ago(60))
    past = await w.refused("ada", "seatInChain", **where, role="D", startsOn=ago(61))
    assert past == ("INVALID", "startsOn")
    await w.done("ada", "seatInChain", **where, role="D", startsOn=ago(60))
    seat = next(row for row in await w.app.all(ChainSeat) if row.ends_on is None)
    await w.done("ada", "leaveChain", seatId=seat, endsOn=ago(-10))
    beside = await w.refused("ada", "seatInChain", **where, role="A", startsOn=ago(0))
    assert beside == ("INVALID", "startsOn")
    await w.done("ada", "seatInChain", **where, role="A", startsOn=ago(-10))


async def test_chains_are_made_of_the_customers_own_people(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer, other = await w.customer(), await w.customer()
    chain, stranger = await w.chain(customer), await w.person(other)
    one, two = [await w.person(customer, role) for role in (DecisionRole.A, DecisionRole.I)]
    alone = await w.person(customer)
    wrong = await w.refused("ada", "seatInChain", chainId=chain, personId=stranger, role="A")
    assert wrong == ("INVALID", "personId")
    nobody = await w.refused("ada", "seatInChain", chainId=chain, personId=alone, role="NONE")
    assert nobody == ("INVALID", "role")
    for source, target, error in (
        (one, one, ("INVALID", "targetId")),
        (one, alone, ("INVALID", "targetId")),
        (stranger, one, ("INVALID", "sourceId")),
    ):
        refused = await w.refused(
            "ada", "linkInChain", chainId=chain, sourceId=source, targetId=target
        )
        assert refused == error
    nobody = f"person_{uuid4()}"
    unknown = await w.refused("ada", "linkInChain", chainId=chain, sourceId=nobody, targetId=nobody)
    assert unknown == ("NOT_FOUND", "sourceId")
    await w.done("ada", "linkInChain", chainId=chain, sourceId=two, targetId=one)
    again = await w.refused("ada", "linkInChain", chainId=chain, sourceId=two, targetId=one)
    assert again == ("INVALID", "targetId")
    create = """mutation ($in: CreateDecisionChainInput!) { createDecisionChain(input: $in) {
        errors { code } } }"""
    given = {"customerId": customer, "kind": "OVERALL"}
    for more, errors in (({}, 1), ({"opportunity": "X"}, 0), ({"opportunity": "X"}, 1)):
        made = await w.app.graphql(create, **{"in": given | more})
        assert len(made["createDecisionChain"]["errors"]) == errors, more


# people are erased


async def test_with_a_person_all_that_was_thought_of_them_is_erased(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer = await w.customer(Tier.S)
    gone, stays = [await w.person(customer, DecisionRole.A, 1) for _ in range(2)]
    await claimed(w, "ada", gone, 2)
    chain = await w.chain(customer)
    await w.done("ada", "linkInChain", chainId=chain, sourceId=gone, targetId=stays)
    erase = "mutation ($id: String!) { erasePerson(id: $id) { errors { message } } }"
    answer = await w.app.execute(erase, {"id": global_id(gone)}, reason="asked")
    assert answer.get("data") == {"erasePerson": {"errors": []}}, answer
    for model in (ChainSeat, LevelClaim, LevelAssessment):
        assert {row.person_id for row in await w.app.all(model)} == {stays.id}
    assert await w.app.all(ChainLink) == await w.app.all(LevelEvidence) == []
