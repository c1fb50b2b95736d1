"""Webhooks: what is told to whom, signed by what, how often, and when no more."""

import datetime as dt
import json
import threading
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError
from with_people import Guests, WordsSpoken

from guanxi_core.delivery import queue
from guanxi_core.egress import EgressClient
from guanxi_customers import Customer, Customers, Employee, Person, Stewardship
from guanxi_graphql import service
from guanxi_graphql.execute.documents import Document
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk import Event, Permission, Plugin
from guanxi_sdk.testing.app import App, global_id
from guanxi_sdk.testing.tokens import make_token
from guanxi_webhooks import (
    WebhookAttempt,
    WebhookDisabled,
    WebhookEndpoint,
    WebhookHealth,
    WebhookMessage,
    Webhooks,
    WebhookSettings,
    sending,
)
from guanxi_webhooks.patience import JITTER, hopeless, next_pause
from receiving import Receiver, receiving

CREATE = """mutation ($url: String!, $events: [String!]!, $selection: String) {
  createWebhook(url: $url, events: $events, selection: $selection, description: "Books") {
    webhookEndpoint { id url events selection status secret userId description version }
    errors { code path message } } }"""
NAME = "query ($id: ID!) { customer(id: $id) { code name } }"
EVERYTHING = ("*.read", "*.write", "customers.steward")


class User:
    """Somebody of the tenant, with roles of their own."""

    def __init__(self, app: App, name: str, token: str) -> None:
        self.app = app
        self.name = name
        self.token = token

    async def id(self) -> UUID:
        found = (await self.app.platform.authenticate(self.token)).caller.user_id
        assert found is not None
        return found

    async def execute(self, document: str, **variables: Any) -> Any:
        self.app.platform.forget(self.token)
        access = await self.app.platform.authenticate(self.token)
        reply = await Engine(self.app.platform).execute(access, document, variables)
        return json.loads(reply.body)

    async def ask(self, document: str, **variables: Any) -> Any:
        answer = await self.execute(document, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    async def subscribe(
        self, to: Receiver | str, *events: str, selection: str | None = None
    ) -> dict[str, Any]:
        url = to if isinstance(to, str) else to.url
        made = (await self.ask(CREATE, url=url, events=list(events), selection=selection))[
            "createWebhook"
        ]
        assert made["errors"] == []
        endpoint: dict[str, Any] = made["webhookEndpoint"]
        return endpoint

    async def refused(self, url: str, *events: str, selection: str | None = None) -> Any:
        made = (await self.ask(CREATE, url=url, events=list(events), selection=selection))[
            "createWebhook"
        ]
        assert made["webhookEndpoint"] is None
        [error] = made["errors"]
        return error


async def user(app: App, name: str = "Ada", *grants: str) -> User:
    patterns = grants or EVERYTHING
    return User(app, name, await make_token(app.platform.pool, app.tenant, patterns, user=name))


@pytest.fixture
async def app(guanxi: Any) -> App:
    made: App = await guanxi(
        Customers(), Webhooks(WebhookSettings(allow_http=True)),
        egress_allow=["127.0.0.0/8"],
    )  # fmt: skip
    return made


async def customer(app: App, code: str = "A", name: str = "Ada") -> Customer:
    return await app.add(Customer(code=code, name=name))


async def later(app: App, **by: float) -> None:
    """Let time pass, and what is due by then happen."""
    app.clock.advance(**by)
    await app.deliver()


async def test_a_repeated_request_does_not_tell_the_secret_again(app: App) -> None:
    ada = await user(app)
    access = await app.platform.authenticate(ada.token)
    values = {"url": "https://93.184.216.34/", "events": ["CustomerCreated"]}
    engine = Engine(app.platform)
    first, again = [await engine.execute(access, CREATE, values, key=b"k") for _ in range(2)]
    made, repeated = [
        json.loads(reply.body)["data"]["createWebhook"]["webhookEndpoint"]
        for reply in (first, again)
    ]
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert again.replayed
    assert repeated.pop("secret") is None
    assert repeated == made
    async with app.platform.pool.connection(app.tenant.id) as connection:
        [row] = await connection.fetch("SELECT body FROM guanxi_idempotency")
    assert b"CustomerCreated" in row["body"]
    assert secret.encode() not in row["body"]


class TestSelections:
    """What subscribing costs."""

    @pytest.fixture
    def parsed(self, monkeypatch: Any) -> list[tuple[str, bool]]:
        """Documents that were parsed, and whether on the event loop's thread."""
        made: list[tuple[str, bool]] = []
        own = threading.current_thread()

        class Counted(Document):
            def __init__(self, schema: Any, text: str, *more: Any) -> None:
                made.append((text, threading.current_thread() is own))
                super().__init__(schema, text, *more)

        monkeypatch.setattr(service, "Document", Counted)
        return made

    async def test_a_selection_is_parsed_once_for_all_events(
        self, app: App, parsed: list[tuple[str, bool]]
    ) -> None:
        ada = await user(app)
        chosen = "query ($id: ID) { customers(where: { id: { eq: $id } }) { totalCount } }"
        events = ["CustomerCreated", "CustomerUpdated", "PersonCreated", "EmployeeCreated"]
        assert await ada.subscribe("https://93.184.216.34/", *events, selection=chosen)
        assert parsed == [(chosen, False)]

    async def test_each_event_has_to_fit_it(self, app: App) -> None:
        ada = await user(app)
        error = await ada.refused(
            "https://93.184.216.34/", "CustomerCreated", "StewardAssigned", selection=NAME
        )
        assert error["path"] == "selection"
        assert error["message"].startswith("cannot be answered for StewardAssigned: ")

    async def test_one_that_is_too_long_is_not_looked_at(
        self, app: App, parsed: list[tuple[str, bool]]
    ) -> None:
        ada = await user(app)
        error = await ada.refused(
            "https://93.184.216.34/", "CustomerCreated", selection=NAME + " " * 20_000
        )
        assert (error["path"], error["code"]) == ("selection", "INVALID")
        assert parsed == []


class TestDelivery:
    async def test_a_message_is_signed_and_says_what_was_selected(self, app: App) -> None:
        ada = await user(app)
        async with receiving() as receiver:
            endpoint = await ada.subscribe(receiver, "CustomerCreated", selection=NAME)
            assert endpoint["status"] == "ACTIVE"
            assert endpoint["userId"] == f"user_{await ada.id()}"
            made = await customer(app)
            await customer(app, "B", "Bob")
            await app.deliver()
        assert [body["data"] for body in receiver.bodies] == [
            {"customer": {"code": "A", "name": "Ada"}}, {"customer": {"code": "B", "name": "Bob"}},
        ]  # fmt: skip
        first, second = receiver.received
        assert first.target == "/hook?key=1"
        assert first.headers["content-type"] == "application/json"
        assert first.headers["user-agent"].startswith("guanxi/")
        assert first.json["type"] == "CustomerCreated"
        assert first.json.keys() == {"type", "timestamp", "data"}
        happened = dt.datetime.fromisoformat(first.json["timestamp"])
        assert abs(dt.datetime.now(dt.UTC) - happened) < dt.timedelta(minutes=1)
        verifier = Webhook(endpoint["secret"])
        for one in receiver.received:
            assert verifier.verify(one.body, one.headers) == one.json
        with pytest.raises(WebhookVerificationError):
            verifier.verify(first.body, second.headers)
        found = await ada.ask(
            "{ webhookEndpoints(first: 9) { edges { node { lastSuccessAt failures messages {"
            " edges { node { id event subject status attemptCount attempts(first: 9) { edges {"
            " node { statusCode error } } } } } } } } } }"
        )
        [edge] = found["webhookEndpoints"]["edges"]
        assert edge["node"]["lastSuccessAt"] is not None
        messages = [one["node"] for one in edge["node"]["messages"]["edges"]]
        assert [one["id"] for one in messages] == [
            first.headers["webhook-id"], second.headers["webhook-id"],
        ]  # fmt: skip
        assert messages[0] == {
            "id": first.headers["webhook-id"], "event": "CustomerCreated",
            "subject": global_id(made), "status": "SENT", "attemptCount": 1,
            "attempts": {"edges": [{"node": {"statusCode": 204, "error": None}}]},
        }  # fmt: skip

    async def test_without_a_selection_the_event_s_fields_are_sent(self, app: App) -> None:
        ada = await user(app)
        made = await customer(app)
        employee = await app.add(Employee(code="1", name="Eve"))
        async with receiving() as receiver:
            await ada.subscribe(receiver, "StewardAssigned", "CustomerArchived")
            await ada.ask(
                "mutation ($c: ID!, $e: ID!) { assignSteward(customerId: $c, employeeId: $e) "
                "{ errors { message } } }",
                c=global_id(made), e=global_id(employee),
            )  # fmt: skip
            await ada.ask(
                "mutation ($c: ID!) { archiveCustomer(id: $c, version: 1) { errors { message } } }",
                c=global_id(made),
            )
            await app.deliver()
        assert {body["type"]: body["data"] for body in receiver.bodies} == {
            "StewardAssigned": {
                "customerId": global_id(made), "employeeId": global_id(employee),
                "formerEmployeeId": None, "startsOn": app.clock().date().isoformat(),
            },
            "CustomerArchived": {"id": global_id(made)},
        }  # fmt: skip

    async def test_only_what_was_subscribed_to_is_told(self, app: App) -> None:
        ada = await user(app)
        async with receiving() as receiver:
            await ada.subscribe(receiver, "CustomerUpdated")
            await customer(app)
            await app.deliver()
        assert receiver.hits == 0
        assert await app.all(WebhookMessage) == []

    async def test_a_test_says_nothing_and_is_tried_once(self, app: App) -> None:
        ada = await user(app)
        test = "mutation ($id: ID!) { testWebhook(id: $id) { webhookMessage { event status } } }"
        async with receiving(500, 204) as receiver:
            endpoint = await ada.subscribe(receiver, "CustomerCreated", selection=NAME)
            await ada.ask(
                "mutation ($id: ID!) { pauseWebhook(id: $id) { errors { message } } }",
                id=endpoint["id"],
            )
            for _ in range(2):
                sent = await ada.ask(test, id=endpoint["id"])
                assert sent["testWebhook"]["webhookMessage"] == {
                    "event": "webhook.test", "status": "PENDING",
                }  # fmt: skip
                await app.deliver()
                await later(app, hours=1)
        assert [(one["type"], one["data"]) for one in receiver.bodies] == [("webhook.test", {})] * 2
        assert [one.status for one in await app.all(WebhookMessage)] == ["FAILED", "SENT"]
        assert await _health(app) == []


class HintGiven(Event):
    """A hint was given, perhaps about a customer."""

    customer_id: UUID | None
    words: str


class Hints(
    Plugin, name="hints", requires=["customers"], events=[HintGiven],
    permissions=[Permission("hints.read", "Hear hints.")],
):  # fmt: skip
    """Hints."""


class TestRights:
    async def test_an_event_that_names_nobody_this_time_is_for_those_who_see_all(
        self, guanxi: Any
    ) -> None:
        app = await guanxi(
            Customers(), Hints(), Webhooks(WebhookSettings(allow_http=True)),
            egress_allow=["127.0.0.0/8"],
        )  # fmt: skip
        grants = ("hints.read:own", "customers.read:own", "webhooks.read:own", "webhooks.write:own")
        ada, boss = await user(app, "Ada", *grants), await user(app, "Boss")
        async with receiving() as near, receiving() as far:
            await ada.subscribe(near, "HintGiven")
            await boss.subscribe(far, "HintGiven")
            async with app.context() as ctx:
                ctx.emit(HintGiven(customer_id=None, words="secret"))
            await app.deliver()
        assert [body["data"]["words"] for body in far.bodies] == ["secret"]
        assert near.hits == 0
        withheld = [one.error for one in await app.all(WebhookMessage) if one.status != "SENT"]
        assert withheld == [
            "HintGiven is about no single object, so it needs the permission 'hints.read' for all."
        ]

    async def test_a_user_has_twenty_and_archived_ones_do_not_count(self, app: App) -> None:
        ada, bob = await user(app), await user(app, "Bob")
        url = "https://93.184.216.34/"
        made = [await ada.subscribe(url, "CustomerCreated") for _ in range(20)]
        error = await ada.refused(url, "CustomerCreated")
        assert "20 webhooks already" in error["message"]
        assert await bob.subscribe(url, "CustomerCreated")
        archive = "mutation ($id: ID!) { archiveWebhook(id: $id) { errors { message } } }"
        await ada.ask(archive, id=made[3]["id"])
        assert await ada.subscribe(url, "CustomerCreated")
        assert "20 webhooks already" in (await ada.refused(url, "CustomerCreated"))["message"]

    async def test_a_role_s_token_has_no_webhooks(self, app: App) -> None:
        answer = await app.execute(CREATE, {"url": "https://example.com", "events": []})
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert "belongs to a user" in answer["errors"][0]["message"]

    async def test_a_token_that_is_limited_to_a_role_does_not_get_the_others(
        self, app: App
    ) -> None:
        ada = await user(app, "Ada", "webhooks.write", "webhooks.read")
        await user(app, "Ada", "customers.read")  # another role, and a token of it alone
        answer = await ada.execute(CREATE, url="https://example.com", events=["CustomerCreated"])
        assert "limited to one" in answer["errors"][0]["message"]
        assert await app.all(WebhookEndpoint) == []

    async def test_who_could_not_see_the_secret_makes_none(self, app: App) -> None:
        ada = await user(app, "Ada", "webhooks.write", "customers.read")
        answer = await ada.execute(CREATE, url="https://example.com", events=["CustomerCreated"])
        assert "'webhooks.read'" in answer["errors"][0]["message"]
        assert await app.all(WebhookEndpoint) == []

    async def test_events_need_the_right_to_read(self, app: App) -> None:
        ada = await user(app, "Ada", "webhooks.*", "webhooks.read", "webhooks.write")
        for name in ("CustomerCreated", "StewardAssigned", "RoleCreated"):
            error = await ada.refused("https://example.com", name)
            assert (error["code"], error["path"]) == ("FORBIDDEN", "events")
        for name in ("Nonsense", "WebhookMessageCreated", "WebhookDisabled", ""):
            error = await ada.refused("https://example.com", name)
            assert (error["code"], error["path"]) == ("INVALID", "events")
        assert (await ada.refused("https://example.com"))["path"] == "events"
        events = await ada.ask("{ webhookEvents { name } }")
        assert events["webhookEvents"] == []

    async def test_events_are_listed_with_their_variables(self, app: App) -> None:
        ada = await user(app)
        found = await ada.ask("{ webhookEvents { name description plugin variables } }")
        events = {one["name"]: one for one in found["webhookEvents"]}
        assert events["StewardAssigned"] == {
            "name": "StewardAssigned", "description": "A customer got a new primary steward.",
            "plugin": "customers",
            "variables": ["customerId", "employeeId", "formerEmployeeId", "startsOn"],
        }  # fmt: skip
        assert events["CustomerCreated"]["variables"] == ["id"]
        assert not [name for name in events if name.startswith("Webhook")]

    async def test_what_concerns_all_rows_is_not_for_those_who_see_some(self, app: App) -> None:
        ada = await user(
            app, "Ada", "customers.read:own", "webhooks.read:own", "webhooks.write:own"
        )
        for name in ("CustomersSaved", "CustomersImported", "CustomerDeleted"):
            error = await ada.refused("https://example.com", name)
            assert (error["code"], error["path"]) == ("FORBIDDEN", "events")
        assert await ada.subscribe("https://example.com", "CustomerCreated", "StewardAssigned")

    async def test_rows_of_others_are_withheld(self, app: App) -> None:
        ada = await user(
            app, "Ada", "customers.read:own", "webhooks.read:own", "webhooks.write:own"
        )
        employee = await app.add(Employee(code="1", name="Ada", user_id=f"user_{await ada.id()}"))
        mine, other = await customer(app), await customer(app, "B", "Bob")
        await app.add(
            Stewardship(
                customer_id=mine.id, employee_id=employee.id, is_primary=True,
                starts_on=app.clock().date(),
            )
        )  # fmt: skip
        async with receiving() as receiver:
            await ada.subscribe(receiver, "CustomerUpdated", selection=NAME)
            await ada.subscribe(receiver, "CustomerUpdated")
            async with app.context() as ctx:
                await ctx.update_where(Customer, Customer.id.in_([mine.id, other.id]), name="X")
            await app.deliver()
        assert sorted(map(repr, (body["data"] for body in receiver.bodies))) == sorted(
            map(repr, ({"customer": {"code": "A", "name": "X"}}, {"id": global_id(mine)}))
        )
        statuses = {(one.subject, one.status) for one in await app.all(WebhookMessage)}
        assert statuses == {(global_id(mine), "SENT"), (global_id(other), "WITHHELD")}

    async def test_a_field_that_the_subscriber_may_not_read_is_null(self, app: App) -> None:
        ada = await user(app, "Ada", "customers.read", "webhooks.read", "webhooks.write")
        chosen = "query ($id: ID!) { customer(id: $id) { code } roles { totalCount } }"
        async with receiving() as receiver:
            await ada.subscribe(receiver, "CustomerCreated", selection=chosen)
            await customer(app)
            await app.deliver()
        [body] = receiver.bodies
        assert body["data"]["customer"] == {"code": "A"}
        assert body["data"]["roles"] is None
        [error] = body["errors"]
        assert (error["path"], error["extensions"]["code"]) == (["roles"], "FORBIDDEN")

    async def test_a_role_that_was_taken_away_counts_at_once(self, app: App) -> None:
        ada = await user(app, "Ada", "webhooks.read", "webhooks.write")
        extra = await user(app, "Ada", "customers.read")
        role = (await app.platform.authenticate(extra.token)).caller
        assert role.permissions == {"customers.read"}
        whole = User(app, "Ada", await _token_of(app, "Ada"))
        async with receiving() as receiver:
            await whole.subscribe(receiver, "CustomerCreated", selection=NAME)
            await customer(app)
            await app.deliver()
            assert receiver.hits == 1
            await _expire(app, await ada.id(), "customers.read")
            await customer(app, "B", "Bob")
            await app.deliver()
        assert receiver.hits == 1
        first, second = await app.all(WebhookMessage)
        assert (first.status, second.status) == ("SENT", "WITHHELD")
        assert second.error == "CustomerCreated needs the permission 'customers.read'."

    async def test_who_may_have_no_webhooks_any_more_hears_nothing(self, app: App) -> None:
        await user(app, "Ada", "webhooks.write", "webhooks.read")
        await user(app, "Ada", "customers.read")
        whole = User(app, "Ada", await _token_of(app, "Ada"))
        async with receiving() as receiver:
            await whole.subscribe(receiver, "CustomerCreated")
            await _expire(app, await whole.id(), "webhooks.write")
            await customer(app)
            await app.deliver()
        assert receiver.hits == 0
        [message] = await app.all(WebhookMessage)
        assert message.status == "WITHHELD"

    async def test_the_webhooks_of_an_archived_user_are_disabled(self, app: App) -> None:
        ada = await user(app)
        async with receiving() as receiver:
            await ada.subscribe(receiver, "CustomerCreated")
            async with app.platform.pool.connection(app.tenant.id) as connection:
                await connection.execute(
                    "UPDATE guanxi_user SET archived_at = now() WHERE id = $1", await ada.id()
                )
            await customer(app)
            await app.deliver()
        assert receiver.hits == 0
        [endpoint] = await app.all(WebhookEndpoint)
        assert (endpoint.status, endpoint.disabled_reason) == ("DISABLED", "Its user is archived.")

    async def test_only_the_subscriber_decides_what_is_sent_where(self, app: App) -> None:
        ada, bob, eve = (
            await user(app),
            await user(app, "Bob"),
            await user(app, "Eve", "webhooks.read:own", "webhooks.write:own"),
        )
        endpoint = (await ada.subscribe("https://example.com", "CustomerCreated"))["id"]
        update = """mutation ($id: ID!, $url: String, $events: [String!], $selection: String,
          $text: String) { updateWebhook(id: $id, url: $url, events: $events, selection: $selection,
          description: $text) { webhookEndpoint { url description } errors { code path } } }"""
        for change in (
            {"url": "https://evil.example.com"}, {"events": ["CustomerUpdated"]},
            {"selection": NAME},
        ):  # fmt: skip
            answer = await bob.execute(update, id=endpoint, **change)
            assert "Only its subscriber" in answer["errors"][0]["message"]
            assert answer["data"]["updateWebhook"] is None
        rotate = """mutation ($id: ID!) {
          rotateWebhookSecret(id: $id) { webhookEndpoint { secret } } }"""
        assert (
            "Only its subscriber"
            in (await bob.execute(rotate, id=endpoint))["errors"][0]["message"]
        )
        done = await bob.ask(update, id=endpoint, text="for the books")
        assert done["updateWebhook"]["webhookEndpoint"]["description"] == "for the books"
        for verb in ("pause", "resume", "archive"):
            document = f"mutation ($id: ID!) {{ {verb}Webhook(id: $id) {{ errors {{ code }} }} }}"
            hidden = await eve.ask(document, id=endpoint)
            assert hidden[f"{verb}Webhook"]["errors"] == [{"code": "NOT_FOUND"}]
            assert (await bob.ask(document, id=endpoint))[f"{verb}Webhook"]["errors"] == []
        listed = await eve.ask("{ webhookEndpoints { totalCount } webhookMessages { totalCount } }")
        assert listed["webhookEndpoints"]["totalCount"] == 0
        late = await ada.ask(update, id=endpoint, url="https://example.org")
        assert late["updateWebhook"]["errors"] == [{"code": "CONFLICT", "path": "id"}]


async def _token_of(app: App, name: str) -> str:
    """A token with all roles of a user."""
    from guanxi_core.api_tokens import create_token

    return await create_token(app.platform.pool, app.tenant, user=name)


async def _expire(app: App, user_id: UUID, permission: str) -> None:
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.execute(
            "UPDATE guanxi_user_role h SET expires_at = now() FROM guanxi_role r "
            "WHERE r.id = h.role_id AND h.user_id = $1 AND $2 = ANY (r.permissions)",
            user_id, permission,
        )  # fmt: skip


class TestEntering:
    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("http://example.com/", "must begin with https://"),
            ("https://user:secret@example.com/", "holds a password"),
            ("ftp://example.com/", "use https"),
            ("https://", "this is no address"),
            ("https://10.0.0.1/", "not an address of the public internet"),
        ],
    )
    async def test_addresses_are_checked(self, guanxi: Any, url: str, reason: str) -> None:
        app = await guanxi(Customers(), Webhooks())
        ada = await user(app)
        error = await ada.refused(url, "CustomerCreated")
        assert (error["path"], error["code"]) == ("url", "INVALID")
        assert reason in error["message"]
        assert "secret" not in error["message"]

    @pytest.mark.parametrize(
        "selection",
        [
            "{", "{ nothing }", "query ($other: ID!) { customer(id: $other) { name } }",
            "query ($id: Int!) { customers(first: $id) { totalCount } }",
            'mutation { createCustomer(input: { code: "x", name: "y" }) { errors { code } } }',
            "query A { tenant { name } } query B { tenant { name } }",
        ],
    )  # fmt: skip
    async def test_selections_are_checked(self, app: App, selection: str) -> None:
        ada = await user(app)
        url = "https://example.com"
        error = await ada.refused(url, "CustomerCreated", selection=selection)
        assert error["path"] == "selection"
        assert "CustomerCreated" in error["message"]

    async def test_a_selection_must_do_for_every_event(self, app: App) -> None:
        ada = await user(app)
        url, two = "https://example.com", ("CustomerCreated", "StewardAssigned")
        error = await ada.refused(url, *two, selection=NAME)
        assert "StewardAssigned" in error["message"]
        both = "query ($id: ID, $customerId: ID) { nodes(ids: [$id, $customerId]) { id } }"
        refused = await ada.refused(url, *two, selection=both)
        assert refused["path"] == "selection"  # lists of ids hold no null
        empty = """query ($id: ID! = "", $customerId: ID! = "") {
          a: customer(id: $id) { name } b: customer(id: $customerId) { name } }"""
        assert await ada.subscribe(url, *two, selection=empty)

    async def test_updating_checks_as_creating_does(self, app: App) -> None:
        ada = await user(app)
        made = await ada.subscribe("https://example.com", "CustomerCreated", selection=NAME)
        update = """mutation ($id: ID!, $url: String, $events: [String!], $selection: String,
          $version: Int) { updateWebhook(id: $id, url: $url, events: $events, selection: $selection,
          version: $version) { webhookEndpoint { url events selection secret }
          errors { code path } } }"""
        for change, path in (
            ({"url": "https://10.0.0.1"}, "url"), ({"events": []}, "events"),
            ({"events": ["StewardAssigned"]}, "selection"), ({"selection": "{"}, "selection"),
            ({"version": 7}, "version"),
        ):  # fmt: skip
            refused = (await ada.ask(update, id=made["id"], **change))["updateWebhook"]
            assert [error["path"] for error in refused["errors"]] == [path]
        done = await ada.ask(
            update, id=made["id"], url="https://example.org", selection="", version=made["version"],
            events=["StewardAssigned"],
        )  # fmt: skip
        assert done["updateWebhook"]["webhookEndpoint"] == {
            "url": "https://example.org", "events": ["StewardAssigned"], "selection": None,
            "secret": None,
        }  # fmt: skip

    async def test_a_user_has_so_many_at_most(self, app: App, monkeypatch: Any) -> None:
        monkeypatch.setattr("guanxi_webhooks.managing._MOST", 2)
        ada, bob = await user(app), await user(app, "Bob")
        for somebody in (ada, bob, ada):
            await somebody.subscribe("https://example.com", "CustomerCreated")
        error = await ada.refused("https://example.com", "CustomerCreated")
        assert "archive one" in error["message"]


class TestSecrets:
    async def test_they_are_shown_once_and_nowhere_else(self, app: App) -> None:
        ada = await user(app)
        made = await ada.subscribe("https://example.com", "CustomerCreated")
        assert made["secret"].startswith("whsec_")
        found = await ada.ask(
            "query ($id: ID!) { webhookEndpoint(id: $id) { secret } }", id=made["id"]
        )
        assert found["webhookEndpoint"]["secret"] is None
        async with app.platform.pool.connection(app.tenant.id) as connection:
            for table in ("guanxi_audit", "guanxi_outbox", "guanxi_delivery"):
                rows = await connection.fetch(f"SELECT t::text FROM {table} t")
                assert made["secret"] not in repr(rows)

    async def test_the_former_signs_too_until_its_time_is_over(self, app: App) -> None:
        ada = await user(app)
        async with receiving() as receiver:
            made = await ada.subscribe(receiver, "CustomerCreated")
            rotated = await ada.ask(
                "mutation ($id: ID!) { rotateWebhookSecret(id: $id) "
                "{ webhookEndpoint { secret previousSecretUntil } errors { code } } }",
                id=made["id"],
            )
            new = rotated["rotateWebhookSecret"]["webhookEndpoint"]["secret"]
            await customer(app)
            await app.deliver()
            app.clock.advance(hours=25)
            await customer(app, "B", "Bob")
            await app.deliver()
        assert new != made["secret"]
        both, one = receiver.received
        assert len(both.headers["webhook-signature"].split(" ")) == 2
        for secret in (made["secret"], new):
            assert Webhook(secret).verify(both.body, both.headers)
        [only] = one.headers["webhook-signature"].split(" ")
        at = dt.datetime.fromtimestamp(int(one.headers["webhook-timestamp"]), dt.UTC)
        assert only == Webhook(new).sign(one.headers["webhook-id"], at, one.body.decode())


class TestFailing:
    @given(
        st.lists(st.integers(1, 10_000), max_size=20), st.integers(1, 100), st.integers(0, 1000),
        st.integers(0, 200), st.integers(0, 2000),
    )  # fmt: skip
    def test_patience(
        self, pauses: list[int], after: int, hours: int, failures: int, lasting: int
    ) -> None:
        settings = WebhookSettings(
            pauses=tuple(pauses), disable_after=after, disable_after_hours=hours
        )
        made = [next_pause(settings, attempts) for attempts in range(1, len(pauses) + 3)]
        assert made[len(pauses) :] == [None, None]
        for minutes, pause in zip(pauses, made, strict=False):
            assert pause is not None
            assert minutes <= pause.total_seconds() / 60 <= minutes * (1 + JITTER) + 1e-6
        given_up = hopeless(settings, failures, dt.timedelta(hours=lasting))
        assert given_up == (failures >= after and lasting >= hours)

    async def test_a_crash_after_sending_sends_again_under_the_same_id(
        self, app: App, monkeypatch: Any
    ) -> None:
        ada = await user(app)
        note, crashes = sending._note, [SystemExit()]

        async def crash(*arguments: Any) -> None:
            if crashes:
                raise crashes.pop()
            await note(*arguments)

        monkeypatch.setattr(sending, "_note", crash)
        async with receiving() as receiver:
            await ada.subscribe(receiver, "CustomerCreated")
            await customer(app)
            await app.deliver()
            async with app.platform.pool.connection(app.tenant.id) as connection:
                await connection.execute("UPDATE guanxi_delivery SET due_at = now()")
            await app.deliver()
        first, second = receiver.received
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        [attempt] = await app.all(WebhookAttempt)
        assert attempt.status_code == 204

    async def test_it_is_tried_again_under_the_same_id(self, app: App) -> None:
        ada = await user(app)
        async with receiving(500, -1, 302, 204) as receiver:
            await ada.subscribe(receiver, "CustomerCreated")
            await customer(app)
            await app.deliver()
            await later(app, seconds=50)
            assert receiver.hits == 1
            await later(app, minutes=1.5)
            assert receiver.hits == 2
            await later(app, minutes=4)
            assert receiver.hits == 2
            await later(app, minutes=4)
            assert receiver.hits == 3
            await later(app, minutes=40)
            assert receiver.hits == 4
            await later(app, days=3)
        assert receiver.hits == 4
        assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
        [message] = await app.all(WebhookMessage)
        assert (message.status, message.attempt_count, message.error) == ("SENT", 4, None)
        attempts = [(one.status_code, one.error) for one in await app.all(WebhookAttempt)]
        assert attempts == [
            (500, "It answered 500."),
            (None, "127.0.0.1 gave no answer: the connection broke off."),
            (302, "It answered 302; redirects are not followed."), (204, None),
        ]  # fmt: skip
        [health] = await _health(app)
        assert (health.failures, health.failing_since) == (0, None)

    async def test_a_message_that_fails_holds_up_none_behind_it(self, app: App) -> None:
        ada = await user(app)
        async with receiving(500, 204) as receiver:
            await ada.subscribe(receiver, "CustomerCreated")
            await customer(app)
            await customer(app, "B", "Bob")
            await app.deliver()
            assert receiver.hits == 2
            await later(app, minutes=2.5)
        assert receiver.hits == 3
        first, second, third = (one.headers["webhook-id"] for one in receiver.received)
        assert first == third != second

    async def test_it_is_given_up_and_replayed(self, guanxi: Any) -> None:
        app = await guanxi(
            Customers(), Webhooks(WebhookSettings(allow_http=True, pauses=(1, 2))),
            egress_allow=["127.0.0.0/8"],
        )  # fmt: skip
        ada = await user(app)
        replay = """mutation ($id: ID!) { replayWebhookMessage(id: $id) {
          webhookMessage { status attemptCount } errors { code path } } }"""
        replay_all = """mutation ($id: ID!, $since: DateTime!) { replayWebhookMessages(
          endpointId: $id, since: $since) { result errors { code path } } }"""
        async with receiving(500) as receiver:
            made = await ada.subscribe(receiver, "CustomerCreated")
            since = (app.clock() - dt.timedelta(hours=1)).isoformat()
            await customer(app)
            await app.deliver()
            [message] = await app.all(WebhookMessage)
            early = await ada.ask(replay, id=global_id(message))
            assert early["replayWebhookMessage"]["errors"] == [{"code": "CONFLICT", "path": "id"}]
            for _ in range(4):
                await later(app, minutes=5)
            assert receiver.hits == 3
            [message] = await app.all(WebhookMessage)
            assert (message.status, message.attempt_count) == ("FAILED", 3)
            receiver.statuses = [204]
            done = await ada.ask(replay, id=global_id(message))
            assert done["replayWebhookMessage"]["webhookMessage"] == {
                "status": "PENDING", "attemptCount": 0,
            }  # fmt: skip
            await app.deliver()
            [message] = await app.all(WebhookMessage)
            assert message.status == "SENT"
            receiver.statuses = [500]
            await customer(app, "B", "Bob")
            await customer(app, "C", "Cid")
            await app.deliver()
            for _ in range(4):
                await later(app, minutes=5)
            receiver.statuses = [204]
            before = receiver.hits
            done = await ada.ask(replay_all, id=made["id"], since=since)
            assert done["replayWebhookMessages"] == {"result": 2, "errors": []}
            await app.deliver()
            assert receiver.hits == before + 2
            done = await ada.ask(replay_all, id=made["id"], since=since)
            assert done["replayWebhookMessages"]["result"] == 0
        assert len({one.headers["webhook-id"] for one in receiver.received}) == 3

    async def test_an_error_that_nobody_expects_is_a_failed_attempt(
        self, app: App, monkeypatch: Any
    ) -> None:
        ada = await user(app)
        send = EgressClient.send

        async def fail(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("by a secret")

        async with receiving() as receiver:
            await ada.subscribe(receiver, "CustomerCreated")
            await customer(app)
            monkeypatch.setattr(EgressClient, "send", fail)
            await app.deliver()
            [attempt] = await app.all(WebhookAttempt)
            assert attempt.error == "It could not be sent: ZeroDivisionError."
            [message] = await app.all(WebhookMessage)
            assert (message.status, message.attempt_count) == ("PENDING", 1)
            assert message.next_attempt_at is not None
            monkeypatch.setattr(EgressClient, "send", send)
            await later(app, minutes=2.5)
        assert receiver.hits == 1
        [message] = await app.all(WebhookMessage)
        assert (message.status, message.attempt_count) == ("SENT", 2)

    async def test_a_selection_that_fails_unexpectedly_is_a_failed_attempt(
        self, app: App, monkeypatch: Any
    ) -> None:
        ada = await user(app)

        async def fail(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError

        async with receiving() as receiver:
            await ada.subscribe(receiver, "CustomerCreated", selection=NAME)
            await customer(app)
            with monkeypatch.context() as patch:
                patch.setattr(service.TenantGraphQL, "execute", fail)
                await app.deliver()
            [attempt] = await app.all(WebhookAttempt)
            assert attempt.error == "It could not be sent: ZeroDivisionError."
            await later(app, minutes=2.5)
        assert receiver.hits == 1

    async def test_a_message_whose_delivery_died_is_replayed(
        self, app: App, monkeypatch: Any
    ) -> None:
        ada = await user(app)
        replay = """mutation ($id: ID!) { replayWebhookMessage(id: $id) {
          webhookMessage { status attemptCount } errors { code path } } }"""

        async def die(*_: Any) -> None:
            raise RuntimeError

        async with receiving() as receiver:
            await ada.subscribe(receiver, "CustomerCreated")
            await customer(app)
            with monkeypatch.context() as patch:
                patch.setattr(sending, "send", die)
                patch.setattr(queue, "ATTEMPTS", 1)
                await app.deliver()
            async with app.platform.pool.connection(app.tenant.id) as connection:
                dead = await connection.fetchval(
                    "SELECT count(*) FROM guanxi_delivery "
                    "WHERE tenant_id = $1 AND handler = 'send' AND status = 'dead'",
                    app.tenant.id,
                )
            assert dead == 1
            await later(app, days=3)
            [message] = await app.all(WebhookMessage)
            assert (message.status, receiver.hits) == ("PENDING", 0)
            for _ in range(3):  # more than once, and yet it is sent once
                done = await ada.ask(replay, id=global_id(message))
                assert done["replayWebhookMessage"] == {
                    "webhookMessage": {"status": "PENDING", "attemptCount": 0}, "errors": [],
                }  # fmt: skip
            await app.deliver()
        assert receiver.hits == 1
        [message] = await app.all(WebhookMessage)
        assert (message.status, message.attempt_count) == ("SENT", 1)

    async def test_an_endpoint_that_keeps_failing_is_disabled_and_resumed(
        self, guanxi: Any
    ) -> None:
        settings = WebhookSettings(allow_http=True, disable_after=3, disable_after_hours=2)
        app = await guanxi(Customers(), Webhooks(settings), egress_allow=["127.0.0.0/8"])
        ada = await user(app)
        async with receiving(500) as receiver:
            made = await ada.subscribe(receiver, "CustomerCreated")
            for number in range(4):  # many failures, in no time
                await customer(app, str(number))
            await app.deliver()
            [endpoint] = await app.all(WebhookEndpoint)
            assert endpoint.status == "ACTIVE"
            await later(app, hours=3)
            [endpoint] = await app.all(WebhookEndpoint)
            assert endpoint.status == "DISABLED"
            assert endpoint.disabled_reason == "5 attempts failed in a row. It answered 500."
            assert endpoint.disabled_at == app.clock()
            disabled = [one for one in app.events if isinstance(one, WebhookDisabled)]
            assert [one.endpoint_id for one in disabled] == [endpoint.id]
            hits = receiver.hits
            await customer(app, "more")
            await later(app, days=2)
            assert receiver.hits == hits == 5
            receiver.statuses = [204]
            resumed = await ada.ask(
                "mutation ($id: ID!) { resumeWebhook(id: $id) { webhookEndpoint { status failures "
                "disabledReason disabledAt } errors { message } } }",
                id=made["id"],
            )
            assert resumed["resumeWebhook"]["webhookEndpoint"] == {
                "status": "ACTIVE", "failures": 0, "disabledReason": None, "disabledAt": None,
            }  # fmt: skip
            await later(app, minutes=1)
        assert receiver.hits == 9
        assert {one.status for one in await app.all(WebhookMessage)} == {"SENT"}
        audit = await app.graphql(
            '{ auditEntries(where: { action: { eq: "webhooks.send" } }) { edges { node { model '
            "changes { field after } } } } }"
        )
        entries = [edge["node"] for edge in audit["auditEntries"]["edges"]]
        changes = [one["changes"] for one in entries if one["model"] == "WebhookEndpoint"]
        assert {"field": "status", "after": '"DISABLED"'} in changes[0]

    async def test_gone_and_refused_disable_at_once(self, app: App) -> None:
        ada = await user(app)
        async with receiving(410) as receiver:
            await ada.subscribe(receiver, "CustomerCreated")
            await customer(app)
            await app.deliver()
            await customer(app, "B")
            await later(app, days=1)
        assert receiver.hits == 1
        [endpoint] = await app.all(WebhookEndpoint)
        assert endpoint.status == "DISABLED"
        assert "410" in (endpoint.disabled_reason or "")
        [attempt] = await app.all(WebhookAttempt)
        assert attempt.status_code == 410

    async def test_a_selection_that_fits_no_more_fails(self, app: App, monkeypatch: Any) -> None:
        ada = await user(app)
        async with receiving() as receiver:
            made = await ada.subscribe(receiver, "CustomerCreated", selection=NAME)
            async with app.context() as ctx:
                endpoint = await ctx.get(
                    WebhookEndpoint, UUID(made["id"].removeprefix("webhook_endpoint_"))
                )
                endpoint.selection = NAME.replace("code", "postcode")
            await customer(app)
            await app.deliver()
        assert receiver.hits == 0
        [message] = await app.all(WebhookMessage)
        assert message.status == "PENDING"
        assert "The selection cannot be answered any more" in (message.error or "")

    async def test_paused_it_hears_nothing_and_gets_the_rest_when_resumed(self, app: App) -> None:
        ada = await user(app)
        verb = "mutation ($id: ID!) {{ {}Webhook(id: $id) {{ webhookEndpoint {{ status }} }} }}"
        async with receiving(500, 204) as receiver:
            made = await ada.subscribe(receiver, "CustomerCreated")
            await customer(app)
            await app.deliver()
            paused = await ada.ask(verb.format("pause"), id=made["id"])
            assert paused["pauseWebhook"]["webhookEndpoint"]["status"] == "PAUSED"
            await customer(app, "B")
            await later(app, days=1)
            assert receiver.hits == 1
            await ada.ask(verb.format("resume"), id=made["id"])
            await later(app, minutes=1)
        assert receiver.hits == 2
        assert len(await app.all(WebhookMessage)) == 1

    async def test_old_messages_are_forgotten(self, app: App) -> None:
        ada = await user(app)
        async with receiving() as receiver:
            await ada.subscribe(receiver, "CustomerCreated")
            await customer(app)
            await app.deliver()
            await later(app, days=29)
            assert len(await app.all(WebhookMessage)) == 1
            await later(app, days=3)
        assert receiver.hits == 1
        assert await app.all(WebhookMessage) == []
        assert await app.all(WebhookAttempt) == []


async def _health(app: App) -> list[WebhookHealth]:
    async with app.context() as ctx:
        return list(await ctx.db.scalars(sa.select(WebhookHealth)))


ERASE = """mutation ($id: String!) {
  erasePerson(id: $id) { result { rows { model blanked } } errors { code message } } }"""


class TestErasure:
    async def test_what_messages_tell_of_a_person_is_erased_with_the_person(self, app: App) -> None:
        ada = await user(app)
        company = await customer(app)
        async with receiving(500) as receiver:
            await ada.subscribe(receiver, "PersonCreated", "PersonErased")
            bob, eve = [
                await app.add(Person(name=name, customer_id=company.id)) for name in ("Bob", "Eve")
            ]
            await app.deliver()
            assert len(receiver.bodies) == 2
            answer = await app.execute(ERASE, {"id": global_id(bob)}, reason="request 7")
            erased = answer["data"]["erasePerson"]
            assert erased["errors"] == []
            assert {"model": "WebhookMessage", "blanked": 1} in erased["result"]["rows"]
            receiver.statuses = [204]
            await later(app, minutes=5)
        told_since = {(body["type"], body["data"]["id"]) for body in receiver.bodies[2:]}
        assert told_since == {("PersonErased", global_id(bob)), ("PersonCreated", global_id(eve))}
        messages = {(m.event, m.subject): m for m in await app.all(WebhookMessage)}
        told = messages["PersonCreated", global_id(bob)]
        assert (told.payload, told.status) == (None, "WITHHELD")
        assert told.error == "What it told of was erased."
        assert messages["PersonCreated", global_id(eve)].status == "SENT"
        assert messages["PersonErased", global_id(bob)].status == "SENT"

    async def test_the_webhooks_of_a_user_go_with_the_user(self, app: App) -> None:
        ada = await user(app)
        await ada.subscribe("https://93.184.216.34/ada", "CustomerCreated", selection=NAME)
        answer = await app.execute(ERASE, {"id": f"user_{await ada.id()}"}, reason="request 8")
        assert answer["data"]["erasePerson"]["errors"] == []
        [left] = await app.all(WebhookEndpoint)
        assert (left.url, left.description, left.selection) == ("[erased]", None, None)
        assert (left.secret, left.events) == (None, [])

    async def test_a_message_that_only_names_the_person_is_sent_without_the_name(
        self, guanxi: Any
    ) -> None:
        app: App = await guanxi(
            Customers(), Guests(), Webhooks(WebhookSettings(allow_http=True)),
            egress_allow=["127.0.0.0/8"],
        )  # fmt: skip
        ada = await user(app)
        company = await customer(app)
        person = await app.add(Person(name="Adalovelace Byron", customer_id=company.id))
        async with receiving(500) as receiver:
            await ada.subscribe(receiver, "WordsSpoken")
            async with app.context() as ctx:
                ctx.emit(WordsSpoken(words="call Adalovelace Byron back"))
                ctx.emit(WordsSpoken(words="call Bob back"))
            await app.deliver()
            answer = await app.execute(ERASE, {"id": global_id(person)}, reason="request 9")
            erased = answer["data"]["erasePerson"]
            assert erased["errors"] == []
            assert {"model": "WebhookMessage", "blanked": 1} in erased["result"]["rows"]
            assert "Adalovelace" not in str([m.payload for m in await app.all(WebhookMessage)])
            receiver.statuses = [204]
            await later(app, minutes=5)
        sent = sorted(body["data"]["words"] for body in receiver.bodies[2:])
        assert sent == ["[erased]", "call Bob back"]
