"""The import benchmark counts what came in, and nothing else."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from benchmarks.importing import Imported, measure


@dataclass
class Here:
    """Stands for the installation: remembers the commands, and answers with ``said``."""

    home: Path
    said: dict[str, float]
    commands: list[tuple[str, ...]] = field(default_factory=list)

    def guanxi(self, *arguments: str) -> str:
        self.commands.append(arguments)
        return json.dumps(self.said)


def answer(created: int, rejected: int = 0) -> dict[str, float]:
    return {
        "created": created, "updated": 0, "unchanged": 0, "rejected": rejected, "seconds": 0.5,
    }  # fmt: skip


def test_as_many_different_names_as_said_are_imported(tmp_path: Path) -> None:
    here = Here(tmp_path, answer(30_000))
    imported = measure(here, 30_000)  # type: ignore[arg-type]
    assert imported == Imported(30_000, 0.5)
    assert str(imported).startswith("import  60,000 rows/s  goal 20,000 ")
    create, load = here.commands
    assert create[:2] == ("tenant", "create")
    assert load[:2] == ("import", "customers")
    assert len(set(Path(load[2]).read_text("utf-8").splitlines())) == 30_000
    assert Path(load[load.index("--map") + 1]).is_file()


@pytest.mark.parametrize("said", [answer(99), answer(99, 1), answer(100, 1), answer(0)])
def test_rows_that_are_not_in_are_not_fast(tmp_path: Path, said: dict[str, float]) -> None:
    with pytest.raises(SystemExit, match="of 100 names"):
        measure(Here(tmp_path, said), 100)  # type: ignore[arg-type]
