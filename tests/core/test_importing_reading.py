"""Files as they are: encodings, quotes, line numbers; and rows as records."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Mapped

from guanxi_core.importing.binding import Binding, Converted
from guanxi_core.importing.errors import ImportFailed
from guanxi_core.importing.mapping import Document, FileSpec
from guanxi_core.importing.planning import plan_import
from guanxi_core.importing.reading import CsvFile
from guanxi_core.importing.report import Rejections
from guanxi_sdk import Choice, Model, Money, column, reference


class Mood(Choice):
    """How somebody feels."""

    GOOD = "GOOD", "好", "Good"
    BAD = "BAD", "坏", "Bad"


class Guest(Model, plugin="read_in", key="code"):
    """Somebody who came."""

    code: Mapped[str]
    name: Mapped[str]
    mood: Mapped[Mood] = column(default=Mood.GOOD)
    tip: Mapped[Money | None]
    host_id: Mapped[UUID | None] = reference("self", reverse="guests")
    skills: Mapped[list[str]] = column(default=())
    age: Mapped[int | None]


def written(tmp_path: Path, content: str | bytes, name: str = "guests.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def convert(path: Path, toml: str = "") -> tuple[Binding, list[Converted]]:
    plan = plan_import("guests", [Guest], Document.parse("map.toml", toml) if toml else None)
    binding = Binding(plan.steps[0], path, "CNY")
    binding.prepare()
    return binding, [binding.convert(chunk) for chunk in binding.file.chunks()]


def rows(path: Path, toml: str = "") -> list[dict[str, Any]]:
    """What is staged, by column; nothing may be rejected."""
    binding, converted = convert(path, toml)
    assert [c.rejected for c in converted] == [[] for _ in converted]
    names = [column.name for column in binding.staged]
    return [dict(zip(names, r, strict=True)) for c in converted for r in c.records]


def rejected(path: Path, toml: str = "") -> list[tuple[int, str]]:
    return sorted(pair for c in convert(path, toml)[1] for pair in c.rejected)


def test_a_row_becomes_a_record(tmp_path: Path) -> None:
    path = written(tmp_path, "code,name,mood,tip,host,skills\n 1 ,Ann,坏,12.30, 2 ,go;chess\n")
    assert rows(path) == [
        {
            "code": "1", "name": "Ann", "mood": "BAD", "tip_minor": 1230, "tip_currency": "CNY",
            "host_id__by": "2", "skills": ["go", "chess"],
        }
    ]  # fmt: skip


def test_empty_cells_are_null_or_the_default(tmp_path: Path) -> None:
    path = written(tmp_path, "code,name,mood,tip,skills,age\n1,Ann,,,,-\n")
    [row] = rows(path, '[file]\nempty = ["-"]\n')
    assert row == {
        "code": "1", "name": "Ann", "mood": "GOOD", "tip_minor": None, "tip_currency": None,
        "skills": [], "age": None,
    }  # fmt: skip


def test_every_kind_of_source(tmp_path: Path) -> None:
    path = written(tmp_path, 'No,First,Last,Feels,Tip,Cur,Extra\n1,Ann,,fine,"1.234,50",eur,x\n')
    [row] = rows(
        path,
        """
        [file]
        decimal = ","
        thousands = "."
        [fields]
        code = "No"
        name = { join = ["First", "Last", "Extra"], with = " " }
        mood = { column = "Feels", values = { fine = "Good" } }
        tip = { column = "Tip", currency_column = "Cur" }
        age = { constant = 30 }
        skills = { column = "Last", default = "none" }
        """,
    )
    assert row == {
        "code": "1", "name": "Ann x", "mood": "GOOD", "tip_minor": 123450, "tip_currency": "EUR",
        "age": 30, "skills": ["none"],
    }  # fmt: skip


def test_constants_and_defaults_are_written_plainly(tmp_path: Path) -> None:
    path = written(tmp_path, 'code,name,tip\n1,Ann,\n2,Ben,"2,5"\n')
    fields = '[file]\ndecimal = ","\n[fields]\ncode = "code"\nname = "name"\n'
    constant = 'tip = { constant = 1.5, currency = "EUR" }\n'
    assert [row["tip_minor"] for row in rows(path, fields + constant)] == [150, 150]
    default = 'tip = { column = "tip", default = 1.5, currency = "EUR" }\n'
    assert [(row["tip_minor"], row["tip_currency"]) for row in rows(path, fields + default)] == [
        (150, "EUR"), (250, "EUR"),
    ]  # fmt: skip
    translated = 'tip = { column = "tip", currency = "EUR", values = { "2,5" = "3,75" } }\n'
    assert [row["tip_minor"] for row in rows(path, fields + translated)] == [None, 375]


def test_every_reason_is_told_with_the_line_where_the_row_begins(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'code,name,mood,tip\n1,"Ann\nof two lines",good,1\n\n2,Ben,glad,a lot\n'
        "3,,good,1\n4,Di\n1,Eve,bad,1\n,F,bad,1\n",
    )
    assert rejected(path) == [
        (5, "mood 'glad' is none of GOOD (好, Good), BAD (坏, Bad); "
            "tip 'a lot' is not a number such as 1234.50"),
        (6, "name is missing"),
        (7, "has 2 cells instead of 4"),
        (8, "code: the same as in line 2"),
        (9, "code is missing"),
    ]  # fmt: skip


def test_a_rejected_row_does_not_hold_the_key(tmp_path: Path) -> None:
    path = written(tmp_path, "code,name,mood\n1,Ann,glad\n1,Ann,good\n")
    assert [line for line, _ in rejected(path)] == [2]


def test_rows_can_be_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "code,name,age\n1,Ann,\n2,Ben,7\n")
    _, [converted] = convert(path, 'skip_unless = "age"\n')
    assert (converted.lines, converted.skipped, converted.rejected) == ([3], 1, [])
    assert converted.records == [("2", "Ben", 7)]
    path = written(tmp_path, "code,name,useful\n1,Ann,\n2,Ben,yes\n")
    _, [converted] = convert(path, 'skip_unless = "useful"\n')
    assert converted.records == [("2", "Ben")]


def test_chunks_are_as_long_as_wanted_and_duplicates_are_found_across_them(tmp_path: Path) -> None:
    path = written(tmp_path, "code,name\n" + "".join(f"{n % 7},x\n" for n in range(10)))
    plan = plan_import("guests", [Guest])
    binding = Binding(plan.steps[0], path, "CNY")
    converted = [binding.convert(chunk) for chunk in binding.file.chunks(3)]
    assert [c.lines for c in converted] == [[2, 3, 4], [5, 6, 7], [8], []]
    assert [line for c in converted for line, _ in c.rejected] == [9, 10, 11]
    assert converted[-1].position == path.stat().st_size


LINES = """
[fields]
code = "No"
name = "No"
[fields.tip]
sum_of = ["Price", "Count", "1-Off"]
file = "lines.csv"
key = "Guest"
column = "No"
currency = "USD"
"""


def test_an_amount_is_the_exact_sum_over_the_lines(tmp_path: Path) -> None:
    written(tmp_path, "Guest,Price,Count,Off\n1,18.6,9,0.15\n1,2,1,0\n2,0.005,1,0\n", "lines.csv")
    path = written(tmp_path, "No\n1\n2\n")
    assert [row["tip_minor"] for row in rows(path, LINES)] == [14429, 1]


def test_lines_that_cannot_be_counted_are_told(tmp_path: Path) -> None:
    lines = "Guest,Price,Count,Off\n1,x,9,0\n9,1,1,0\n8,1,1,0\n"
    written(tmp_path, lines, "lines.csv")
    binding, [converted] = convert(written(tmp_path, "No\n1\n2\n"), LINES)
    assert converted.rejected == [
        (2, "tip lines.csv, line 2: Price 'x' is not a number such as 1234.50"),
        (3, "tip has no lines in lines.csv where Guest is '2'"),
    ]
    [warning] = binding.warnings()
    assert "the lines of 2 Guest were not counted" in warning
    assert "for instance 8" in warning


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("lines.csv", "line.csv"), "line.csv: there is no such file"),
        (("1-Off", "1-Of"), r"line 5 \[fields\]: tip: lines.csv has no column 'Of': did you mean"),
        (('key = "Guest"', 'key = "Gast"'), "no column 'Gast'"),
    ],
)
def test_names_of_the_lines_are_checked_first(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    written(tmp_path, "Guest,Price,Count,Off\n", "lines.csv")
    with pytest.raises(ImportFailed, match=words):
        convert(written(tmp_path, "No\n"), LINES.replace(*change))


@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [
        (
            "code,name\n1,Ann\n2,张伟和他的朋友们\n".encode("gb18030"), "utf-8-sig",
            "line 3, byte 19 of the file: is not utf-8-sig: set the encoding to gb18030",
        ),
        ("code,name\n1,Zoë\n".encode("cp1252"), "utf-8", "line 2, byte 15 .* to cp1252"),
        ("code,name\n1,张伟\n".encode("utf-16"), "utf-8-sig", "byte 1 of the file.*to utf-16"),
        (b"code,name\n1,A\0nn\n", "utf-8-sig", "line 2: holds a NUL character"),
        (b'code,name\n1,"Ann\n2,Ben\n', "utf-8-sig", "line 2: unexpected end of data: check the q"),
        (b'code,name\n1,"Ann"x\n', "utf-8-sig", "line 2: ',' expected after '\"'"),
    ],
)  # fmt: skip
def test_what_is_no_csv_in_that_encoding(
    tmp_path: Path, content: bytes, encoding: str, words: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ImportFailed, match=words) as caught:
        list(CsvFile(path, FileSpec(encoding=encoding)).chunks())
    assert "\n" not in str(caught.value)


def test_a_wrong_byte_far_into_the_file_is_found(tmp_path: Path) -> None:
    good = "code,name\n" + "1,张伟\n" * 50_000
    path = written(tmp_path, good.encode() + b"2,\xff\n")
    with pytest.raises(ImportFailed, match=f"line 50002, byte {len(good.encode()) + 3} "):
        list(CsvFile(path, FileSpec()).chunks())


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "cp1252"])
def test_other_encodings_are_read_when_named(tmp_path: Path, encoding: str) -> None:
    name = "Zoë" if encoding == "cp1252" else "张伟"
    path = written(tmp_path, f"code,name\n1,{name}\n".encode(encoding))
    assert rows(path, f'[file]\nencoding = "{encoding}"\n')[0]["name"] == name


def test_an_unknown_encoding_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="'utf-88' is no encoding"):
        CsvFile(written(tmp_path, "code\n"), FileSpec(encoding="utf-88"))
    with pytest.raises(ImportFailed, match="there is no such file"):
        CsvFile(tmp_path / "nothing.csv", FileSpec())


def test_files_without_a_header(tmp_path: Path) -> None:
    path = written(tmp_path, "华为\n中兴\n")
    toml = '[file]\nheader = false\ncolumns = ["x"]\n[fields]\ncode = "x"\nname = "x"\n'
    assert [row["code"] for row in rows(path, toml)] == ["华为", "中兴"]


def test_the_report_holds_line_reason_and_the_original_cells(tmp_path: Path) -> None:
    path = written(tmp_path, 'code,name\n1,"Ann ""A"""\n2,Ben\n3,Cy,more\n')
    rejections = Rejections(CsvFile(path, FileSpec()))
    rejections.add("guests", [(4, "too wide"), (2, "no")])
    rejections.add("hosts", [(2, "never")])
    report = tmp_path / "out.csv"
    rejections.write(report)
    assert report.read_text("utf-8-sig").splitlines() == [
        "line,reason,code,name",
        '2,guests: no; hosts: never,1,"Ann ""A"""',
        "4,guests: too wide,3,Cy,more",
    ]
    assert rejections.first() == "guests.csv, line 2: guests: no; hosts: never"
    with pytest.raises(ImportFailed, match="name another file with --report"):
        rejections.write(tmp_path / "no" / "folder.csv")
