"""Every number of F1, for a tenant to adjust (domain rule F1, C7)."""

import math
from typing import Annotated

from msgspec import Meta

from guanxi_sdk import Settings
from guanxi_tiers.choices import Tier, TierInputName

#: Points (0–10) by a quantity: linear between the pairs, flat outside.
Breakpoints = tuple[tuple[float, float], ...]


class TierSettings(Settings):
    """Weights, thresholds, the cap for arrears, and how quantities become points."""

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

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense; the message names the setting and the remedy."""
        for name, weight in self.weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"weight_{name.lower()} is {weight}: it must be 0 or more.")
        if not any(self.weights.values()):
            raise ValueError("every weight_… is 0: at least one input must count.")
        if not 0 < self.threshold_b < self.threshold_a < self.threshold_s <= 100:
            raise ValueError(
                f"threshold_b, threshold_a, threshold_s are {self.threshold_b}, "
                f"{self.threshold_a}, {self.threshold_s}: they must rise, above 0 and up to 100."
            )
        if self.arrears_cap_days < 0:
            raise ValueError(f"arrears_cap_days is {self.arrears_cap_days}: it must be 0 or more.")
        for setting in ("purchase_points", "growth_points", "credit_points"):
            _check_breakpoints(setting, getattr(self, setting))

    @property
    def weights(self) -> dict[TierInputName, float]:
        """The weight of each input."""
        return {name: getattr(self, f"weight_{name.lower()}") for name in TierInputName}


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
