"""Closed lists of the tiers plugin, each value with its Chinese and English label."""

from guanxi_sdk import Choice


class Tier(Choice):
    """How much a customer matters (客户分级; domain rule 002-05, B2)."""

    S = "S", "战略", "Strategic"
    A = "A", "伙伴", "Partner"
    B = "B", "优先", "Priority"
    C = "C", "一般", "General"


class TierInputName(Choice):
    """What a tier is judged by (domain rule F1)."""

    STRATEGIC_FIT = "STRATEGIC_FIT", "战略契合度", "Strategic fit"
    GROWTH = "GROWTH", "增长", "Growth"
    PROFIT = "PROFIT", "利润", "Profit"
    PURCHASE = "PURCHASE", "采购额", "Purchase"
    INFLUENCE = "INFLUENCE", "影响力", "Influence"
    CREDIT = "CREDIT", "信用", "Credit"


class AssessedInput(Choice):
    """Inputs that no other data tells, so that somebody has to assess them (domain rule F1)."""

    STRATEGIC_FIT = "STRATEGIC_FIT", "战略契合度", "Strategic fit"
    PROFIT = "PROFIT", "利润", "Profit"
    INFLUENCE = "INFLUENCE", "影响力", "Influence"


class TierInputSource(Choice):
    """Where the value of an input comes from."""

    COMPUTED = "COMPUTED", "计算", "Computed"
    ASSESSED = "ASSESSED", "评估", "Assessed"
