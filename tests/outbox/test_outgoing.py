"""Messages are checked when they are made, as `landbot.customers` checks them, and equal ones are equal."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async import AsyncLandbot
from landbot_async.outbox import AssignBot, Outgoing, SetFields
from landbot_async.outbox.outgoing import ROUTES, Then
from landbot_async.outbox.steps import Step, steps_of
from tests.helpers import TOKEN

TOMORROW = datetime(2030, 1, 1, tzinfo=UTC)

WRONG = [
    ("text", (0, "Hi"), {}),
    ("text", (True, "Hi"), {}),
    ("text", ("42", "Hi"), {}),
    ("text", (42, " "), {}),
    ("text", (42, None), {}),
    ("text", (42, "half \udce4"), {}),
    ("image", (42, "ftp://x"), {}),
    ("image", (42, "https://x"), {"caption": ""}),
    ("location", (42, 91, 0), {}),
    ("location", (42, 0, float("nan")), {}),
    ("template", (42, 0, "en"), {}),
    ("template", (42, 5, ""), {}),
    ("template", (42, 5, "en"), {"body": "Ana"}),
    ("template", (42, 5, "en"), {"header": {"nonsense": 1}}),
    ("template", (42, 5, "en"), {"buttons": ["Ana"]}),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "arguments", "options"), WRONG)
async def test_what_the_client_refuses_is_refused_in_the_same_words(
    kind: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    with pytest.raises((TypeError, ValueError)) as here:
        getattr(Outgoing, kind)(*arguments, key="k", **options)
    async with AsyncLandbot(TOKEN) as landbot:
        with pytest.raises((TypeError, ValueError)) as there:
            await getattr(landbot.customers, f"send_{kind}")(*arguments, **options)
    assert (here.type, str(here.value)) == (there.type, str(there.value))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({}, TypeError, "key is missing: your own name for the message"),
        ({"key": ""}, ValueError, "key must not be empty"),
        ({"key": 5}, TypeError, "key must be a string"),
        ({"key": "k", "send_after": datetime(2030, 1, 1)}, ValueError, "send_after must have a time zone"),
        ({"key": "k", "expires": datetime(2030, 1, 1)}, ValueError, "expires must have a time zone"),
        ({"key": "k", "expires": 5}, TypeError, "expires must be a datetime, not int"),
        ({"key": "k", "expires": date(2030, 1, 1)}, TypeError, "expires must be a datetime, not date"),
        ({"key": "k", "then": SetFields({})}, TypeError, "then must be a list"),
        ({"key": "k", "then": ["bot"]}, TypeError, "then takes SetFields and AssignBot, not str"),
        ({"key": "k", "nonsense": 1}, TypeError, "a message takes key, send_after, expires, then, note, not nonsense"),
    ],
)
def test_the_options_are_checked(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Outgoing.text(42, "Hi", **options)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: SetFields({"No": 1}), ValueError),
        (lambda: SetFields({"a": object()}), TypeError),
        (lambda: SetFields([("a", 1)]), TypeError),  # type: ignore[arg-type]  # what is wrong is the test
        (lambda: AssignBot(0), ValueError),
        (lambda: AssignBot(1, launch=1), TypeError),  # type: ignore[arg-type]  # what is wrong is the test
        (lambda: AssignBot(1, node=""), ValueError),
    ],
)
def test_steps_are_checked(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_a_message_s_form_in_the_journal() -> None:
    then: list[Then] = [
        SetFields({"wave": "spring", "born": date(2000, 1, 2)}),
        AssignBot(77, launch=False, node="N"),
    ]
    message = Outgoing.template(43, 5, "en", body=["Ana"], buttons=[None], key="k", send_after=TOMORROW, then=then)
    assert steps_of(message.content) == [
        Step(
            "template",
            {
                "template_id": 5,
                "template_language": "en",
                "template_params": {"body": {"params": ["Ana"]}, "buttons": [None]},
            },
            {},
        ),
        Step(
            "fields",
            {
                "born": {"type": "date", "value": "2000-01-02", "extra": {}},
                "wave": {"type": "string", "value": "spring", "extra": {}},
            },
            {},
        ),
        Step("bot", {"launch": False, "node": "N"}, {"bot_id": 77}),
    ]
    assert [each.idempotent for each in steps_of(message.content)] == [False, True, False]
    assert set(ROUTES) == {"text", "image", "location", "template", "bot"}
    assert not any(route.idempotent for route in ROUTES.values())


def test_no_repr_shows_what_is_said() -> None:
    message = Outgoing.text(42, "my secret", key="k", then=[SetFields({"a": "my secret"})])
    assert repr(message) == "Outgoing(key='k', customer_id=42, kind='text', send_after=None, expires=None)"
    assert (repr(SetFields({"a": "my secret"})), repr(AssignBot(7))) == ("SetFields(a)", "AssignBot(7)")


class TestTheDigest:
    def test_the_same_content_is_the_same_whatever_the_times(self) -> None:
        one = Outgoing.template(42, 5, "en", header={"url": "https://x", "filename": "y"}, key="a", expires=TOMORROW)
        two = Outgoing.template(42, 5, "en", header={"filename": "y", "url": "https://x"}, key="b")
        assert one.digest == two.digest

    @given(st.integers(1, 10**9), st.integers(1, 10**9), st.text(min_size=1), st.text(min_size=1))
    def test_other_content_is_other(self, customer: int, other: int, text: str, words: str) -> None:
        def digest(number: int, message: str) -> bytes | None:
            try:
                return Outgoing.text(number, message, key="k").digest
            except ValueError:
                return None

        first, second = digest(customer, text), digest(other, words)
        if first is not None and second is not None:
            assert (first == second) == ((customer, text) == (other, words))

    def test_steps_count(self) -> None:
        digests = [
            Outgoing.text(42, "Hi", key="k", then=then).digest
            for then in ([], [AssignBot(1)], [AssignBot(2)], [SetFields({"a": 1})], [SetFields({"a": True})])
        ]
        assert len(set(digests)) == 5


def test_the_largest_customer_id_is_what_the_journal_holds() -> None:
    assert Outgoing.text(2**63 - 1, "Hi", key="k").customer_id == 2**63 - 1
    with pytest.raises(ValueError, match="customer_id must be at most 9223372036854775807"):
        Outgoing.text(2**63, "Hi", key="k")
