"""The relationship map as SVG and as a Mermaid flowchart; the same map gives the same text."""

import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from html import escape as _html
from typing import Final, NamedTuple

from guanxi_relationships.choices import MapEdgeKind, MapNodeKind
from guanxi_relationships.values import MapEdge, MapNode

#: Fill, border and text by effective level; None is not assessed.
COLOURS: Final[dict[int | None, tuple[str, str, str]]] = {
    3: ("#1b7f4d", "#125c37", "#ffffff"), 2: ("#5db585", "#2f8a59", "#10301f"),
    1: ("#c4e8d3", "#5db585", "#10301f"), 0: ("#eceff1", "#90a4ae", "#263238"),
    -1: ("#f3b8b0", "#c0392b", "#5a1710"), None: ("#ffffff", "#90a4ae", "#263238"),
}  # fmt: skip
_OURS: Final = ("#dce8f8", "#4a78b5", "#172b45")
_WIDTH, _HEIGHT, _GAP, _MARGIN, _TOP = 196, 62, 18, 24, 64
_PER_ROW: Final = 4


class _Box(NamedTuple):
    x: float
    y: float

    @property
    def left(self) -> tuple[float, float]:
        return self.x, self.y + _HEIGHT / 2

    @property
    def right(self) -> tuple[float, float]:
        return self.x + _WIDTH, self.y + _HEIGHT / 2

    @property
    def middle(self) -> float:
        return self.x + _WIDTH / 2


def escape(text: str) -> str:
    """A text within XML, which takes no control characters."""
    return _html("".join(c if c.isprintable() else " " for c in text))


def label(node: MapNode) -> str:
    """What stands below the name: role and level, or our level."""
    if node.kind is MapNodeKind.EMPLOYEE:
        return "" if node.rank is None else f"L{node.rank}"
    level = "?" if node.effective_level is None else str(node.effective_level).replace("-", "−")
    role = f"{node.role.value} {node.role.zh}" if node.role else ""
    return f"{role} · {level}"


def svg(title: str, nodes: Sequence[MapNode], edges: Sequence[MapEdge]) -> str:
    """Our people at the left, theirs in one band for each role; gaps stand below the name."""
    places, bands, width, height = _layout(nodes)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" '
        "font-family=\"system-ui, 'Noto Sans CJK SC', 'Microsoft YaHei', sans-serif\">",
        f"<title>{escape(title)}</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#b9770e"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_MARGIN}" y="34" font-size="18" font-weight="600" fill="#263238">'
        f"{escape(title)}</text>",
    ]
    for name, top, bottom in bands:
        left = _MARGIN + _WIDTH + 70
        parts.append(
            f'<rect x="{left}" y="{top}" width="{width - left - _MARGIN}" height="{bottom - top}" '
            'rx="10" fill="#f7f9fa"/>'
            f'<text x="{left + 12}" y="{top + 18}" font-size="12" fill="#607d8b">{name}</text>'
        )
    parts += [_line(edge, places) for edge in edges if edge.kind is MapEdgeKind.MEETS]
    parts += [_drawn(node, places[node.id]) for node in nodes]
    parts += [_line(edge, places) for edge in edges if edge.kind is MapEdgeKind.INFLUENCES]
    return "\n".join([*parts, "</svg>"])


def _layout(
    nodes: Sequence[MapNode],
) -> tuple[dict[str, _Box], list[tuple[str, float, float]], int, int]:
    """Where each node is, the bands of the roles, width and height."""
    places: dict[str, _Box] = {}
    bands: list[tuple[str, float, float]] = []
    people = [node for node in nodes if node.kind is MapNodeKind.PERSON]
    ours = [node for node in nodes if node.kind is MapNodeKind.EMPLOYEE]
    left = _MARGIN + _WIDTH + 70 + _GAP
    top = float(_TOP)
    for role in dict.fromkeys(node.role for node in people):
        members = [node for node in people if node.role is role]
        rows = -(-len(members) // _PER_ROW)
        bottom = top + 28 + rows * (_HEIGHT + _GAP)
        for number, node in enumerate(members):
            row, column = divmod(number, _PER_ROW)
            places[node.id] = _Box(
                left + column * (_WIDTH + _GAP), top + 28 + row * (_HEIGHT + _GAP)
            )
        bands.append((f"{role.value} {role.zh} {role.en}" if role else "", top, bottom))
        top = bottom + _GAP
    for number, node in enumerate(ours):
        places[node.id] = _Box(_MARGIN, _TOP + 28 + number * (_HEIGHT + _GAP))
    most = min(_PER_ROW, max(Counter(node.role for node in people).values(), default=1))
    width = int(left + most * (_WIDTH + _GAP) + _MARGIN)
    height = int(max(top, _TOP + 28 + len(ours) * (_HEIGHT + _GAP), 160) + _MARGIN)
    return places, bands, width, height


def _drawn(node: MapNode, box: _Box) -> str:
    ours = node.kind is MapNodeKind.EMPLOYEE
    fill, border, text = _OURS if ours else COLOURS[node.effective_level]
    dashed = "" if ours or node.level is not None else ' stroke-dasharray="5 4"'
    gaps = " · ".join(gap.zh for gap in node.gaps)
    lines = [(20, 14, 600, node.name), (37, 11, 400, node.title or ""), (53, 11, 400, label(node))]
    texts = "".join(
        f'<text x="{box.x + 12}" y="{box.y + y}" font-size="{size}" font-weight="{weight}" '
        f'fill="{text}">{escape(_cut(words, 24 if size == 14 else 30))}</text>'
        for y, size, weight, words in lines
        if words
    )
    if gaps:
        texts += (
            f'<text x="{box.x + _WIDTH - 10}" y="{box.y + 53}" font-size="11" text-anchor="end" '
            f'font-weight="600" fill="{text}">⚠ {escape(_cut(gaps, 22))}</text>'
        )
    tip = escape(", ".join([node.name, *(gap.en for gap in node.gaps)]))
    return (
        f'<g><title>{tip}</title><rect x="{box.x}" y="{box.y}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" rx="8" fill="{fill}" stroke="{border}" stroke-width="1.5"{dashed}/>'
        f"{texts}</g>"
    )


def _line(edge: MapEdge, places: dict[str, _Box]) -> str:
    one, two = places[edge.source], places[edge.target]
    if edge.kind is MapEdgeKind.MEETS:
        (x1, y1), (x2, y2) = one.right, two.left
        bend = (x2 - x1) / 2
        return (
            f'<path d="M{x1} {y1}C{x1 + bend:g} {y1} {x2 - bend:g} {y2} {x2} {y2}" fill="none" '
            f'stroke="#4a78b5" stroke-opacity="0.55" stroke-width="{1 + min(edge.meetings, 8) / 2}"'
            f"><title>{edge.meetings} · {edge.last_on}</title></path>"
        )
    if one.y == two.y:  # over the heads of those between
        (x1, y1), (x2, y2) = (one.middle, one.y), (two.middle, two.y)
        path = f"M{x1} {y1}C{x1} {y1 - 26} {x2} {y2 - 26} {x2} {y2 - 2}"
    else:  # past those between, at their right
        (x1, y1), (x2, y2) = one.right, two.right
        path = f"M{x1} {y1}C{x1 + 22} {y1} {x2 + 22} {y2} {x2 + 2} {y2}"
    return (
        f'<path d="{path}" fill="none" stroke="#b9770e" stroke-width="1.6" '
        'stroke-dasharray="6 4" marker-end="url(#tip)"/>'
    )


def _cut(text: str, most: int) -> str:
    """The text, cut to so many half-width characters."""
    taken = 0
    for place, character in enumerate(text):
        taken += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if taken > most:
            return text[: max(place - 1, 0)] + "…"
    return text


def _escaped(text: str) -> str:
    """A text within quotes of Mermaid, which takes a name for markup otherwise."""
    return "".join(
        character if character.isalnum() or character in " ·-+.,()−" else f"#{ord(character)};"
        for character in text
    )


def mermaid(title: str, nodes: Sequence[MapNode], edges: Sequence[MapEdge]) -> str:
    """A flowchart: ours at the left, theirs by role, coloured by level."""
    names = {node.id: f"n{number}" for number, node in enumerate(nodes)}
    lines = ["---", f"title: {json.dumps(title, ensure_ascii=False)}", "---", "flowchart LR"]
    roles = dict.fromkeys(node.role for node in nodes if node.role is not None)
    ours = [node for node in nodes if node.kind is MapNodeKind.EMPLOYEE]
    for role in roles:
        lines.append(f'  subgraph {role.value}["{role.value} {role.zh}"]')
        lines += [
            f'    {names[node.id]}["{_escaped(node.name)}<br/>{_escaped(label(node))}"]'
            for node in nodes
            if node.role is role
        ]
        lines.append("  end")
    lines += [
        f'  {names[node.id]}(["{_escaped(f"{node.name} {label(node)}".strip())}"])' for node in ours
    ]
    for edge in edges:
        one, two = names[edge.source], names[edge.target]
        if edge.kind is MapEdgeKind.MEETS:
            lines.append(f'  {one} ---|"{edge.meetings}"| {two}')
        else:
            lines.append(f"  {one} -.-> {two}")
    for level, (fill, border, text) in COLOURS.items():
        members = [
            names[node.id]
            for node in nodes
            if node.kind is MapNodeKind.PERSON and node.effective_level == level
        ]
        if members:
            name = "unassessed" if level is None else f"level{level}".replace("-", "minus")
            lines.append(f"  classDef {name} fill:{fill},stroke:{border},color:{text}")
            lines.append(f"  class {','.join(members)} {name}")
    return "\n".join(lines)
