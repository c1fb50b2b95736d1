"""Documents with conditions: every filter that a schema has."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, Final

from graphql import GraphQLInputObjectType, GraphQLSchema, get_named_type

from guanxi_sdk._docs import camel, snake
from guanxi_sdk.model import Model
from guanxi_sdk.testing.probes.document import Document, Place
from guanxi_sdk.testing.probes.sharing import Shared
from guanxi_sdk.testing.probes.values import Values

#: How many root fields a document has at most, of which a request may have 20: more in the fast
#: form, in which it matters less what one refused condition does to the others.
ROOTS: Final = 18
_FEW: Final = 4
#: Of how many fields that are related, or another plugin's, the fast form asks one.
RELATED: Final = 4


class Conditions:
    """Generates the conditions for one edition.

    The fast form asks those that use one of the names that are ``wanted``. One relation away it
    asks one of a few fields, other ones each time, and of the ids that are of one model only one.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        shared: Shared,
        values: Values,
        *,
        wanted: Set[str],
        thorough: bool,
    ) -> None:
        self._schema = schema
        self._models = shared.edition.models
        self._extensions = shared.edition.extensions
        self._values = values
        self._wanted = wanted
        self._thorough = thorough
        self._turns: Counter[str] = Counter()

    def documents(self) -> Iterator[Document]:
        """Each filter with each operator, for what rows have and for what none has.

        Also those of extensions and SQL fields one relation away; ids are in the variable `$id`.
        """
        through: set[tuple[type[Model], type[Model]]] = set()
        for model in self._models.values():
            where = self._input(f"{model.info.name}Where")
            same = "{createdAt: {isNull: false}}"
            wheres = [f"{{AND: [{same}]}}", f"{{OR: [{same}]}}", f"{{NOT: {same}}}"]
            for name, one in where.fields.items():
                wheres += self._conditions(name, get_named_type(one.type))
            step = _FEW if self._thorough else ROOTS
            if not self._thorough:
                wheres = [
                    one
                    for one in wheres
                    if self._counted(model, [one]).uses(self._schema, self._wanted)
                ]
            for start in range(0, len(wheres), step):
                yield self._counted(model, wheres[start : start + step])
            for meant, condition, other in self._id_filters(model, relations=True):
                operators = {"eq": "$id", "ne": "$id", "in": "[$id]", "notIn": "[$id]"}
                if other is not None:
                    operators = {"eq": "$id"}
                found = [condition % f"{name}: {value}" for name, value in operators.items()]
                identity = {"id": self._values.filled.global_id(meant)}
                document = self._counted(model, found, identity, Place(("id",), (meant,)))
                if other is not None and not self._thorough:
                    if (meant, other) in through or not document.uses(self._schema, self._wanted):
                        continue
                    through.add((meant, other))
                yield document

    def _conditions(self, name: str, type_: Any) -> Iterator[str]:
        """Each operator of one filter; several in one condition in the fast form."""
        if name in ("AND", "OR", "NOT"):
            return
        if type_.name.endswith("ListFilter"):
            yield from (f"{{{name}: {{{quantifier}: {{}}}}}}" for quantifier in type_.fields)
            target = get_named_type(type_.fields["some"].type).name
            for below in self._added(target):
                yield f"{{{name}: {{some: {{{below}: {{isNull: true}}}}}}}}"
        elif type_.name.endswith("Where"):
            yield f"{{{name}: {{}}}}"
            for below in self._added(type_.name):
                yield f"{{{name}: {{{below}: {{isNull: true}}}}}}"
        else:
            found = []
            for operator, taken in type_.fields.items():
                if type_.name == "IDFilter" and operator != "isNull":
                    continue  # with variables, elsewhere
                for matching in (True, False):
                    value = self._values.compared(taken.type, matching=matching)
                    found.append(f"{operator}: {value}")
            if not self._thorough:
                if found[2:]:
                    yield f"{{{name}: {{{', '.join(found[2::2])}}}}}"
                found = found[:1] + [one for one in found if one == "isNull: true"]
            yield from (f"{{{name}: {{{one}}}}}" for one in dict.fromkeys(found))

    def _counted(
        self,
        model: type[Model],
        wheres: list[str],
        variables: Mapping[str, Any] | None = None,
        *ids: Place,
    ) -> Document:
        """How many rows meet each condition."""
        rows = camel(model.info.plural)
        parts = [f"a{n}: {rows}(where: {w}) {{ totalCount }}" for n, w in enumerate(wheres)]
        head = "query ($id: ID!) " if ids else ""
        return Document("filter", f"{head}{{ {' '.join(parts)} }}", variables or {}, ids)

    def _id_filters(
        self, model: type[Model], *, relations: bool
    ) -> Iterator[tuple[type[Model], str, type[Model] | None]]:
        """The model of each id that conditions take, the condition, and which relation is to."""
        for name, one in self._input(f"{model.info.name}Where").fields.items():
            inner = get_named_type(one.type).name
            if inner == "IDFilter":
                relation = snake(name).removesuffix("_id")
                target = model
                for owner in (model, *self._extensions.get(model, ())):
                    if relation in owner.info.references:
                        target = owner.info.references[relation].target
                yield target, f"{{{name}: {{%s}}}}", None
            elif relations and name not in ("AND", "OR", "NOT"):
                other = self._models.get(inner.removesuffix("Where").removesuffix("ListFilter"))
                shape = "{some: %s}" if inner.endswith("ListFilter") else "%s"
                for meant, below, _ in self._id_filters(other, relations=False) if other else ():
                    yield meant, f"{{{name}: {shape % below}}}", other

    def _added(self, name: str) -> Sequence[str]:
        """Fields of a filter that extensions and SQL fields add to a model's own."""
        own, found = self._models[name.removesuffix("Where")].info.fields, []
        for field_, one in self._input(name).fields.items():
            operators = getattr(get_named_type(one.type), "fields", ())
            if (field_ == "createdAt" or snake(field_) not in own) and "isNull" in operators:
                found.append(field_)
        if self._thorough:
            return found
        self._turns[name] += 1
        return found[self._turns[name] % RELATED :: RELATED]

    def _input(self, name: str) -> GraphQLInputObjectType:
        type_ = self._schema.type_map[name]
        assert isinstance(type_, GraphQLInputObjectType)
        return type_
