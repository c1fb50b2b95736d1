"""The relationship map, through GraphQL: nodes, edges, gaps, SVG and Mermaid."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from guanxi_customers import Customer, DecisionRole
from guanxi_relationships import ChainKind
from guanxi_sdk.testing import Boot, GraphQLFailed, global_id
from relating import TODAY, World, ago, world

MAP = """query ($id: ID!, $asOf: Date, $kind: ChainKind, $opportunity: String) {
  relationshipMap(customerId: $id, asOf: $asOf, kind: $kind, opportunity: $opportunity) {
    customerName asOf svg mermaid
    nodes { id kind name title rank role level effectiveLevel lastContactOn gaps }
    edges { kind source target meetings lastOn } } }"""
SVG = "{http://www.w3.org/2000/svg}"


async def drawn(w: World, customer: Customer, **variables: Any) -> Any:
    return (await w.app.graphql(MAP, id=customer, **variables))["relationshipMap"]


async def peopled(w: World) -> tuple[Customer, dict[str, Any]]:
    """A customer whose approver the boss meets, whose decider only a junior meets."""
    customer = await w.customer(name="华星")
    boss, junior = await w.employee(level=5, name="Boss"), await w.employee(level=1, name="Junior")
    await w.employee(name="Elsewhere")
    people = {
        name: await w.person(customer, DecisionRole[role], level, name=name, rank=rank)
        for name, role, level, rank in (
            ("Wang <CEO>", "A", 3, 5), ('Li "CTO"', "D", 2, 4), ("Zhao", "I", -1, None),
            ("Qian", "I", None, 2),
        )
    }  # fmt: skip
    one, two, three, _ = people.values()
    await w.activity(customer, ago(5), [boss, one])
    await w.activity(customer, ago(3), [boss, junior, one])
    await w.activity(customer, ago(100), [junior, two])
    await w.activity(customer, ago(5), [boss, await w.person(customer)])  # in no chain
    chain = await w.chain(customer)
    await w.done("ada", "linkInChain", chainId=chain, sourceId=three, targetId=one)
    return customer, people | {"boss": boss, "junior": junior}


async def test_the_map_has_people_levels_gaps_and_meetings(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer, people = await peopled(w)
    found = await drawn(w, customer)
    assert (found["customerName"], found["asOf"]) == ("华星", str(TODAY))
    assert [
        (n["name"], n["role"], n["level"], n["effectiveLevel"], n["gaps"]) for n in found["nodes"]
    ] == [
        ("Wang <CEO>", "A", 3, 3, []),
        ('Li "CTO"', "D", 2, 1, ["DECAYED", "NOT_AT_LEVEL"]),
        ("Qian", "I", None, None, ["UNASSESSED", "NOT_MET"]),
        ("Zhao", "I", -1, -1, ["AGAINST", "NOT_MET"]),
        ("Boss", None, None, None, []),
        ("Junior", None, None, None, []),
    ]
    ids = {name: global_id(row) for name, row in people.items()}
    edges = [(e["kind"], e["source"], e["target"], e["meetings"]) for e in found["edges"]]
    assert edges == [
        ("INFLUENCES", ids["Zhao"], ids["Wang <CEO>"], 0),
        ("MEETS", ids["boss"], ids["Wang <CEO>"], 2),
        *sorted(
            [("MEETS", ids["junior"], ids["Wang <CEO>"], 1),
             ("MEETS", ids["junior"], ids['Li "CTO"'], 1)],
            key=lambda edge: edge[2],
        ),
    ]  # fmt: skip
    assert found == await drawn(w, customer), "the same facts draw the same map"


async def test_the_map_is_that_of_the_day_and_of_the_chains_asked_for(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer, people = await peopled(w)
    await w.seat(customer, people["Qian"], DecisionRole.E, ChainKind.TECHNICAL)
    technical = await drawn(w, customer, kind="TECHNICAL")
    assert [(n["name"], n["role"]) for n in technical["nodes"]] == [("Qian", "E")]
    every = await drawn(w, customer)
    assert [n["role"] for n in every["nodes"] if n["name"] == "Qian"] == ["E"], "the weightier"
    assert (await drawn(w, customer, opportunity="none"))["nodes"] == []
    before = await drawn(w, customer, asOf=ago(101))
    assert {edge["kind"] for edge in before["edges"]} == {"INFLUENCES"}
    assert (await drawn(w, customer, asOf="2019-12-31"))["nodes"] == []


async def test_svg_and_mermaid_show_all_and_hold_no_markup_of_names(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer, _ = await peopled(w)
    found = await drawn(w, customer)
    tree = ET.fromstring(found["svg"])
    texts = [element.text for element in tree.iter(f"{SVG}text")]
    for node in found["nodes"]:
        assert node["name"] in texts
    assert len(tree.findall(f"{SVG}path")) == len(found["edges"])
    boxes = [
        tuple(float(box.get(name) or 0) for name in ("x", "y", "width", "height"))
        for group in tree.findall(f"{SVG}g")
        for box in group.findall(f"{SVG}rect")
    ]
    assert len(boxes) == len(found["nodes"])
    width, height = float(tree.get("width") or 0), float(tree.get("height") or 0)
    for number, (x, y, w_, h) in enumerate(boxes):
        assert 0 <= x <= x + w_ <= width
        assert 0 <= y <= y + h <= height
        for left, top, other_w, other_h in boxes[:number]:
            apart = x >= left + other_w or left >= x + w_ or y >= top + other_h or top >= y + h
            assert apart, "no box covers another"
    assert "script" not in found["svg"]
    lines = found["mermaid"].splitlines()
    assert lines[:4] == ["---", f'title: "华星 · {TODAY}"', "---", "flowchart LR"]
    assert '    n0["Wang #60;CEO#62;<br/>A 审批 · 3"]' in lines
    assert "  n3 -.-> n0" in lines
    assert '  n4 ---|"2"| n0' in lines
    assert sum(bool(re.match(r"\s+n\d+[\[(]", line)) for line in lines) == len(found["nodes"])


async def test_the_map_takes_the_rights_of_what_it_shows(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer = await w.customer()
    both = ("relationships.read", "customers.read")
    assert (await w.ask("bo", MAP, *both, id=customer))["relationshipMap"]["nodes"] == []
    for only in both:
        with pytest.raises(GraphQLFailed) as failed:
            await w.ask("bo", MAP, only, id=customer)
        assert failed.value.codes == ["FORBIDDEN"]
    missing = "customer_01980000-0000-7000-8000-000000000000"
    for grants in (both, ("relationships.read", "customers.read:own")):
        with pytest.raises(GraphQLFailed) as failed:
            await w.ask("bo", MAP, *grants, id=missing if grants == both else customer)
        assert failed.value.codes == ["NOT_FOUND"]
