"""Several strategies' answers as one tier, with the reasons of all that took part."""

import logging
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import JSONB

from guanxi_sdk import Invalid
from guanxi_tiers.choices import Tier, TierCombination
from guanxi_tiers.rows import Rows, joined, json_array, layer, reasons, text
from guanxi_tiers.rules import Asked, Rules
from guanxi_tiers.strategy import Because, TierVerdict

log = logging.getLogger(__name__)
_TIERS = [tier.value for tier in Tier]  # highest first
_WHY = {
    TierCombination.FIRST: ("The first of {} that knows counts.", "取{}中首个有结论者。"),
    TierCombination.BEST: ("The best of {} counts.", "取{}中最高者。"),
    TierCombination.WORST: ("The worst of {} counts.", "取{}中最低者。"),
}


def verdicts(rows: Rows, rules: Rules) -> tuple[Rows, list[Asked]]:
    """``rows`` with the answer of each strategy, and the strategies that could be asked.

    One that fails as it is asked is left out, as a plugin that fails to answer a hook is.
    """
    answered: list[Asked] = []
    for one in rules.asked:
        try:
            wider, verdict = one.answer(rows)
            wider = layer(wider, _columns(len(answered), verdict), f"verdict_{len(answered)}")
        except (Exception, SystemExit):
            if one.offered is None:
                raise
            log.exception("the tier strategy '%s' failed and was left out", one.name)
            continue
        rows = wider
        answered.append(one)
    return rows, answered


def none_works(rules: Rules) -> Invalid:
    """What is told where every strategy that was chosen fails."""
    names = ", ".join(one.name for one in rules.asked)
    told = f"The setting 'strategies' names {names}, and none of them works: choose others."
    return Invalid(None, told)


def _columns(number: int, verdict: TierVerdict) -> dict[str, Any]:
    """A verdict by name; nonsense counts as knowing nothing, so that it harms nobody else."""
    tier = sa.cast(verdict.tier, sa.Text)
    known = tier.in_(_TIERS)
    score = sa.null() if verdict.score is None else verdict.score
    number_ = sa.cast(score, sa.Float(53))
    sure = sa.literal(1.0, sa.Float(53))
    confidence = sure if verdict.confidence is None else sa.cast(verdict.confidence, sa.Float(53))
    return {
        f"tier_{number}": sa.case((known, tier), else_=sa.cast(sa.null(), sa.Text)),
        f"score_{number}": sa.case((number_.between(0, 100), number_)),
        f"confidence_{number}": sa.case(
            (sa.and_(known, confidence.between(0, 1)), confidence), else_=0.0
        ),
        f"inputs_{number}": json_array() if verdict.inputs is None else verdict.inputs,
        f"reasons_{number}": reasons(verdict.reasons),
    }


def combined(rows: Rows, rules: Rules) -> Rows:
    """``rows`` with the columns verdict_tier, verdict_score and so on."""
    rows, asked = verdicts(rows, rules)
    if not asked:
        raise none_works(rules)
    numbers = range(len(asked))
    if len(asked) == 1:
        return layer(rows, _of_one(rows, asked[0]), "combined")
    tiers = [rows.c[f"tier_{n}"] for n in numbers]
    rows = layer(rows, {"winner": _winner(tiers, rules.settings.combination)}, "winners")
    tiers = [rows.c[f"tier_{n}"] for n in numbers]
    winner = rows.c.winner

    def of_winner(what: str, otherwise: Any) -> sa.ColumnElement[Any]:
        branches = [(winner == n, rows.c[f"{what}_{n}"]) for n in numbers]
        return sa.case(*branches, else_=otherwise)

    first = rules.settings.combination is TierCombination.FIRST
    taking_part = [
        sa.or_(winner.is_(None), winner == n if first else tiers[n].is_not(None)) for n in numbers
    ]
    english, chinese = _WHY[rules.settings.combination]
    names = "+".join(one.name for one in asked)
    why = Because("COMBINED", english, chinese, names, when=winner.is_not(None))
    nothing = json_array()
    others = [
        sa.case(
            (sa.and_(taking_part[n], winner.is_distinct_from(n)), rows.c[f"reasons_{n}"]),
            else_=nothing,
        )
        for n in numbers
    ]
    columns = {
        "verdict_tier": of_winner("tier", sa.cast(sa.null(), sa.Text)),
        "verdict_score": of_winner("score", sa.cast(sa.null(), sa.Float(53))),
        "verdict_confidence": of_winner("confidence", sa.literal(0.0, sa.Float(53))),
        "verdict_inputs": of_winner("inputs", rows.c.inputs_0),
        "verdict_reasons": joined(of_winner("reasons", nothing), reasons([why]), *others),
        "verdict_strategy": _labels(taking_part, [one.name for one in asked]),
        "verdict_version": _labels(taking_part, [one.version for one in asked]),
    }
    return layer(rows, columns, "combined")


def _of_one(rows: Rows, asked: Asked) -> dict[str, Any]:
    return {
        "verdict_tier": rows.c.tier_0,
        "verdict_score": rows.c.score_0,
        "verdict_confidence": rows.c.confidence_0,
        "verdict_inputs": rows.c.inputs_0,
        "verdict_reasons": sa.type_coerce(rows.c.reasons_0, JSONB),
        "verdict_strategy": text(asked.name),
        "verdict_version": text(asked.version),
    }


def _winner(tiers: list[Any], combination: TierCombination) -> sa.ColumnElement[Any]:
    """The number of the strategy that counts; of equal answers the first; null if none knows."""
    if combination is TierCombination.FIRST:
        return sa.case(*((tier.is_not(None), n) for n, tier in enumerate(tiers)), else_=sa.null())
    ranks = [sa.case(*((tier == name, n) for n, name in enumerate(_TIERS))) for tier in tiers]
    chosen = (func.least if combination is TierCombination.BEST else func.greatest)(*ranks)
    return sa.case(*((rank == chosen, n) for n, rank in enumerate(ranks)), else_=sa.null())


def _labels(taking_part: list[Any], labels: list[str]) -> sa.ColumnElement[Any]:
    parts = [sa.case((part, text(one))) for part, one in zip(taking_part, labels, strict=True)]
    return func.concat_ws(text("+"), *parts, type_=sa.Text)
