"""Models: one class per kind of row, from which table, GraphQL type and inputs derive."""

import datetime as dt
import inspect
import typing
from collections.abc import Iterable
from typing import Any, ClassVar, Final, get_args, get_origin
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    composite,
    declared_attr,
    foreign,
    mapped_column,
    relationship,
    remote,
)
from uuid_utils.compat import uuid7

from guanxi_sdk._docs import attribute_docs, snake, words
from guanxi_sdk.access import Confidentiality
from guanxi_sdk.columns import (
    DEFAULT_MAX_LENGTH,
    SIMPLE,
    Spec,
    ValuesType,
    choice_type,
    read_annotation,
)
from guanxi_sdk.errors import PluginError
from guanxi_sdk.info import FieldInfo, Kind, ModelInfo, ReferenceInfo, Verb
from guanxi_sdk.values import Choice, Money, Value

#: Columns that count and date changes; an append-only model has none of them.
_CHANGING: Final = ("updated_at", "version", "archived_at")
#: The column that only models about people have.
_ERASED: Final = "erased_at"


def plural_of(name: str) -> str:
    """English plural of a model's name in snake case; override with ``plural=``."""
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return name[:-1] + "ies"
    return name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")


class _Mapped(DeclarativeBase):
    """What Model and Extension share: one metadata and one way to read annotations."""

    metadata = sa.MetaData(
        naming_convention={
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    info: ClassVar[ModelInfo]


def _declare(
    cls: type[_Mapped],
    *,
    plugin: str | None,
    plural: str | None,
    key: str | None,
    of: "type[Model] | None",
    closed: Iterable[Verb],
    read: str | None,
    write: str | None,
) -> tuple[
    dict[str, FieldInfo], dict[str, FieldInfo], dict[str, tuple[ReferenceInfo, Any]], str
]:  # fmt: skip
    """Replace specs by real columns on ``cls``, before SQLAlchemy maps it.

    Returns its public and its private attributes, its references and the plugin.
    """
    owner = plugin or cls.__module__.split(".")[0].removeprefix("guanxi_")
    where = f"model {cls.__name__}"
    if not cls.__dict__.get("__doc__"):
        raise PluginError(owner, f"{where} needs a docstring: it describes the GraphQL type.")
    docs = attribute_docs(cls)
    cls.__tablename__ = f"{owner}_{snake(cls.__name__)}"
    fields: dict[str, FieldInfo] = {}
    private: dict[str, FieldInfo] = {}
    references: dict[str, tuple[ReferenceInfo, Any]] = {}
    arguments: list[Any] = list(cls.__dict__.get("__table_args__", ()))
    for name, annotation in list(inspect.get_annotations(cls).items()):
        if isinstance(annotation, str):
            raise PluginError(owner, f"{where}: remove `from __future__ import annotations`.")
        origin: Any = get_origin(annotation)
        if origin is not Mapped:
            continue
        spec = cls.__dict__.get(name, Spec())
        if not isinstance(spec, Spec):
            raise PluginError(owner, f"{where}.{name}: use column() or reference() from the SDK.")
        python, nullable, limits = read_annotation(annotation)
        label = words(name).removesuffix(" id")
        description = docs.get(name) or f"{label.capitalize()} of the {words(cls.__name__)}."
        columns: tuple[str, ...] = (name,)
        kind: Kind
        if python is Money:
            kind, columns = "money", (f"{name}_minor", f"{name}_currency")
            setattr(cls, columns[0], mapped_column(sa.BigInteger, nullable=nullable))
            setattr(cls, columns[1], mapped_column(sa.Text, nullable=nullable))
            setattr(cls, name, composite(Money, *columns, return_none_on=lambda *v: v[0] is None))
        else:
            if python in SIMPLE:
                kind, type_ = SIMPLE[python]
            elif isinstance(python, type) and issubclass(python, Choice):
                kind, type_ = "choice", choice_type(python, name)
            elif get_origin(python) is list and issubclass(get_args(python)[0], Value):
                kind, type_ = "values", ValuesType(get_args(python)[0])
            else:
                raise PluginError(
                    owner,
                    f"{where}.{name} has the type {python!r}; use str, int, float, bool, date, "
                    "datetime, UUID, Money, a Choice, list[str] or a list of Values.",
                )
            setattr(cls, name, mapped_column(type_, nullable=nullable, default=spec.default))
        if spec.target is not None:
            if not name.endswith("_id"):
                raise PluginError(owner, f"{where}.{name} is a reference: call it {name}_id.")
            target_table = cls.__tablename__ if spec.target == "self" else spec.target.__tablename__
            arguments.append(
                sa.ForeignKeyConstraint(
                    ["tenant_id", name], [f"{target_table}.tenant_id", f"{target_table}.id"]
                )
            )
            target = typing.cast("type[Model]", cls if spec.target == "self" else spec.target)
            info = ReferenceInfo(
                name=name.removesuffix("_id"),
                column=name,
                target=target,
                nullable=nullable,
                description=description,
                reverse=spec.reverse,
                reverse_description=f"{words(spec.reverse or '').capitalize()} whose "
                f"{label} this {words(target.__name__)} is.",
            )
            references[info.name] = (info, spec.target)
        elif kind == "reference":
            raise PluginError(owner, f"{where}.{name} is a UUID: declare it with reference(Model).")
        if spec.indexed and name != key:
            arguments.append(sa.Index(None, "tenant_id", *reversed(columns), "id"))
        if kind == "text":
            limits.setdefault("max_length", DEFAULT_MAX_LENGTH)
        (private if spec.private else fields)[name] = FieldInfo(
            name=name, kind=kind, nullable=nullable, description=description, columns=columns,
            python=python, indexed=spec.indexed or name == key, readonly=spec.readonly,
            default=spec.default, confidentiality=spec.confidentiality, search=spec.search,
            **limits,
        )  # fmt: skip
        if spec.search and (
            kind != "text" or spec.private or spec.confidentiality is Confidentiality.SECRET
        ):
            raise PluginError(
                owner, f"{where}.{name}: search=True is for texts that are neither private nor "
                "SECRET.",
            )  # fmt: skip
    if key is not None:
        if key not in fields:
            raise PluginError(owner, f"{where}: key='{key}' is not one of its attributes.")
        arguments.append(sa.UniqueConstraint("tenant_id", key))
    cls.__table_args__ = tuple(arguments)
    return fields, private, references, owner


class Model(_Mapped):
    """A kind of row that belongs to one tenant.

    Subclass it with annotations and a docstring; class keywords adjust what derives:
    ``plural`` (``persons``), ``key`` (the natural key that imports match by; unique, so indexed),
    ``within`` (a reference: who may see its row may see this one; else see :func:`policy`),
    ``closed`` (generated mutations left out), ``append_only`` (rows are added by the plugin's own
    code and never changed, so that they have neither version nor archive nor generated mutations),
    ``subject`` (each row is about one natural person and can be erased: see ``erasures`` in
    :class:`CoreHooks`), ``read`` and ``write`` (permissions, else ``<plugin>.read`` and
    ``<plugin>.write``), ``plugin`` (when the package is not called ``guanxi_<plugin>``).
    """

    __abstract__ = True

    tenant_id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True, sort_order=-20)
    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True, default=uuid7, sort_order=-19)
    created_at: Mapped[dt.datetime] = mapped_column(
        sa.TIMESTAMP(timezone=True), server_default=sa.func.now(), sort_order=90
    )
    updated_at: Mapped[dt.datetime] = mapped_column(
        sa.TIMESTAMP(timezone=True), server_default=sa.func.now(), onupdate=sa.func.now(),
        sort_order=91,
    )  # fmt: skip
    version: Mapped[int] = mapped_column(
        sa.Integer, nullable=False, server_default=sa.text("1"), sort_order=92
    )
    archived_at: Mapped[dt.datetime | None] = mapped_column(
        sa.TIMESTAMP(timezone=True), sort_order=93
    )
    erased_at: Mapped[dt.datetime | None] = mapped_column(
        sa.TIMESTAMP(timezone=True), sort_order=94
    )

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        """Let SQLAlchemy check and count ``version``, and read back what the database sets."""
        counted = {} if cls.version is None else {"version_id_col": cls.version}
        return {**counted, "eager_defaults": True}

    def __init_subclass__(
        cls,
        *,
        plugin: str | None = None,
        plural: str | None = None,
        key: str | None = None,
        closed: Iterable[Verb] = (),
        within: str | None = None,
        append_only: bool = False,
        subject: bool = False,
        read: str | None = None,
        write: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Declare the table, the relations and :attr:`info`."""
        own, private, references, owner = _declare(
            cls, plugin=plugin, plural=plural, key=key, of=None, closed=closed, read=read,
            write=write,
        )  # fmt: skip
        if within is not None and (within not in references or references[within][1] == "self"):
            relation = within.removesuffix("_id")
            raise PluginError(
                owner, f"model {cls.__name__}: within='{within}' is no reference to another model"
                + (f": write '{relation}'." if relation in references.keys() - {within} else "."),
            )  # fmt: skip
        if append_only and subject:
            raise PluginError(
                owner, f"model {cls.__name__}: rows about people must be changed to be erased: "
                "leave append_only or subject out.",
            )  # fmt: skip
        if append_only:
            closed = get_args(Verb)
            write = write or read  # nobody writes
            for name in _CHANGING:
                setattr(cls, name, None)  # so SQLAlchemy leaves the inherited column out
        closed = frozenset(closed)
        if "create" not in closed and (wrong := [p.name for p in private.values() if p.required]):
            raise PluginError(
                owner, f"model {cls.__name__}: no generated create can fill '{wrong[0]}', which is "
                "private: give it a default, let it be None, or say closed=['create'].",
            )  # fmt: skip
        if not subject:
            setattr(cls, _ERASED, None)
        cls.__table_args__ = (*cls.__table_args__, sa.Index(None, "tenant_id", "created_at", "id"))
        super().__init_subclass__(**kwargs)
        _relate(cls, references)
        when = "UTC time at which this was"
        fields = {
            "id": FieldInfo("id", "id", False, "Global id: type and UUID.", ("id",), UUID, True),
            **own,
            "created_at": FieldInfo(
                "created_at", "datetime", False, f"{when} created.", ("created_at",), dt.datetime,
                True, True,
            ),
        }  # fmt: skip
        if not append_only:
            fields |= {
                "updated_at": FieldInfo(
                    "updated_at", "datetime", False, f"{when} last changed.", ("updated_at",),
                    dt.datetime, False, True,
                ),
                "version": FieldInfo(
                    "version", "int", False, "Counts changes; an update names the one it read.",
                    ("version",), int, False, True,
                ),
                "archived_at": FieldInfo(
                    "archived_at", "datetime", True, f"{when} archived, if it is.",
                    ("archived_at",), dt.datetime, False, True,
                ),
            }  # fmt: skip
        if subject:
            fields["erased_at"] = FieldInfo(
                "erased_at", "datetime", True, f"{when} erased, if it is: nothing else is left.",
                ("erased_at",), dt.datetime, False, True,
            )  # fmt: skip
        cls.info = ModelInfo(
            name=cls.__name__,
            plugin=owner,
            plural=plural or plural_of(snake(cls.__name__)),
            description=_description(cls),
            table=typing.cast(sa.Table, cls.__table__),
            fields=fields,
            references={name: info for name, (info, _) in references.items()},
            key=key,
            closed=closed,
            of=None,
            read=read or f"{owner}.read",
            write=write or f"{owner}.write",
            within=within,
            append_only=append_only,
            private=private,
            subject=subject,
            searched=_searched(own),
        )


class Extension(_Mapped):
    """A one-to-one side table: its attributes become SQL fields of another plugin's model.

    ``class Standing(Extension, of=Customer)``; a row's ``id`` is that of the extended row. An
    extended row without a side row answers null, so every attribute is nullable in GraphQL.
    """

    __abstract__ = True
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012  SQLAlchemy reads it

    tenant_id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True, sort_order=-20)
    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True, sort_order=-19)
    updated_at: Mapped[dt.datetime] = mapped_column(
        sa.TIMESTAMP(timezone=True), server_default=sa.func.now(), onupdate=sa.func.now(),
        sort_order=91,
    )  # fmt: skip

    def __init_subclass__(
        cls,
        *,
        of: type[Model],
        plugin: str | None = None,
        read: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Declare the side table and :attr:`info`."""
        own, private, references, owner = _declare(
            cls, plugin=plugin, plural=None, key=None, of=of, closed=(), read=read, write=None
        )
        cls.__table_args__ = (
            *cls.__table_args__,
            sa.ForeignKeyConstraint(
                ["tenant_id", "id"],
                [f"{of.__tablename__}.tenant_id", f"{of.__tablename__}.id"],
                ondelete="CASCADE",
            ),
        )
        super().__init_subclass__(**kwargs)
        _relate(cls, references)
        cls.info = ModelInfo(
            name=cls.__name__,
            plugin=owner,
            plural="",
            description=_description(cls),
            table=typing.cast(sa.Table, cls.__table__),
            fields=own,
            references={name: info for name, (info, _) in references.items()},
            key=None,
            closed=frozenset(),
            of=of,
            read=read or f"{owner}.read",
            write=f"{owner}.write",
            private=private,
            searched=_searched(own),
        )


def _searched(fields: dict[str, FieldInfo]) -> tuple[str, ...]:
    return tuple(name for name, field in fields.items() if field.search)


def global_id(model: type[Model], id: UUID) -> str:
    """The id of a row as GraphQL writes it, for other systems: ``customer_0198…``."""
    return f"{model.info.prefix}_{id}"


def _description(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def _relate(cls: type[_Mapped], references: dict[str, tuple[ReferenceInfo, Any]]) -> None:
    """Add relationships that write the non-tenant column only, never loaded by accident."""
    for name, (info, _) in references.items():
        here, there = cls.__table__.c, info.target.__table__.c
        # annotated, because a model that refers to itself has the same columns on both sides
        condition = sa.and_(
            remote(there.tenant_id) == here.tenant_id,
            remote(there.id) == foreign(here[info.column]),
        )
        setattr(cls, name, relationship(info.target, lazy="raise", primaryjoin=condition))
