"""How fast `guanxi import` is: as many names of companies as the largest file of the examples."""

import json
from dataclasses import dataclass

from benchmarks.installation import ROOT, Installation

NAME = "import"
ROWS = 267_397
GOAL = 20_000  # rows per second
_TENANT = "names"
_MAPPING = ROOT / "examples" / "company-names.toml"
_COUNTS = ("created", "updated", "unchanged", "rejected")


@dataclass(frozen=True, slots=True)
class Imported:
    """One run of the command, timed by itself."""

    rows: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds

    def __str__(self) -> str:
        return (
            f"{NAME}  {self.rate:,.0f} rows/s  goal {GOAL:,}  "
            f"({self.rows:,} names, one a line, in {self.seconds:.1f} s)"
        )


def measure(here: Installation, rows: int = ROWS) -> Imported:
    """Import into a tenant of its own; anything but all rows created ends it."""
    file = here.home / "names.txt"
    file.write_text("".join(f"{_name(number)}\n" for number in range(rows)), encoding="utf-8")
    here.guanxi("tenant", "create", _TENANT, "--enable", "customers")
    said = json.loads(
        here.guanxi(
            "import", "customers", str(file), "--map", str(_MAPPING), "--tenant", _TENANT, "--json"
        )
    )
    counts = {what: said[what] for what in _COUNTS}
    if counts != {**dict.fromkeys(_COUNTS, 0), "created": rows}:
        raise SystemExit(f"benchmarks: of {rows} names to import, {counts}.")
    return Imported(rows, said["seconds"])


def _name(number: int) -> str:
    """A name that no other number has, about as long as those of real companies."""
    character = chr(0x4E00 + number % 20_000)
    return f"{character}{number * 7919 % ROWS:06}科技有限公司"
