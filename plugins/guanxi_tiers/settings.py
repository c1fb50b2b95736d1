"""Every number of the tiers plugin, for a tenant to adjust (domain rules F1, 004-07, C7)."""

import math
from collections.abc import Mapping
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta

from guanxi_sdk import Settings
from guanxi_tiers.choices import Requirement, Tier, TierCombination, TierInputName

#: Points (0–10) by a quantity: linear between the pairs, flat outside.
Breakpoints = tuple[tuple[float, float], ...]
#: How the names of settings begin by which tiers are decided.
_RULES = (
    "weight_", "threshold_", "arrears_", "purchase_points", "growth_points", "credit_points",
    "pareto_", "rfm_", "triage_",
)  # fmt: skip
_CENTURY = 36_500  # days
#: The least and the most of something.
Band = tuple[int, int]
#: What a tier requires, each with how often a year: 1, 2, 3, 4, 6 or 12 times.
Requirements = tuple[tuple[Requirement, int], ...]
_B: Requirements = ((Requirement.KEY_PERSON_PLAN, 1), (Requirement.REVIEW, 2))
_A: Requirements = (
    (Requirement.KEY_PERSON_PLAN, 1),
    (Requirement.ORGANIZATIONAL_PLAN, 1),
    (Requirement.REVIEW, 4),
    (Requirement.EXECUTIVE_SPONSOR, 1),
    (Requirement.CONTACT, 12),
)
_S: Requirements = (
    *_A,
    (Requirement.GROUP_STRATEGY, 1),
    (Requirement.PROFILE_REFRESH, 1),
    (Requirement.PROFILE_CHECK, 4),
    (Requirement.COMPANY_VISIT, 1),
    (Requirement.SHOWCASE_VISIT, 1),
    (Requirement.ONSITE_MEETING, 1),
    (Requirement.TECHNICAL_EXCHANGE, 1),
    (Requirement.MANAGEMENT_STUDY, 1),
)


class TierSettings(Settings):
    """Strategies and how they combine, and the numbers of each."""

    strategies: Annotated[
        tuple[str, ...],
        Meta(description="Strategies in their order: F1, PARETO, RFM, TRIAGE, those of plugins."),
    ] = ("F1",)
    combination: Annotated[
        TierCombination, Meta(description="Which answer counts where several strategies answer.")
    ] = TierCombination.FIRST
    override_days: Annotated[
        int, Meta(description="Days after which a tier set by hand ends, unless a day is named.")
    ] = 365
    classify_at_once: Annotated[
        int, Meta(description="Customers whom one request classifies; more are done beside it.")
    ] = 20_000
    keep_up_to_date: Annotated[
        bool, Meta(description="Whether tiers follow what changes, every hour.")
    ] = True
    recheck_minutes: Annotated[
        int,
        Meta(description="Longest time, in minutes, that a change of data takes to be committed."),
    ] = 60

    weight_strategic_fit: Annotated[float, Meta(description="Weight of strategic fit.")] = 25
    weight_growth: Annotated[float, Meta(description="Weight of growth.")] = 20
    weight_profit: Annotated[float, Meta(description="Weight of profit.")] = 20
    weight_purchase: Annotated[float, Meta(description="Weight of the annual purchase.")] = 15
    weight_influence: Annotated[float, Meta(description="Weight of influence on others.")] = 10
    weight_credit: Annotated[float, Meta(description="Weight of credit.")] = 10

    threshold_s: Annotated[float, Meta(description="Lowest score, of 100, of tier S.")] = 80
    threshold_a: Annotated[float, Meta(description="Lowest score, of 100, of tier A.")] = 65
    threshold_b: Annotated[float, Meta(description="Lowest score, of 100, of tier B.")] = 45

    arrears_cap_days: Annotated[
        int, Meta(description="Days in arrears above which the tier is capped.")
    ] = 90
    arrears_cap_tier: Annotated[
        Tier, Meta(description="Highest tier of a customer that far in arrears.")
    ] = Tier.B

    purchase_points: Annotated[
        Breakpoints,
        Meta(description="Points by annual purchase, in major units of the tenant's currency."),
    ] = ((0, 0), (100_000, 2), (1_000_000, 5), (10_000_000, 8), (100_000_000, 10))
    growth_points: Annotated[
        Breakpoints,
        Meta(description="Points by growth of the annual purchase: 0.25 is a quarter more."),
    ] = ((-0.5, 0), (0, 4), (0.2, 7), (0.5, 10))
    credit_points: Annotated[
        Breakpoints, Meta(description="Points for credit by days in arrears.")
    ] = ((0, 10), (30, 7), (90, 3), (180, 0))

    pareto_share_s: Annotated[
        float, Meta(description="Share of all purchases that customers of tier S make up.")
    ] = 0.5
    pareto_share_a: Annotated[
        float, Meta(description="Share of all purchases that tiers S and A make up.")
    ] = 0.8
    pareto_share_b: Annotated[
        float, Meta(description="Share of all purchases that tiers S, A and B make up.")
    ] = 0.95

    rfm_weight_recency: Annotated[
        float, Meta(description="Weight of how lately a customer bought.")
    ] = 1
    rfm_weight_frequency: Annotated[
        float, Meta(description="Weight of how many orders a customer gave in twelve months.")
    ] = 1
    rfm_weight_monetary: Annotated[
        float, Meta(description="Weight of how much a customer bought in twelve months.")
    ] = 1
    rfm_threshold_s: Annotated[float, Meta(description="Lowest RFM score, of 100, of S.")] = 80
    rfm_threshold_a: Annotated[float, Meta(description="Lowest RFM score, of 100, of A.")] = 60
    rfm_threshold_b: Annotated[float, Meta(description="Lowest RFM score, of 100, of B.")] = 40

    triage_clear: Annotated[Tier, Meta(description="Tier of a customer with a clear need.")] = (
        Tier.B
    )
    triage_hopeful: Annotated[
        Tier, Meta(description="Tier of a customer whose need is unclear but hopeful.")
    ] = Tier.C
    triage_none: Annotated[Tier, Meta(description="Tier of a customer with basically no need.")] = (
        Tier.C
    )

    requirements_s: Annotated[
        Requirements, Meta(description="What tier S requires, and how often a year.")
    ] = _S
    requirements_a: Annotated[
        Requirements, Meta(description="What tier A requires, and how often a year.")
    ] = _A
    requirements_b: Annotated[
        Requirements, Meta(description="What tier B requires, and how often a year.")
    ] = _B
    requirements_c: Annotated[
        Requirements, Meta(description="What tier C requires beside the quota of visits.")
    ] = ((Requirement.REVIEW, 1),)
    plan_days: Annotated[
        int, Meta(description="Days of a period within which what plans it must be there.")
    ] = 90
    grace_days: Annotated[
        int, Meta(description="Days that there are at least once a tier requires something new.")
    ] = 30

    time_zone: Annotated[
        str, Meta(description="IANA time zone of employees and customers without an office.")
    ] = "Asia/Shanghai"
    chinese_time_zones: Annotated[
        tuple[str, ...],
        Meta(description="Time zones whose offices keep the public holidays of China."),
    ] = ("Asia/Shanghai", "Asia/Urumqi", "Asia/Chongqing", "Asia/Harbin", "Asia/Kashgar", "PRC")
    visit_quota: Annotated[
        int, Meta(description="General customers whom a manager visits each week.")
    ] = 5
    visit_workdays: Annotated[
        int, Meta(description="Workdays of a week for which that quota holds in full.")
    ] = 5
    non_project_share: Annotated[
        float, Meta(description="Share of activities without opportunity below which it warns.")
    ] = 0.3
    care_days: Annotated[int, Meta(description="Days over which contacts are counted.")] = 30
    care_s: Annotated[Band, Meta(description="Least and most contacts of a person in S.")] = (2, 8)
    care_a: Annotated[Band, Meta(description="Least and most contacts of a person in A.")] = (1, 6)
    care_b: Annotated[Band, Meta(description="Least and most contacts of a person in B.")] = (1, 4)
    care_c: Annotated[Band, Meta(description="Least and most contacts of a person in C.")] = (0, 2)

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense; the message names the setting and the remedy."""
        if not self.strategies or len(set(self.strategies)) < len(self.strategies):
            raise ValueError("strategies: name at least one, and none twice.")
        _check_weights("weight_", {n.lower(): weight for n, weight in self.weights.items()})
        _check_weights("rfm_weight_", self.rfm_weights)
        for prefix in ("threshold_", "rfm_threshold_"):
            b, a, s = (getattr(self, prefix + tier) for tier in "bas")
            if not 0 < b < a < s <= 100:
                raise ValueError(
                    f"{prefix}b, {prefix}a, {prefix}s are {b}, {a}, {s}: they must rise, above 0 "
                    "and up to 100."
                )
        shares = (self.pareto_share_s, self.pareto_share_a, self.pareto_share_b)
        if not 0 < shares[0] < shares[1] < shares[2] <= 1:
            raise ValueError(
                f"pareto_share_s, pareto_share_a, pareto_share_b are {shares[0]}, {shares[1]}, "
                f"{shares[2]}: they must rise, above 0 and up to 1."
            )
        for setting, least in (
            ("arrears_cap_days", 0),
            ("override_days", 1),
            ("recheck_minutes", 0),
            ("classify_at_once", 0),
            ("plan_days", 1),
            ("grace_days", 0),
            ("visit_quota", 0),
            ("visit_workdays", 1),
            ("care_days", 1),
        ):
            value = getattr(self, setting)
            if value < least:
                raise ValueError(f"{setting} is {value}: it must be {least} or more.")
            if setting.endswith("days") and value > _CENTURY:
                raise ValueError(f"{setting} is {value}: it must be {_CENTURY} or less.")
        for setting in ("purchase_points", "growth_points", "credit_points"):
            _check_breakpoints(setting, getattr(self, setting))
        for tier in Tier:
            _check_requirements(f"requirements_{tier.lower()}", self)
            low, high = getattr(self, f"care_{tier.lower()}")
            if not 0 <= low <= high:
                raise ValueError(f"care_{tier.lower()} is [{low}, {high}]: give least and most.")
        if not 0 <= self.non_project_share <= 1:
            raise ValueError(f"non_project_share is {self.non_project_share}: it goes from 0 to 1.")
        _check_time_zone(self.time_zone)

    @staticmethod
    def is_rule(name: str) -> bool:
        """Whether a setting is one of those by which tiers are decided."""
        return name in ("strategies", "combination") or name.startswith(_RULES)

    @property
    def weights(self) -> dict[TierInputName, float]:
        """The weight of each input."""
        return {name: getattr(self, f"weight_{name.lower()}") for name in TierInputName}

    @property
    def rfm_weights(self) -> dict[str, float]:
        """The weight of recency, frequency and monetary value."""
        names = ("recency", "frequency", "monetary")
        return {name: getattr(self, f"rfm_weight_{name}") for name in names}


def _check_weights(prefix: str, weights: Mapping[str, float]) -> None:
    for name, weight in weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"{prefix}{name} is {weight}: it must be 0 or more.")
    if not any(weights.values()):
        raise ValueError(f"every {prefix}… is 0: at least one must count.")


def _check_breakpoints(setting: str, breakpoints: Breakpoints) -> None:
    if not breakpoints:
        raise ValueError(f"{setting} is empty: give at least one pair [quantity, points].")
    former = -math.inf
    for quantity, points in breakpoints:
        if not (math.isfinite(quantity) and quantity > former):
            raise ValueError(
                f"{setting}: {quantity} follows {former}; quantities must rise from pair to pair."
            )
        if not 0 <= points <= 10:
            raise ValueError(f"{setting}: {points} points for {quantity}; they go from 0 to 10.")
        former = quantity


def _check_time_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"time_zone is '{name}': name one such as Asia/Shanghai.") from None


def _check_requirements(setting: str, settings: TierSettings) -> None:
    required: Requirements = getattr(settings, setting)
    if len({requirement for requirement, _ in required}) < len(required):
        raise ValueError(f"{setting}: name no requirement twice.")
    for requirement, times in required:
        if times not in (1, 2, 3, 4, 6, 12):
            raise ValueError(
                f"{setting}: {requirement} is required {times} times a year; 1, 2, 3, 4, 6 and 12 "
                "divide it into equal periods."
            )
