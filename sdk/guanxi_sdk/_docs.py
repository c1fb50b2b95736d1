"""What docstrings say: the string literal below an attribute describes it, `Args:` arguments."""

import ast
import inspect
import re
from functools import lru_cache
from threading import Lock
from types import ModuleType

_ARGUMENT = re.compile(r" {4}(\w+)(?: \([^)]*\))?:(?: +(.*))?")
#: CPython 3.11 counts the depth of a syntax tree for all threads together while it makes one, and
#: fails where two of them do.
_PARSING = Lock()


@lru_cache(maxsize=512)
def _classes(module: ModuleType) -> dict[str, ast.ClassDef]:
    try:
        with _PARSING:
            tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError):  # no source at hand (frozen, interactive): descriptions fall back
        return {}
    found: dict[str, ast.ClassDef] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                found[prefix + node.name] = node
                visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                visit(node.body, f"{prefix}{node.name}.<locals>.")

    visit(tree.body, "")
    return found


def attribute_docs(cls: type) -> dict[str, str]:
    """Descriptions of the attributes of ``cls``, its bases' included, by attribute name."""
    docs: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if not inspect.get_annotations(owner):
            continue  # nothing to describe, in modules that may be long
        module = inspect.getmodule(owner)
        node = _classes(module).get(owner.__qualname__) if module else None
        if node is None:
            continue
        for statement, following in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
                and isinstance(following.value.value, str)
            ):
                docs[statement.target.id] = inspect.cleandoc(following.value.value)
    return docs


def documented(doc: str | None) -> tuple[str, dict[str, str]]:
    """A docstring without its section ``Args:``, and what that says of each argument.

    Raises :class:`ValueError` with a line of the section that is neither ``name: text``, indented
    by four spaces, nor goes on with one, indented further.
    """
    text, heading, rest = inspect.cleandoc(doc or "").partition("\n\nArgs:\n")
    lines = rest.splitlines() if heading else []
    told: dict[str, str] = {}
    name = ""
    while lines and (not lines[0] or lines[0].startswith(" ")):
        line = lines.pop(0)
        if begun := _ARGUMENT.fullmatch(line):
            name = begun[1]
            told[name] = begun[2] or ""
        elif name and line.startswith(" " * 5):
            told[name] = f"{told[name]} {line.strip()}".strip()
        elif line:
            raise ValueError(line)
    return "\n".join([text, "", *lines]) if lines else text, told


def words(name: str) -> str:
    """``purchase_total`` or ``PurchaseTotal`` as words: ``purchase total``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").strip().lower()


@lru_cache(4_096)
def snake(name: str) -> str:
    """``CustomerTier`` as ``customer_tier``."""
    return words(name).replace(" ", "_")


@lru_cache(4_096)
def camel(name: str) -> str:
    """``purchase_total`` as ``purchaseTotal``."""
    head, *tail = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)
