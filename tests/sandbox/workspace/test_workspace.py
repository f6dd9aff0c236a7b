"""State and rules, without HTTP."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async.sandbox.workspace.directory import Observer
from landbot_async.sandbox.workspace.fake_customers import words
from landbot_async.sandbox.workspace.records import (
    BEGINNING,
    RefusedError,
    SandboxCustomer,
    SandboxMessage,
    Sent,
    trim,
)
from landbot_async.sandbox.workspace.workspace import Workspace


def workspace(customers: int = 0, seed: int = 0) -> Workspace:
    return Workspace(customers=customers, seed=seed)


def order(space: Workspace) -> list[int]:
    return [customer.id for customer in space.list_customers()]


def test_customers_are_made_up() -> None:
    space = workspace(20)
    assert order(space) == list(range(1, 21))
    for number, customer in space.customers.items():
        assert customer.id == number
        assert customer.channel_id == (8 if number % 2 else 9)
        assert customer.opt_in is (number % 10 != 0)
        assert customer.name
        assert set(customer.fields) == {"city", "plan"}
    assert len({customer.phone for customer in space.customers.values()}) == 20
    assert len({customer.email for customer in space.customers.values()}) == 20


def test_the_same_seed_makes_the_same_people() -> None:
    def everyone(seed: int) -> list[Any]:
        return [customer.json() for customer in workspace(30, seed).list_customers()]

    assert everyone(7) == everyone(7)
    assert everyone(7) != everyone(8)


@pytest.mark.parametrize(
    "given_",
    [
        {"name": "Ava"},
        {"channel_id": 9},
        {"phone": None, "email": None},
        {"agent_id": 5, "archived": True, "blocked": True, "opt_in": False},
        {"fields": {}},
        {"last_message": 1.5, "bot_id": 3},
    ],
)
def test_what_is_given_is_not_made_up(given_: dict[str, Any]) -> None:
    customer = workspace().add_customer(**given_)
    assert {name: getattr(customer, name) for name in given_} == given_


@pytest.mark.parametrize(
    ("place", "expected"), [(None, [3, 1, 2]), (0, [3, 1, 2]), (1, [1, 3, 2]), (2, [1, 2, 3]), (99, [1, 2, 3])]
)
def test_place_in_the_listing(place: int | None, expected: list[int]) -> None:
    space = workspace(2)
    space.add_customer(place=place)
    assert order(space) == expected


@pytest.mark.parametrize(
    ("details", "error"),
    [({"channel_id": 7}, ValueError), ({"channel_id": 0}, ValueError), ({"nickname": "A"}, TypeError)],
)
def test_what_cannot_be_added_leaves_nothing(details: dict[str, Any], error: type[Exception]) -> None:
    space = workspace()
    with pytest.raises(error):
        space.add_customer(**details)
    assert not space.customers
    assert order(space) == []
    assert space.add_customer().id == 1


@pytest.mark.parametrize("victim", [1, 2, 3])
def test_a_deleted_customer_is_gone_for_good(victim: int) -> None:
    space = workspace(3)
    space.delete_customer(victim)
    assert order(space) == [number for number in (1, 2, 3) if number != victim]
    with pytest.raises(RefusedError) as refused:
        space.customer(victim)
    assert refused.value.status == 404
    assert space.add_customer().id == 4


def test_custom_fields_are_shown_twice() -> None:
    shown = workspace().add_customer("Ava", fields={"city": "Lyon", "url": "x"}).json()
    assert shown["custom_fields"] == {
        "city": {"name": "city", "type": "string", "value": "Lyon"},
        "url": {"name": "url", "type": "string", "value": "x"},
    }
    assert (shown["city"], shown["url"]) == ("Lyon", "x")


def test_a_custom_field_shadows_what_has_its_name() -> None:
    shown = workspace().add_customer("Ava", fields={"name": "somebody"}).json()
    assert shown["name"] == "somebody"
    assert shown["custom_fields"]["name"]["value"] == "somebody"


def test_but_neither_the_id_nor_the_fields_themselves() -> None:
    shown = workspace().add_customer("Ava", fields={"id": "x", "custom_fields": 5}).json()
    assert shown["id"] == 1
    assert {name: each["value"] for name, each in shown["custom_fields"].items()} == {"id": "x", "custom_fields": 5}


@pytest.mark.parametrize("count", [1, 300])
def test_a_made_up_customer_has_a_transcript_that_fits(count: int) -> None:
    space = workspace(count)
    for customer in space.list_customers():
        [said] = customer.transcript()
        shown = customer.json()
        assert shown["last_message"] == shown["last_receive_date"] == customer.conversation[-1].at
        assert shown["last_message_content"] == said["message"] != ""
        assert said["sender"] == customer.name
        assert not customer.messages
    added = space.add_customer("Ava", last_message=BEGINNING - 5.0)
    assert [each["message_datetime"] for each in added.transcript()] == ["2025-12-31 23:59:55"]
    space.send(added.id, "text", "Hi", at=1.0)
    assert [each.sender.type for each in added.conversation] == ["customer", "agent"]
    silent = space.add_customer(last_message=None)
    assert (silent.transcript(), silent.last_text) == ([], None)


@given(at=st.floats(0, 1e6), handmade=st.floats(1e9, 4e9))
def test_no_time_has_more_than_six_decimals(at: float, handmade: float) -> None:
    space = Workspace(customers=1, seed=0, unix=lambda at: 1_767_225_600.123456789 + at)
    space.hear(1, "text", "Hi", at=at, data={})
    space.send(1, "text", "Hi", at=at + 0.1)
    space.add_hook(8, "https://x.example/", None, None, created=handmade)
    handmade_customer = space.add_customer(last_receive=handmade, registered=handmade)
    space.visitor(10, "tg-1", at=at)
    for shown in (*(each.json() for each in space.listing), space.hook(8, 1).json()):
        for name, value in shown.items():
            if isinstance(value, float):
                decimals = repr(value).partition(".")[2]
                assert len(decimals) <= 6, name
    assert isinstance(handmade_customer.json()["register_date"], float)


@pytest.mark.parametrize(("count", "kept"), [(9, 9), (81, 81), (90, 90), (91, 80), (1000, 87)])
def test_a_log_is_trimmed(count: int, kept: int) -> None:
    log: list[int] = []
    most = 0
    for number in range(count):
        log.append(number)
        trim(log, 80)
        most = max(most, len(log))
    assert log == list(range(count))[-kept:]
    assert most <= 90


def test_what_is_kept_of_messages_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landbot_async.sandbox.workspace.workspace.SENT_KEPT", 16)
    monkeypatch.setattr("landbot_async.sandbox.workspace.workspace.MESSAGES_KEPT", 8)
    space = workspace(2)
    for number in range(100):
        space.send(1 + number % 2, "text", str(number), at=float(number))
    assert 16 <= len(space.sent) <= 18
    assert space.sent[-1].text == "99"
    assert 8 <= len(space.customer(1).messages) <= 9
    assert space.customer(1).messages[-1].text == "98"


def test_shown_as_documented() -> None:
    space = workspace(1)
    documented = {"id", "name", "channel_id", "agent_id", "archived", "unread", "email", "phone", "opt_in", "blocked"}
    documented |= {"last_message", "register_date", "avatar", "meta_data", "custom_fields"}
    assert documented <= set(space.customer(1).json())
    assert set(space.channel(8).json()) == {"id", "name", "type", "active", "created_at", "token"}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [8, 9, 10]),
        ({"type": "webchat"}, [8]),
        ({"type": "telegram"}, []),
        ({"active": True}, [8, 10]),
        ({"active": False}, [9]),
        ({"type": "webchat", "active": False}, []),
    ],
)
def test_channels_that_match(filters: dict[str, Any], expected: list[int]) -> None:
    space = workspace()
    space.channels[9].active = False
    assert [channel.id for channel in space.list_channels(**filters)] == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [4, 3, 2, 1]),
        ({"channel_id": 9}, [2]),
        ({"channel_id": 7}, []),
        ({"agent_id": 5}, [3, 1]),
        ({"archived": True}, [3]),
        ({"archived": False}, [4, 2, 1]),
        ({"opt_in": False}, [2]),
        ({"opt_in": True, "agent_id": 5}, [3, 1]),
        ({"agent_id": None, "archived": None}, [4, 3, 2, 1]),
        ({"search": "STRASSE"}, [1]),
        ({"search": "ünter"}, [2]),
        ({"search": ""}, [4, 3, 2, 1]),
        ({"search": "nobody"}, []),
        ({"search": "@example.com", "search_by": "email"}, [2]),
        ({"search": "0002", "search_by": "phone"}, [2]),
        ({"search": "a", "search_by": "email", "archived": True}, [3]),
        ({"search": "None"}, []),
    ],
)
def test_customers_that_match(filters: dict[str, Any], expected: list[int]) -> None:
    space = workspace()
    space.add_customer("Ava Straße", channel_id=8, agent_id=5)
    space.add_customer("Günter", channel_id=9, opt_in=False, email="g@example.com")
    space.add_customer("Hana", channel_id=8, agent_id=5, archived=True, phone=None)
    space.add_customer("Ito", channel_id=8, email=None).name = None
    assert [customer.id for customer in space.list_customers(**filters)] == expected


def act(space: Workspace, what: str, customer_id: int) -> None:
    acts = {
        "archive": lambda: space.mark(customer_id, archived=True),
        "delete": lambda: space.delete_customer(customer_id),
        "opt_out": lambda: space.opt_out(customer_id),
        "assign_bot": lambda: space.assign_bot(customer_id, 7, launch=True, at=2.0),
        "send_text": lambda: space.send(customer_id, "text", "Hi", at=2.0),
        "send_template": lambda: space.send_template(customer_id, 6, "en", [], at=2.0),
        "assign": lambda: space.assign(customer_id, 1),
        "unassign": lambda: space.assign(customer_id, None),
    }
    acts[what]()


def blocked(space: Workspace, customer: SandboxCustomer) -> None:
    customer.blocked = True


def inactive(space: Workspace, customer: SandboxCustomer) -> None:
    space.channels[customer.channel_id].active = False


def anothers(space: Workspace, customer: SandboxCustomer) -> None:
    customer.agent_id = 5


def not_opted_in(space: Workspace, customer: SandboxCustomer) -> None:
    customer.opt_in = False


@pytest.mark.parametrize(
    "what", ["archive", "delete", "opt_out", "assign_bot", "send_text", "send_template", "assign", "unassign"]
)
def test_nobody_to_act_on(what: str) -> None:
    space = workspace(1)
    with pytest.raises(RefusedError) as refused:
        act(space, what, 2)
    assert (refused.value.status, refused.value.errors) == (404, {"customer": ["Not found"]})
    assert not space.sent


@pytest.mark.parametrize(
    ("what", "state", "field"),
    [
        ("send_text", blocked, "customer"),
        ("send_text", inactive, "channel"),
        ("send_text", anothers, "agent"),
        ("send_template", blocked, "customer"),
        ("send_template", inactive, "channel"),
        ("send_template", anothers, "agent"),
        ("send_template", not_opted_in, "customer"),
        ("assign", anothers, "agent"),
        ("unassign", anothers, "agent"),
        ("assign_bot", anothers, "agent"),
        ("assign_bot", blocked, "customer"),
        ("assign_bot", inactive, "channel"),
        ("opt_out", not_opted_in, "customer"),
    ],
)
def test_a_state_forbids_it(what: str, state: Any, field: str) -> None:
    space = workspace(2)
    customer = space.customer(2)
    state(space, customer)
    before = customer.json(), customer.bot_id
    with pytest.raises(RefusedError) as refused:
        act(space, what, 2)
    assert refused.value.status == 412
    assert set(refused.value.errors) == {field}
    assert "Templates" not in str(refused.value)
    assert (customer.json(), customer.bot_id) == before
    assert not space.sent


@pytest.mark.parametrize(
    ("what", "state"),
    [
        ("archive", blocked),
        ("archive", inactive),
        ("delete", blocked),
        ("opt_out", blocked),
        ("opt_out", inactive),
        ("send_text", not_opted_in),
        ("archive", anothers),
        ("delete", anothers),
        ("opt_out", anothers),
    ],
)
def test_a_state_does_not_forbid_it(what: str, state: Any) -> None:
    space = workspace(1)
    customer = space.customer(1)
    state(space, customer)
    act(space, what, 1)
    done = {
        "archive": customer.archived,
        "delete": 1 not in space.customers,
        "opt_out": not customer.opt_in,
        "send_text": len(space.sent) == 1,
    }
    assert done[what]


def test_opting_out_twice_is_refused() -> None:
    space = workspace(1)
    space.opt_out(1)
    with pytest.raises(RefusedError) as refused:
        space.opt_out(1)
    assert refused.value.status == 412


@pytest.mark.parametrize(("launch", "said"), [(True, [Sent(1, "bot", "bot 7", 2.0)]), (False, [])])
def test_a_bot_takes_over(launch: bool, said: list[Sent]) -> None:
    space = workspace(1)
    customer = space.customer(1)
    customer.agent_id = 1
    space.assign_bot(1, 7, launch=launch, at=2.0)
    assert customer.bot_id == 7
    assert customer.agent_id is None
    assert space.sent == said


def test_sent_in_order() -> None:
    space = workspace(2)
    space.send(2, "text", "one", at=1.0)
    space.send(1, "image", "two", at=2.0, url="https://x.example/")
    space.send(2, "text", "three", at=3.0)
    assert space.sent == [Sent(2, "text", "one", 1.0), Sent(1, "image", "two", 2.0), Sent(2, "text", "three", 3.0)]
    # In the transcript, whose order nobody promises, the newest second comes first.
    assert [said["message"] for said in space.customer(2).transcript()] == ["three", "one", words(2)]
    assert space.customer(1).transcript()[:-1] == [
        {
            "type": "image",
            "message": "two",
            "message_datetime": "2026-01-01 00:00:02",
            "sender": "Sandbox agent",
            "url": "https://x.example/",
        }
    ]


def test_a_template_is_for_whatsapp() -> None:
    space = workspace(2)
    for customer_id in (1, space.visitor(10, "tg-1", at=0.0).id):
        with pytest.raises(RefusedError) as refused:
            space.send_template(customer_id, 6, "en", [], at=1.0)
        assert (refused.value.status, list(refused.value.errors)) == (412, ["customer"])
    assert not space.sent
    other = space.add_channel("Second", "whatsapp")
    space.send_template(space.add_customer(channel_id=other.id).id, 6, "en", [], at=1.0)
    assert len(space.sent) == 1


@pytest.mark.parametrize("bot_id", [0, 1000, 999_999])
def test_a_bot_has_to_be_there(bot_id: int) -> None:
    space = workspace(1)
    with pytest.raises(RefusedError) as refused:
        space.assign_bot(1, bot_id, at=1.0)
    assert (refused.value.status, refused.value.errors) == (404, {"bot": ["Not found"]})
    assert (space.customer(1).bot_id, space.sent) == (None, [])
    space.bots.add(bot_id)
    space.assign_bot(1, bot_id, at=1.0)
    assert space.customer(1).bot_id == bot_id


def test_any_agent_may_be_assigned() -> None:
    space = workspace(1)
    space.assign(1, 999_999, by_id=True)
    assert space.customer(1).agent_id == 999_999


def test_a_template_is_filled() -> None:
    space = workspace(2)
    space.send_template(2, 5, "es_MX", ["Ana {{1}}"], at=1.0)
    assert space.sent == [Sent(2, "template", "Hello Ana {{1}}, we have news for you.", 1.0)]


@pytest.mark.parametrize(
    ("template", "language", "params", "field"),
    [
        (7, "en", [], "template_id"),
        (6, "fr", [], "template_language"),
        (5, "en", [], "template_params"),
        (6, "en", ["Ana"], "template_params"),
    ],
)
def test_a_template_that_does_not_fit(template: int, language: str, params: list[str], field: str) -> None:
    space = workspace(1)
    with pytest.raises(RefusedError) as refused:
        space.send_template(1, template, language, params, at=1.0)
    assert (refused.value.status, list(refused.value.errors)) == (422, [field])
    assert not space.sent


def test_the_token_s_own_agent_takes_and_leaves_a_customer() -> None:
    space = workspace(1)
    for agent in (1, None):
        space.assign(1, agent)
        assert space.customer(1).agent_id == agent
    # By name, one agent's chat can be handed to another: also to the token's own.
    for agent in (5, 6, 1):
        space.assign(1, agent, by_id=True)
        assert space.customer(1).agent_id == agent


def test_hooks_belong_to_a_channel() -> None:
    space = workspace()
    one = space.add_hook(8, "https://x.example/", "secret", None, created=1.5)
    two = space.add_hook(9, "https://x.example/", None, "mine", created=2.5)
    assert (one.id, two.id, one.created_at) == (1, 2, 1.5)
    assert (space.list_hooks(8), space.list_hooks(9)) == ([one], [two])
    assert space.hook(8, 1) is one
    assert "secret" not in repr(one)
    for channel, hook in ((9, 1), (8, 2), (8, 3)):
        with pytest.raises(RefusedError) as refused:
            space.hook(channel, hook)
        assert (refused.value.status, list(refused.value.errors)) == (404, ["hook"])


def test_fields_come_change_and_go() -> None:
    space = workspace()
    space.add_customer("Ava", fields={"city": "Lyon"})
    for act_ in (
        lambda: space.write_field(1, "age", "integer", 5, create=False),
        lambda: space.delete_field(1, "age"),
        lambda: space.customer(1).field_json("age"),
    ):
        with pytest.raises(RefusedError) as refused:
            act_()
        assert (refused.value.status, refused.value.errors) == (404, {"field": ["Not found"]})
    assert space.write_field(1, "age", "integer", 5, create=True) == {"name": "age", "type": "integer", "value": 5}
    assert space.write_field(1, "age", "string", "5", create=False) == {"name": "age", "type": "string", "value": "5"}
    assert space.customer(1).fields == {"city": "Lyon", "age": "5"}
    space.delete_field(1, "age")
    space.delete_field(1, "city")
    assert (space.customer(1).fields, space.customer(1).field_types) == ({}, {})


def test_no_channel() -> None:
    with pytest.raises(RefusedError) as refused:
        workspace().channel(7)
    assert (refused.value.status, refused.value.errors) == (404, {"channel": ["Not found"]})


def test_a_channels_token_is_not_shown() -> None:
    channel = workspace().channel(8)
    assert channel.token not in repr(channel)


def test_whatsapp_takes_free_text_for_a_day() -> None:
    space = workspace(2)
    last = space.customer(2).last_receive
    assert last is not None
    end = last + 24 * 3600 - BEGINNING
    space.send(2, "text", "Hi", at=end)
    for at, wrote in ((end + 0.1, last), (end, None)):
        space.customer(2).last_receive = wrote
        with pytest.raises(RefusedError) as refused:
            space.send(2, "text", "Hi", at=at)
        assert (refused.value.status, list(refused.value.errors)) == (412, ["customer"])
        # A bot is assigned, and waits for their next words; a template reaches them.
        space.assign_bot(2, 7, at=at)
        assert space.customer(2).bot_id == 7
        assert len(space.sent) == 1
    space.send_template(2, 6, "en", [], at=end + 1)
    space.send(1, "text", "Hi", at=end * 100)
    space.hear(2, "text", "Yes?", at=end + 5, data={"body": "Yes?"})
    space.send(2, "text", "Hi", at=end + 6)
    assert [each.type for each in space.sent] == ["text", "template", "text", "text"]


def test_what_is_known_of_a_conversation() -> None:
    space = workspace(1)
    one = space.customer(1)
    space.hear(1, "text", "Hello", at=1.0, data={"body": "Hello"})
    shown = one.json()
    assert (shown["unread"], shown["last_message_content"]) == (True, "Hello")
    assert shown["last_message"] == shown["last_receive_date"] == BEGINNING + 1
    assert shown["last_send_date"] is None
    space.assign_bot(1, 7, at=2.0)
    assert one.unread
    space.send(1, "text", "Hi", at=3.0)
    shown = one.json()
    assert (shown["unread"], shown["last_message_content"]) == (False, "Hi")
    assert shown["last_message"] == shown["last_send_date"] == BEGINNING + 3
    one.name = None
    space.hear(1, "text", "Well", at=4.0, data={"body": "Well"})
    assert [each.sender.name for each in one.messages] == ["Kofi Bianchi", "bot 7", "Sandbox agent", "Visitor #1"]
    assert [each.id for each in one.messages] == [1, 2, 3, 4]


def test_an_assignment_is_said_once() -> None:
    space = workspace(1)
    for agent in (None, 1, 1, 5, 6):
        space.assign(1, agent, by_id=agent is not None, at=2.0)
    space.customer(1).agent_id = 1
    space.assign(1, None, at=3.0)
    events = [(each["message"], each["action"]) for each in space.customer(1).transcript()[:-1]]
    assert events == [(1, "unassign"), (1, "assign"), (5, "assign"), (6, "assign")]
    assert not space.sent


def test_a_field_keeps_its_extra() -> None:
    space = workspace(1)
    written = space.write_field(1, "age", "integer", 5, create=True, extra={"unit": "years"})
    assert written == {"name": "age", "type": "integer", "value": 5, "extra": {"unit": "years"}}
    assert space.write_field(1, "age", "integer", 6, create=False)["extra"] == {"unit": "years"}
    assert space.customer(1).json()["custom_fields"]["age"]["extra"] == {"unit": "years"}
    assert "extra" not in space.write_field(1, "age", "integer", 6, create=False, extra={})
    space.delete_field(1, "age")
    assert space.customer(1).field_extras == {}


class Watcher(Observer):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def customer_changed(self, customer: SandboxCustomer) -> None:
        self.told.append(("changed", customer.id))

    def customer_deleted(self, customer: SandboxCustomer) -> None:
        self.told.append(("gone", customer.id))

    def message_added(self, customer: SandboxCustomer, message: SandboxMessage, at: float) -> None:
        self.told.append(("said", customer.id, message.text, at))

    def directory_changed(self) -> None:
        self.told.append("directory_changed")


def test_whoever_watches_is_told() -> None:
    space, watcher = workspace(1), Watcher()
    space.observers.append(watcher)
    acts: list[tuple[Any, list[Any]]] = [
        (lambda: space.add_customer("Ava"), [("changed", 2)]),
        (lambda: space.send(1, "text", "Hi", at=2.0), [("said", 1, "Hi", 2.0), ("changed", 1)]),
        (lambda: space.mark(1, archived=True), [("changed", 1)]),
        (lambda: space.opt_out(1), [("changed", 1)]),
        (lambda: space.assign_bot(1, 7, launch=False, at=1.0), [("changed", 1)]),
        (lambda: space.write_field(1, "age", "integer", 5, create=True), [("changed", 1)]),
        (lambda: space.delete_field(1, "age"), [("changed", 1)]),
        (lambda: space.delete_customer(2), [("gone", 2)]),
        (lambda: space.add_hook(8, "https://x.example/", None, None, created=1.0), ["directory_changed"]),
        (lambda: space.delete_hook(8, 1), ["directory_changed"]),
        (lambda: space.add_channel("Page", "facebook"), ["directory_changed"]),
    ]
    for act_, told in acts:
        watcher.told.clear()
        act_()
        assert watcher.told == told


@given(st.lists(st.floats(0, 1e5), max_size=20).map(sorted), st.sampled_from([0.0, 1_767_225_600.0, 2e9]))
def test_any_conversation_can_be_put_in_order_by_the_times_in_it(moments: list[float], beginning: float) -> None:
    """APIchat's deliveries say nothing else of the order."""
    space = Workspace(customers=1, seed=0, unix=lambda at: beginning + at)
    for at in [*moments, *moments[-1:] * 5]:
        space.hear(1, "text", "Hi", at=at, data={})
    times = [round(message.at, 6) for message in space.customer(1).messages]
    assert times == sorted(set(times))
    assert all(abs(said - (beginning + at)) < 1e-4 for said, at in zip(times, moments, strict=False))
