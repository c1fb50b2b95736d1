"""Mappings: every name is checked before a row is read, and errors say where and how to mend it."""

import datetime as dt
from pathlib import Path
from typing import Annotated
from uuid import UUID

import pytest
from msgspec import Meta
from sqlalchemy.orm import Mapped

from guanxi_core.importing.binding import Binding
from guanxi_core.importing.errors import ImportFailed
from guanxi_core.importing.mapping import Document
from guanxi_core.importing.planning import plan_import
from guanxi_sdk import Choice, Model, Money, column, reference


class Size(Choice):
    """How big a depot is."""

    BIG = "BIG", "大", "Big"
    SMALL = "SMALL", "小", "Small"


class Depot(Model, plugin="mapped", key="code"):
    """A place where things are kept."""

    code: Mapped[Annotated[str, Meta(max_length=10)]]
    name: Mapped[str]
    size: Mapped[Size] = column(default=Size.SMALL)
    rent: Mapped[Money | None]
    opened_on: Mapped[dt.date | None]
    parent_id: Mapped[UUID | None] = reference("self", reverse="children")


class Shelf(Model, plugin="mapped", plural="shelves"):
    """A shelf in a depot."""

    depot_id: Mapped[UUID] = reference(Depot, reverse="shelves")
    label: Mapped[str]


MODELS = [Depot, Shelf]
HEADER = "Code,Name,Size,Rent\n"


def bind(tmp_path: Path, toml: str, text: str = HEADER, model: str = "depots") -> Binding:
    """The first step of a mapping bound to a file with ``text``."""
    path = tmp_path / "depots.csv"
    path.write_text(text, encoding="utf-8")
    plan = plan_import(model, MODELS, Document.parse("map.toml", toml) if toml else None)
    return Binding(plan.steps[0], path, "CNY")


def refusal(tmp_path: Path, toml: str, text: str = HEADER, model: str = "depots") -> str:
    with pytest.raises(ImportFailed) as caught:
        bind(tmp_path, toml, text, model)
    message = str(caught.value)
    assert "\n" not in message
    return message


FIELDS = '[fields]\ncode = "Code"\nname = "Name"\n'


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            '[fields]\ncode = "Code"\nnam = "Name"\n',
            "map.toml, line 3 [fields]: nam: depots have no attribute 'nam': did you mean 'name'?",
        ),
        (
            '[fields]\ncode = "Code"\nname = "Nam"\n',
            "map.toml, line 3 [fields]: name: depots.csv has no column 'Nam': did you mean 'Name'?",
        ),
        ("[feilds]\n", "map.toml, line 1: 'feilds' means nothing here: did you mean 'fields'?"),
        (
            '[file]\nencodnig = "gbk"\n' + FIELDS,
            "map.toml, line 2 [file]: 'encodnig' means nothing here: did you mean 'encoding'?",
        ),
        (
            FIELDS + 'size = { colum = "Size" }\n',
            "map.toml, line 4 [fields]: size: 'colum' means nothing here: did you mean 'column'?",
        ),
        (
            FIELDS + 'size = { constant = "Huge" }\n',
            "map.toml, line 4 [fields]: size: 'constant' 'Huge' is none of BIG (大, Big), "
            "SMALL (小, Small).",
        ),
        (
            FIELDS + 'parent_id = { column = "Code", lookup = "cod" }\n',
            "map.toml, line 4 [fields]: parent_id: depots cannot be looked up by 'cod': "
            "did you mean 'code'?",
        ),
        (
            FIELDS + 'name_ = { column = "Name", currency = "USD" }\n',
            "map.toml, line 4 [fields]: name_: 'currency' is not for a text such as 'name_'.",
        ),
        (
            FIELDS + 'created_at = "Code"\n',
            "map.toml, line 4 [fields]: created_at: 'created_at' of depots is set by guanxi and "
            "cannot be imported.",
        ),
        (
            FIELDS + 'size = { column = "Size", constant = "BIG" }\n',
            "map.toml, line 4 [fields]: size: give exactly one of column, constant, join, sum_of.",
        ),
        (
            FIELDS + 'rent = { sum_of = ["Rent"] }\n',
            "map.toml, line 4 [fields]: rent: sum_of needs file = (where the lines are) and key = "
            "(the lines' column that says to which row they belong).",
        ),
        (
            FIELDS + 'rent = { column = "Rent", currency = "usd" }\n',
            "map.toml, line 4 [fields]: rent: currency: 'usd' is not an ISO 4217 code such as CNY.",
        ),
        (
            FIELDS + 'opened_on = { constant = "" }\n',
            "map.toml, line 4 [fields]: opened_on: 'constant' must be a text, a number, a date or "
            "a boolean.",
        ),
        (
            FIELDS + "size = 3\n",
            "map.toml, line 4 [fields]: 'size' must be a column's name or a table.",
        ),
        ('[fields]\ncode = "Code"\n', "map.toml: depots need 'name': say which column gives it."),
        (
            FIELDS + 'Name = "Size"\n',
            "map.toml, line 4 [fields]: Name: 'name' gives name already: keep one of the two.",
        ),
        (
            'skip_unless = "Nothing"\n' + FIELDS,
            "map.toml: depots.csv has no column 'Nothing': there are Code, Name, Size, Rent.",
        ),
        (
            FIELDS + '[[then]]\nmodel = "shelfs"\n',
            "map.toml, line 5 [then]: 'shelfs' is nothing that can be imported: "
            "did you mean 'shelves'?",
        ),
        (
            FIELDS + '[[then]]\nmodel = "shelves"\n[then.fields]\nlabel = "Name"\n',
            "map.toml, line 4 [then]: shelves have no natural key, so that a second run would "
            "double them: say key = [attributes that tell shelves apart] in the mapping.",
        ),
        (
            '[file]\ndelimiter = ";;"\n',
            "map.toml, line 2 [file]: 'delimiter' must be one character.",
        ),
        (
            "[file]\nheader = false\n",
            "map.toml, line 2 [file]: header = false needs columns = [names of the columns].",
        ),
        (
            '[file]\nheader = "no"\n',
            "map.toml, line 2 [file]: 'header': expected `bool`, got `str`.",
        ),
    ],
)
def test_a_wrong_name_is_found_before_a_row_is_read(
    tmp_path: Path, toml: str, message: str
) -> None:
    assert refusal(tmp_path, toml) == message


def test_toml_that_is_none(tmp_path: Path) -> None:
    assert refusal(tmp_path, "[fields\n").startswith("map.toml: is not valid TOML: ")
    path = tmp_path / "map.toml"
    path.write_bytes("名".encode("gb18030"))
    with pytest.raises(ImportFailed, match="TOML is always UTF-8"):
        Document.read(path)
    with pytest.raises(ImportFailed, match="there is no such mapping file"):
        Document.read(tmp_path / "missing.toml")


def test_the_second_of_two_sections_is_the_one_named(tmp_path: Path) -> None:
    toml = FIELDS + (
        '[[then]]\nmodel = "shelves"\nkey = ["depot", "label"]\n'
        '[then.fields]\ndepot_id = "Code"\nlabel = "Name"\n'
        '[[then]]\nmodel = "shelves"\nkey = ["depot", "label"]\n'
        '[then.fields]\ndepot_id = "Code"\nlable = "Name"\n'
    )
    message = "map.toml, line 15 [then.fields]: lable: shelves have no attribute 'lable'"
    assert refusal(tmp_path, toml).startswith(message)


@pytest.mark.parametrize(
    ("header", "attributes"),
    [
        ("code,name,opened_on", ["code", "name", "opened_on"]),
        ("Code,NAME,openedOn", ["code", "name", "opened_on"]),
        ("code,name,Opened on,Parent", ["code", "name", "opened_on", "parent_id"]),
        ("code,name,parent_code", ["code", "name", "parent_id"]),
        ("code,name,rent,rent_currency", ["code", "name", "rent"]),
        ("line,reason,code,name", ["code", "name"]),
    ],
)
def test_columns_match_attributes_by_name(
    tmp_path: Path, header: str, attributes: list[str]
) -> None:
    bound = bind(tmp_path, "", header + "\n")
    assert [made.plan.info.name for made in bound.converters] == attributes


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "code,name,opened",
            "the column 'opened': depots have no attribute 'opened': did you mean 'opened_on'? "
            "Otherwise list it under ignore in a mapping.",
        ),
        (
            "code,name,opened,id,parent,parent_id",
            "3 columns are nothing that can be imported. Depots have no attribute 'opened': did "
            "you mean 'opened_on'? A mapping leaves them out that has match = true and, in [file], "
            'ignore = ["opened", "id", "parent"]',
        ),
        (
            "code,name,parent,parent_id",
            "the columns 'parent' and 'parent_id' are both parent_id: leave one out.",
        ),
        ("code,name,rent_currency", "the column 'rent_currency' needs a column 'rent' beside it."),
        ("code", "depots need 'name': say which column gives it."),
        ("code,name,name", "depots.csv: the header names 'name' twice: rename one of the two."),
        ("code,,name", "depots.csv: column 2 of the header has no name."),
        ("", "depots.csv: is empty: its first line must name the columns."),
    ],
)
def test_a_column_without_an_attribute_is_refused(
    tmp_path: Path, header: str, message: str
) -> None:
    assert refusal(tmp_path, "", header) == message


def test_ignored_columns_are_left_out_and_must_exist(tmp_path: Path) -> None:
    bound = bind(tmp_path, '[file]\nignore = ["Rent"]\n')
    assert [made.plan.info.name for made in bound.converters] == ["code", "name", "size"]
    assert "no column 'Rents'" in refusal(tmp_path, '[file]\nignore = ["Rents"]\n')


def test_an_unknown_model_is_refused_with_the_nearest(tmp_path: Path) -> None:
    message = "'depot s' is nothing"
    assert bind(tmp_path, "", "code,name\n", "Depot").step.model is Depot
    with pytest.raises(
        ImportFailed, match="'customers' is nothing that can be imported: there are"
    ):
        bind(tmp_path, "", HEADER, "customers")
    assert bind(tmp_path, "", "code,name\n", "depot s").step.model is Depot, message
