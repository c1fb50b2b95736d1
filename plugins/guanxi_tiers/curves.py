"""Quantities as points of 0 to 10, in exact arithmetic (domain rule F1)."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import lcm

from guanxi_tiers.settings import Breakpoints


def ratio(number: float | Fraction) -> tuple[int, int]:
    """A float as the decimal it is written as, in lowest terms: 0.1 is one tenth."""
    if isinstance(number, Fraction):
        return number.numerator, number.denominator
    return Decimal(str(number)).as_integer_ratio()


@dataclass(frozen=True, slots=True)
class Segment:
    """Points from a quantity on: (intercept + slope × quantity) / divisor, in whole numbers."""

    start: tuple[int, int]
    intercept: int
    slope: int
    divisor: int


@lru_cache(maxsize=256)
def segments(breakpoints: Breakpoints) -> tuple[Segment, ...]:
    """What lies between the breakpoints, and beyond the last of them."""
    pairs = [(Fraction(*ratio(x)), Fraction(*ratio(y))) for x, y in breakpoints]
    slopes = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairwise(pairs)]
    made = []
    for (x, y), slope in zip(pairs, (*slopes, Fraction()), strict=True):
        intercept = y - slope * x
        divisor = lcm(intercept.denominator, slope.denominator)
        made.append(Segment(ratio(x), int(intercept * divisor), int(slope * divisor), divisor))
    return tuple(made)


def points(quantity: float | Fraction, breakpoints: Breakpoints) -> Fraction:
    """Points for a quantity: linear between the breakpoints, flat outside."""
    numerator, denominator = ratio(quantity)
    for segment in reversed(segments(breakpoints)):
        start, unit = segment.start
        if numerator * unit >= start * denominator:
            scaled = segment.intercept * denominator + segment.slope * numerator
            return Fraction(scaled, segment.divisor * denominator)
    return Fraction(*ratio(breakpoints[0][1]))
