from landbot_async._core.mounted import SupportsIdle, inboxes, reached


class Idle:
    async def idle(self) -> None: ...


def test_an_inbox_is_noted_while_somebody_asks() -> None:
    inbox, found = Idle(), set[SupportsIdle]()
    reached(inbox)
    before = inboxes.set(found)
    reached(inbox)
    reached(inbox)
    inboxes.reset(before)
    reached(Idle())
    assert found == {inbox}
