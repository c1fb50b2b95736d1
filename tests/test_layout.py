"""How the repository is laid out, so that no folder shadows a package."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("core", "graphql", "sdk", "plugins")


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_root_folders_are_no_packages(folder):
    assert (ROOT / folder).is_dir()
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize(
    "how", [("-c",), ("-P", "-c")], ids=["with the folder in front", "without"]
)
def test_graphql_is_graphql_core(how):
    """At the root, where `python -c` and `python -m` put the folder in front of the path."""
    code = "import graphql; print(graphql.__file__); graphql.parse('{ a }')"
    done = subprocess.run(
        [sys.executable, *how, code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "site-packages" in Path(done.stdout.strip()).parts
    assert ROOT / "graphql" not in Path(done.stdout.strip()).parents


def packages():
    return sorted(
        path
        for folder in FOLDERS
        for path in (ROOT / folder).iterdir()
        if path.is_dir() and path.name != "__pycache__"
    )


def test_every_package_is_named_after_the_project_and_typed():
    assert packages()
    for package in packages():
        assert package.name.startswith("guanxi_")
        assert (package / "py.typed").exists(), package.name


def test_the_wheel_holds_every_package():
    manifest = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    build = manifest["tool"]["hatch"]["build"]
    assert build["dev-mode-dirs"] == list(FOLDERS)
    wheel = build["targets"]["wheel"]
    assert wheel["sources"] == list(FOLDERS)
    assert wheel["include"] == [f"/{folder}/guanxi_*" for folder in FOLDERS]


def test_no_module_is_called_by_what_it_is_not():
    vague = {"utils", "helpers", "base", "manager", "common", "misc"}
    for package in packages():
        for module in package.rglob("*.py"):
            assert module.stem not in vague, module


def test_the_import_contracts_hold():
    """The same check as in `make check`; here because a broken contract is a broken design."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-cache"], capture_output=True, text=True, cwd=ROOT, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* kept, 0 broken", done.stdout)


def test_only_the_graphql_package_imports_graphene():
    pattern = re.compile(r"^\s*(?:from|import) graphene\b", re.MULTILINE)
    for package in packages():
        for module in package.rglob("*.py"):
            if package.name != "guanxi_graphql":
                assert not pattern.search(module.read_text("utf-8")), module


def test_tests_are_no_packages():
    """Equal names in different folders need `--import-mode=importlib` and no `__init__.py`."""
    tests = ROOT / "tests"
    apart = {"external", "fixtures"}  # distributions of their own
    assert not [path for path in tests.rglob("__init__.py") if not apart & set(path.parts)]
