"""The tiers plugin: strategies, classification, overrides, and the history of tiers."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from guanxi_customers import Employee
from guanxi_sdk import (
    Erasure,
    Invalid,
    Model,
    Plugin,
    hookimpl,
)
from guanxi_tiers import schemes
from guanxi_tiers.care import CareHooks
from guanxi_tiers.classifying import Classifying
from guanxi_tiers.coverage import WeeklyCoverage
from guanxi_tiers.covering import Covering
from guanxi_tiers.events import (
    ClassificationRequested,
    CoverageCounted,
    CustomersClassified,
    ObligationsRequested,
    TierChanged,
)
from guanxi_tiers.models import (
    ArrearsWaiver,
    NeedTriage,
    Standing,
    TierAssessment,
    TierDecision,
    TierRun,
)
from guanxi_tiers.obligations import ObligationHooks, TierObligation
from guanxi_tiers.obliging import Obliging
from guanxi_tiers.permissions import OVERRIDE, READ, RULES, WRITE
from guanxi_tiers.proposing import Proposing
from guanxi_tiers.schemes import TierScheme, TierShadow
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.strategy import TierHooks
from guanxi_tiers.workdays import CalendarDay, Leave


class Tiers(
    Classifying,
    Proposing,
    Covering,
    Obliging,
    Plugin[TierSettings],
    name="tiers",
    requires=["customers>=0.1,<1"],
    version="0.2.0",
    models=[
        TierAssessment,
        NeedTriage,
        ArrearsWaiver,
        TierRun,
        TierDecision,
        Standing,
        TierScheme,
        TierShadow,
        TierObligation,
        CalendarDay,
        Leave,
        WeeklyCoverage,
    ],
    events=[
        TierChanged,
        ClassificationRequested,
        CustomersClassified,
        ObligationsRequested,
        CoverageCounted,
    ],
    permissions=[READ, WRITE, OVERRIDE, RULES],
    hooks=[TierHooks, ObligationHooks, CareHooks],
):
    """Four tiers of customers (战略, 伙伴, 优先, 一般), decided by strategies, with reasons."""

    @hookimpl(about=(TierScheme, ArrearsWaiver, Leave))
    def write_errors(
        self, model: type[Model], verb: str, values: Mapping[str, Any]
    ) -> list[Invalid]:
        """Check dates, and that the changes of a scheme would do."""
        if model is TierScheme:
            if verb not in ("create", "import"):
                return []
            try:
                schemes.changed(self.settings, values.get("changes") or ())
            except Invalid as error:
                return [error]
            return []
        start, end = values.get("starts_on"), values.get("ends_on")
        if start and end and end < start:
            return [Invalid("ends_on", "is before starts_on")]
        return []

    @hookimpl
    def erasures(self, subject: type[Model], id: UUID) -> Sequence[Erasure]:
        """Leave and coverage of employees; of users that they decided: the name is kept."""
        if subject is Employee:
            return [
                Erasure(Leave, Leave.employee_id == id),
                Erasure(WeeklyCoverage, WeeklyCoverage.employee_id == id),
            ]
        if subject.info.prefix != "user":
            return []
        user: Any = subject
        name = sa.select(user.name).where(user.id == id).scalar_subquery()
        return [
            Erasure(TierDecision, TierDecision.decided_by == name, "decided_by"),
            Erasure(TierRun, TierRun.started_by == name, "started_by"),
            Erasure(
                TierObligation, TierObligation.fulfilled_by == name, "fulfilled_by", "evidence"
            ),
        ]
