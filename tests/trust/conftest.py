"""The miniature plugins can be imported by name; `laboratory` tries documents on one of them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures" / "plugins"))

from figures import company, figure, pytest_terminal_summary
from homes import home
from reference.laboratory import laboratory

__all__ = ["company", "figure", "home", "laboratory", "pytest_terminal_summary"]
