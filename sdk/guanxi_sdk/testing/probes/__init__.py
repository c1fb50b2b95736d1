"""Probes: what must hold for every plugin, asked of any, from its models and its schema alone."""

from guanxi_sdk.testing.probes.findings import (
    Broke,
    Changed,
    Distinguished,
    Leaked,
    NotCovered,
    ProbeFailed,
    Report,
)

__all__ = ["Broke", "Changed", "Distinguished", "Leaked", "NotCovered", "ProbeFailed", "Report"]
