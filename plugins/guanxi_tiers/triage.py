"""Three-way triage as a strategy: how clear a customer's need is (domain rule 004-07)."""

import sqlalchemy as sa

from guanxi_tiers.choices import Triage
from guanxi_tiers.facts import named
from guanxi_tiers.rows import Rows, text
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.strategy import Because, TierVerdict

NAME, VERSION = "TRIAGE", "1"


def triage(rows: Rows, settings: TierSettings) -> tuple[Rows, TierVerdict]:
    """Clear needs are contacted, hopeful ones looked after, and others left alone."""
    found = named(rows).triage
    tiers = {one: getattr(settings, f"triage_{one.lower()}") for one in Triage}
    tier = sa.case(
        *((found == one.value, text(decided.value)) for one, decided in tiers.items()),
        else_=sa.null(),
    )
    reasons = [
        Because(
            "TRIAGE",
            f"Need: {one.en.lower()}, so {decided} ({decided.en}).",
            f"需求：{one.zh}，故为{decided}（{decided.zh}）。",
            when=found == one.value,
        )
        for one, decided in tiers.items()
    ]
    reasons.append(
        Because(
            "NO_TRIAGE",
            "Nobody has looked at the need yet.",
            "尚未做需求筛选。",
            when=found.is_(None),
        )
    )
    return rows, TierVerdict(tier=tier, reasons=reasons)
