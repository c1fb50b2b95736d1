"""Defects planted into the compiler are found by comparing with the reference executor."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from guanxi_graphql.compile import aggregates, arguments, figures, filters, selections
from guanxi_graphql.compile.aggregates import Aggregate
from guanxi_graphql.compile.connections import Connection
from guanxi_graphql.compile.policies import Policies
from guanxi_graphql.compile.selections import Selections
from guanxi_graphql.execute import documents
from guanxi_graphql.execute.documents import Document
from reference.documents import Focus
from reference.laboratory import Case, Laboratory
from reference.oracle import Answer

pytestmark = pytest.mark.xdist_group("planted defects")  # answers are worked out once

#: Documents on which each planted defect must show.
TRIED = 250


@pytest.fixture(scope="module")
async def answers(laboratory: Laboratory) -> list[tuple[Case, list[Answer]]]:
    """Cases about lists from fixed seeds, with the answers they must give."""
    return await _answered(laboratory, "lists", TRIED)


@pytest.fixture(scope="module")
async def answers_of_aggregates(laboratory: Laboratory) -> list[tuple[Case, list[Answer]]]:
    """The same about aggregates."""
    return await _answered(laboratory, "aggregates", TRIED // 2)


async def _answered(
    laboratory: Laboratory, focus: Focus, count: int
) -> list[tuple[Case, list[Answer]]]:
    cases = [await laboratory.case(random.Random(seed), focus=focus) for seed in range(count)]
    return [(case, await laboratory.reference(case)) for case in cases]


Plant = Callable[[pytest.MonkeyPatch], None]


def _defect(function: Any) -> Any:
    return pytest.param(function, id=function.__name__.strip("_"))


def _keyset_turned(patch: pytest.MonkeyPatch) -> None:
    beyond = Connection._beyond
    other = {"after": "before", "before": "after"}
    patch.setattr(Connection, "_beyond", lambda s, k, name, leaf: beyond(s, k, other[name], leaf))


def _keyset_without_ties(patch: pytest.MonkeyPatch) -> None:
    beyond = Connection._beyond

    def without_id(self: Any, keys: Any, name: str, leaf: Any) -> Any:
        condition = beyond(self, keys, name, leaf)
        parts = getattr(condition, "clauses", ())
        return sa.or_(*parts[:-1]) if len(parts) > 1 and len(keys) > 1 else condition

    patch.setattr(Connection, "_beyond", without_id)


def _nulls_first(patch: pytest.MonkeyPatch) -> None:
    order = Connection._order

    def without_nulls(keys: Any, expressions: Any, *, reverse: bool) -> Any:
        return order([replace(key, nullable=False) for key in keys], expressions, reverse=reverse)

    patch.setattr(Connection, "_order", staticmethod(without_nulls))


def _no_row_more(patch: pytest.MonkeyPatch) -> None:
    limit = Connection._limit
    patch.setattr(Connection, "_limit", lambda self, one_more: limit(self, False))


def _archived_listed(patch: pytest.MonkeyPatch) -> None:
    base = Connection.base

    def without(self: Any) -> Any:
        scope, conditions = base(self)
        return scope, [c for c in conditions if "archived_at" not in str(c)]

    patch.setattr(Connection, "base", without)


def _ne_leaves_out_nulls(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(filters._COMPARE, "ne", lambda a, b: a != b)


def _gt_for_gte(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(filters._COMPARE, "gte", lambda a, b: a > b)


def _choice_values_for_names(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(selections, "choice_name", lambda choice, expression: expression)


def _skip_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Selections, "_included", lambda self, node: True)


def _withheld_shown(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Selections, "withhold", lambda self, permission, path: False)


def _filters_by_what_is_withheld(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(filters.Filters, "require", lambda self, permission: None)
    patch.setattr(Policies, "shown", lambda self, *given: None)


def _currencies_mixed(patch: pytest.MonkeyPatch) -> None:
    figures = aggregates.figures_of

    def without_currency(*given: Any) -> Any:
        *first, _, nodes = given
        return figures(*first, sa.literal_column("'CNY'", sa.Text), nodes)

    patch.setattr(aggregates, "figures_of", without_currency)


def _weeks_from_sunday(patch: pytest.MonkeyPatch) -> None:
    bucket = Aggregate._bucket

    def turned(self: Any, kind: str, value: Any) -> Any:
        return bucket(self, kind, value + sa.text("interval '1 day'"))

    patch.setattr(Aggregate, "_bucket", turned)


def _empty_groups_first(patch: pytest.MonkeyPatch) -> None:
    order = Aggregate._order
    patch.setattr(
        Aggregate, "_order",
        lambda self, groups: [
            term.element.nulls_first() if hasattr(term.element, "element") else term
            for term in order(self, groups)
        ],
    )  # fmt: skip


def _grouped_by_what_is_withheld(patch: pytest.MonkeyPatch) -> None:
    def key(self: Any, scope: Any, one: Any) -> Any:
        kind, value, _ = self._selections.filters._comparable(scope, one.binding)
        return self._bucket(kind, value) if kind in ("date", "datetime") else value

    patch.setattr(Aggregate, "_key", key)


def _averages_rounded_down(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(figures, "_TWO", sa.literal_column("1", sa.Numeric))


def _one_plan_for_all_variables(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Document, "key", lambda self, variables: ())


def _nulls_of_one_plan(patch: pytest.MonkeyPatch) -> None:
    form = arguments.form
    patch.setattr(documents, "form", lambda value, **exact: form(value or "", **exact))


@pytest.mark.parametrize(
    "plant",
    [
        _defect(_keyset_turned),
        _defect(_keyset_without_ties),
        _defect(_nulls_first),
        _defect(_no_row_more),
        _defect(_archived_listed),
        _defect(_ne_leaves_out_nulls),
        _defect(_gt_for_gte),
        _defect(_choice_values_for_names),
        _defect(_skip_ignored),
        _defect(_withheld_shown),
        _defect(_filters_by_what_is_withheld),
        _defect(_one_plan_for_all_variables),
        _defect(_nulls_of_one_plan),
    ],
)
async def test_a_planted_defect_is_found(
    laboratory: Laboratory,
    answers: list[tuple[Case, list[Answer]]],
    monkeypatch: pytest.MonkeyPatch,
    plant: Plant,
) -> None:
    await _plant(laboratory, answers, monkeypatch, plant)


@pytest.mark.parametrize(
    "plant",
    [
        _defect(_currencies_mixed),
        _defect(_weeks_from_sunday),
        _defect(_empty_groups_first),
        _defect(_grouped_by_what_is_withheld),
        _defect(_averages_rounded_down),
    ],
)
async def test_a_planted_defect_of_aggregates_is_found(
    laboratory: Laboratory,
    answers_of_aggregates: list[tuple[Case, list[Answer]]],
    monkeypatch: pytest.MonkeyPatch,
    plant: Plant,
) -> None:
    await _plant(laboratory, answers_of_aggregates, monkeypatch, plant)


async def _plant(
    laboratory: Laboratory,
    answers: list[tuple[Case, list[Answer]]],
    monkeypatch: pytest.MonkeyPatch,
    plant: Plant,
) -> None:
    await laboratory.forget_plans()
    plant(monkeypatch)
    try:
        assert await _found(laboratory, answers), "the comparison did not notice"
    finally:
        monkeypatch.undo()
        await laboratory.forget_plans()


async def _found(laboratory: Laboratory, answers: list[tuple[Case, list[Answer]]]) -> bool:
    for case, wanted in answers:
        try:
            if await laboratory.difference(case, wanted):
                return True
        except LookupError:  # a plan for other variables misses a value
            return True
    return False


async def test_without_a_defect_nothing_is_found(
    laboratory: Laboratory,
    answers: list[tuple[Case, list[Answer]]],
    answers_of_aggregates: list[tuple[Case, list[Answer]]],
) -> None:
    for case, wanted in (*answers[:60], *answers_of_aggregates[:60]):
        assert await laboratory.difference(case, wanted) is None, case
