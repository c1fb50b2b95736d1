"""Every number by which relationships are judged, for a tenant to adjust (domain rules F3 to F11).

A name tells the rule by its first word; the descriptions name it.
"""

import math
from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from guanxi_customers import ActivityKind
from guanxi_sdk import Settings
from guanxi_tiers import Tier

_FIVE_MEANS = (
    ActivityKind.COMPANY_VISIT,
    ActivityKind.SHOWCASE_VISIT,
    ActivityKind.ONSITE_MEETING,
    ActivityKind.TECHNICAL_EXCHANGE,
    ActivityKind.MANAGEMENT_STUDY,
)
_KEY = (Tier.S, Tier.A, Tier.B)
_ORGANIZATIONAL = (Tier.S, Tier.A)


class RelationshipSettings(Settings):
    """Spans, weights and thresholds of scores."""

    contact_days: Annotated[
        int, Meta(description="Days after the last contact from which a level decays (F3).")
    ] = 90
    weight_a: Annotated[float, Meta(description="Weight of an approver (F4).")] = 5
    weight_d: Annotated[float, Meta(description="Weight of a decider (F4).")] = 5
    weight_s: Annotated[float, Meta(description="Weight of a supporter (F4).")] = 3
    weight_e: Annotated[float, Meta(description="Weight of an evaluator (F4).")] = 3
    weight_i: Annotated[float, Meta(description="Weight of an influencer (F4).")] = 2

    general_days: Annotated[
        int, Meta(description="Days within which a contact covers a department (F5).")
    ] = 90
    general_a: Annotated[float, Meta(description="Lowest general score of grade A (F5).")] = 80
    general_b: Annotated[float, Meta(description="Lowest general score of grade B (F5).")] = 60
    general_c: Annotated[float, Meta(description="Lowest general score of grade C (F5).")] = 40

    organizational_months: Annotated[
        int, Meta(description="Months within which something counts (F6).")
    ] = 12
    organizational_points: Annotated[
        float, Meta(description="Points of each of the five parts (F6).")
    ] = 20
    executive_meetings: Annotated[
        int, Meta(description="Executive meetings that earn the points (F6).")
    ] = 2
    executive_kinds: Annotated[
        tuple[ActivityKind, ...], Meta(description="Activities that are executive meetings (F6).")
    ] = (ActivityKind.EXECUTIVE_CALL,)
    operating_meetings: Annotated[
        int, Meta(description="Operating meetings that earn the points (F6).")
    ] = 4
    operating_kinds: Annotated[
        tuple[ActivityKind, ...], Meta(description="Activities that are operating meetings (F6).")
    ] = (ActivityKind.ONSITE_MEETING,)
    management_studies: Annotated[
        int, Meta(description="Management studies that earn the points (F6).")
    ] = 1
    organizational_a: Annotated[
        float, Meta(description="Lowest organizational score of grade A (F6).")
    ] = 80
    organizational_b: Annotated[
        float, Meta(description="Lowest organizational score of grade B; below it is C (F6).")
    ] = 40

    ratio_key: Annotated[float, Meta(description="Part of key relationships (F7).")] = 30
    ratio_general: Annotated[float, Meta(description="Part of general relationships (F7).")] = 18
    ratio_organizational: Annotated[
        float, Meta(description="Part of the organizational relationship (F7).")
    ] = 14
    key_tiers: Annotated[
        tuple[Tier, ...], Meta(description="Tiers whose key relationships count (F7, B2).")
    ] = _KEY
    organizational_tiers: Annotated[
        tuple[Tier, ...], Meta(description="Tiers whose organizational relationship counts (F7).")
    ] = _ORGANIZATIONAL

    five_means: Annotated[
        tuple[ActivityKind, ...],
        Meta(description="The five means of one-five-one (000-09)."),
    ] = _FIVE_MEANS
    five_means_tiers: Annotated[
        tuple[Tier, ...],
        Meta(description="Tiers whose yearly plan must hold all five means (tier requirements)."),
    ] = (Tier.S,)

    safety_rank: Annotated[
        int,
        Meta(description="Rank from which a key person's need for safety must be known (C5 54)."),
    ] = 5

    isolation_warn_months: Annotated[
        int, Meta(description="Months without the supervisor from which it warns (F11).")
    ] = 6
    isolation_critical_months: Annotated[
        int, Meta(description="Months without the supervisor from which it is critical (F11).")
    ] = 12
    holders_tiers: Annotated[
        tuple[Tier, ...], Meta(description="Tiers that several employees must hold (F11).")
    ] = _ORGANIZATIONAL
    holders_least: Annotated[
        int, Meta(description="How many employees must have a relationship (F11).")
    ] = 2
    holders_level: Annotated[
        int, Meta(description="Lowest level of a person that makes a relationship (F11, C5 29).")
    ] = 1
    holders_days: Annotated[
        int, Meta(description="Days within which an employee must have met the person (F11).")
    ] = 365
    mismatch_ranks: Annotated[
        int, Meta(description="Ranks between us and them from which it is downward (F10).")
    ] = 2
    mismatch_share: Annotated[
        float, Meta(description="Share of downward activities above which it alerts (F10).")
    ] = 0.3
    boss_level: Annotated[
        int, Meta(description="Level from which an employee is the boss (C5 27).")
    ] = 5
    boss_share: Annotated[
        float, Meta(description="Share of revenue signed by the boss above which it alerts (27).")
    ] = 0.5
    boss_months: Annotated[int, Meta(description="Months whose revenue counts (C5 27).")] = 12
    runs_visits: Annotated[
        int, Meta(description="Visits in a quarter from which influence is expected (C5 29).")
    ] = 30
    rotation_months: Annotated[
        int, Meta(description="Months with a customer after which rotation is proposed (C5 26).")
    ] = 24
    rotation_highest_level: Annotated[
        int, Meta(description="Highest level of ordinary sales staff, who rotate (000-07).")
    ] = 3
    rotation_pause_months: Annotated[
        int, Meta(description="Months after an answer in which nothing is proposed again.")
    ] = 6
    overlap_days: Annotated[int, Meta(description="Days that a handover overlaps (C2).")] = 30
    handover_completeness: Annotated[
        float, Meta(description="Lowest completeness of the profile for a handover (F13).")
    ] = 0.8
    joint_visits: Annotated[
        int, Meta(description="Visits that both stewards must have made together (C2).")
    ] = 2
    joint_visit_kinds: Annotated[
        tuple[ActivityKind, ...], Meta(description="Activities that are joint visits (C2).")
    ] = (ActivityKind.VISIT, ActivityKind.EXECUTIVE_CALL)

    parity_ranks: Annotated[
        int, Meta(description="Ranks between us and them within which we meet at their level.")
    ] = 1
    every_days_s: Annotated[
        int, Meta(description="Days in which a key person of tier S is met; 0 for no rhythm (F18).")
    ] = 15
    every_days_a: Annotated[
        int, Meta(description="Days in which a key person of tier A is met; 0 for no rhythm (F18).")
    ] = 30
    every_days_b: Annotated[
        int, Meta(description="Days in which a key person of tier B is met; 0 for no rhythm (F18).")
    ] = 30
    every_days_c: Annotated[
        int, Meta(description="Days in which a key person of tier C is met; 0 for no rhythm (F18).")
    ] = 0
    horizon_days: Annotated[
        int, Meta(description="Days ahead in which the next engagements look.")
    ] = 14
    engagement_customers: Annotated[
        int,
        Meta(
            description="Customers among whom the next engagements are looked for; of more, those "
            "with a plan, of the highest tiers, and longest without a contact."
        ),
    ] = 5_000
    contact_tiers: Annotated[
        tuple[Tier, ...],
        Meta(description="Tiers for which due contacts are planned every night (C5 48)."),
    ] = (Tier.S,)
    executive_rank: Annotated[
        int, Meta(description="Rank from which somebody is met by an executive call.")
    ] = 4
    tier_weight_s: Annotated[float, Meta(description="What tier S multiplies engagements by.")] = 4
    tier_weight_a: Annotated[float, Meta(description="What tier A multiplies engagements by.")] = 3
    tier_weight_b: Annotated[float, Meta(description="What tier B multiplies engagements by.")] = 2
    tier_weight_c: Annotated[float, Meta(description="What tier C multiplies engagements by.")] = 1
    weight_below_target: Annotated[
        float, Meta(description="Weight of each level below the plan's target.")
    ] = 2
    weight_decay: Annotated[float, Meta(description="Weight of a level about to decay.")] = 4
    weight_due: Annotated[float, Meta(description="Weight of a contact that is due.")] = 3
    weight_unassessed: Annotated[
        float, Meta(description="Weight of a key person whom nobody assessed.")
    ] = 3
    weight_not_at_level: Annotated[
        float, Meta(description="Weight of a key person whom nobody met at their level.")
    ] = 2
    weight_uncovered: Annotated[
        float, Meta(description="Weight of a department that nobody covers.")
    ] = 1

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense; the message names the setting and the remedy."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, int | float) and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value}: it must be 0 or more.")
        for name in ("contact_days", "general_days", "organizational_months"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more.")
        if not any((self.weight_a, self.weight_d, self.weight_s, self.weight_e, self.weight_i)):
            raise ValueError("every weight_… is 0: at least one role must count.")
        if self.ratio_general <= 0:
            raise ValueError("ratio_general is 0: general relationships count in every tier.")
        if not 0 < self.organizational_points <= 20:
            raise ValueError(
                f"organizational_points is {self.organizational_points}: five parts make 100 at "
                "most, so it must be above 0 and up to 20."
            )
        for falling in (
            ("general_a", "general_b", "general_c"), ("organizational_a", "organizational_b"),
        ):  # fmt: skip
            given = [getattr(self, name) for name in falling]
            if any(one <= two for one, two in pairwise(given)):
                raise ValueError(f"{', '.join(falling)} are {given}: they must fall.")
