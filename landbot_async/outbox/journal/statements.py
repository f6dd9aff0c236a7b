"""Every SQL statement of the journal, and its tables. `store` says what they are for.

They are written for SQLite and for Postgres; a `Dialect` holds what differs. A value is `?` here, and tables have
their names in Postgres.

A ready message is the first of its customer by definition, so a claim looks for none: with the number behind the state
in an index, it is as quick among 100,000 messages as among 100. A partial index is used only by a statement that
repeats its condition literally. The claim asks for a range of states, which is one state: so Postgres, which may know
nothing of the table, has only that index for the order, and does not walk through the numbers of all that were sent.
Statements about one customer hide the state from that index (`_OF_CUSTOMER`), for Postgres would look through all that
is queued rather than through the customer's messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from landbot_async.outbox.states import ENDED, MOVES, OPEN, QUEUED, State


class Dialect(NamedTuple):
    """The differences between databases.

    Attributes:
        value: the mark of a value in a statement.
        number: the type of a number that counts up by itself.
        whole: the type of a whole number of any size.
        real: the type of Unix seconds.
        blob: the type of bytes.
        prefix: the beginning of the names of tables and indexes.
        arrays: true if a value may be an array. Then a statement is the same for any number of rows.
        for_update: the end of a question whose rows stay as they are until the transaction ends.
    """

    value: str
    number: str
    whole: str
    real: str
    blob: str
    prefix: str
    arrays: bool
    for_update: str

    def adapted(self, statement: str) -> str:
        """Return a statement of this module in the dialect."""
        return _adapted(self, statement)


_FOR_UPDATE: Final = " FOR UPDATE"


@lru_cache(maxsize=256)
def _adapted(dialect: Dialect, statement: str) -> str:
    adapted = statement.replace(_FOR_UPDATE, dialect.for_update)
    return adapted.replace("landbot_", dialect.prefix).replace("?", dialect.value)


SQLITE: Final = Dialect("?", "INTEGER PRIMARY KEY", "INTEGER", "REAL", "BLOB", "", arrays=False, for_update="")
POSTGRES: Final = Dialect(
    "%s",
    "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "bigint",
    "double precision",
    "bytea",
    "landbot_",
    arrays=True,
    for_update=_FOR_UPDATE,
)


def tables(dialect: Dialect) -> tuple[str, ...]:
    """Return the statements that make the tables."""
    number, whole, real, blob = dialect.number, dialect.whole, dialect.real, dialect.blob
    columns = (
        f"number {number}",
        f"outbox {whole} NOT NULL",
        "key TEXT NOT NULL",
        f"customer {whole} NOT NULL",
        "kind TEXT NOT NULL",
        f"digest {blob} NOT NULL",
        "content TEXT",  # NULL once it is forgotten
        "note TEXT",  # the same
        f"step {whole} NOT NULL",  # the next one to do
        "state TEXT NOT NULL",
        f"claim {whole} NOT NULL",  # fences the results of earlier claims
        f"taken_at {real}",  # by the newest claim, or for the next step
        f"attempts {whole} NOT NULL",
        f"send_after {real}",
        f"expires {real}",
        f"queued_at {real} NOT NULL",
        f"started_at {real}",  # of the last attempt
        f"ended_at {real}",
        f"message_at {real}",  # when the attempt began that sent the message itself, whatever follows it
        f"accepted_at {real}",  # when that was known
        "error TEXT",
        f"error_status {whole}",
        "evidence TEXT",
        f"seen {whole} NOT NULL",  # 1 if our own message hook has shown the message of the last attempt
    )
    made = (
        "CREATE TABLE landbot_about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        # The account to whose customers it writes; empty in a file, which belongs to one account.
        f"CREATE TABLE landbot_outbox (id {number}, name TEXT NOT NULL UNIQUE, account TEXT NOT NULL)",
        f"CREATE TABLE landbot_message ({', '.join(columns)})",
        "CREATE UNIQUE INDEX landbot_message_key ON landbot_message (outbox, key)",
        "CREATE INDEX landbot_message_state ON landbot_message (outbox, state, number)",
        "CREATE INDEX landbot_message_customer ON landbot_message (outbox, customer, state, number)",
        "CREATE INDEX landbot_message_due ON landbot_message (outbox, send_after, number) WHERE state = 'waiting'",
        "CREATE INDEX landbot_message_expires ON landbot_message (outbox, expires) WHERE expires IS NOT NULL",
        "CREATE INDEX landbot_message_day ON landbot_message (outbox, message_at, customer) WHERE message_at NOTNULL",
    )
    return tuple(map(dialect.adapted, made))


_OF_CUSTOMER: Final = "state || ''"


def states_in(states: Iterable[State], column: str = "state") -> str:
    """Return the condition that a message is in one of these states."""
    return f"{column} IN (" + ", ".join(f"'{state}'" for state in states) + ")"


def _move(name: str, *changes: str, column: str = "state") -> str:
    """Return an UPDATE that makes a move of the table in `states`, from its origins only."""
    move = MOVES[name]
    settings = ", ".join((f"state = '{move.target}'", *changes))
    return f"UPDATE landbot_message SET {settings} WHERE {states_in(move.origins, column)}"


def _marks(how_many: int) -> str:
    return ", ".join("?" * how_many)


BEGIN: Final = "BEGIN IMMEDIATE"
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"

_ONE: Final = " AND number = ?"
_FENCED: Final = " AND number = ? AND claim = ?"
_CLEAN: Final = ("ended_at = NULL", "error = NULL", "error_status = NULL", "evidence = NULL")

# What the file is about

ABOUT: Final = "SELECT name, value FROM landbot_about"
SET_ABOUT: Final = "INSERT INTO landbot_about VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
FIND_OUTBOX: Final = "SELECT id, account FROM landbot_outbox WHERE name = ?"
ADD_OUTBOX: Final = "INSERT INTO landbot_outbox (name, account) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
CLEAR: Final = "DELETE FROM landbot_message WHERE outbox = ?"

# Adding

# Rows in one INSERT. SQLite takes 32,766 values in a statement.
_ROWS: Final = 500
_COLUMNS: Final = {
    "outbox": "bigint",
    "key": "text",
    "customer": "bigint",
    "kind": "text",
    "digest": "bytea",
    "content": "text",
    "state": "text",
    "send_after": "float8",
    "expires": "float8",
    "queued_at": "float8",
    "note": "text",
}
_ROW: Final = f"({_marks(len(_COLUMNS))}, 0, 0, 0, 0)"
_ARRAYS: Final = (
    f"SELECT {', '.join(_COLUMNS)}, 0, 0, 0, 0 FROM unnest({', '.join(f'?::{each}[]' for each in _COLUMNS.values())})"
    f" AS new ({', '.join(_COLUMNS)})"
)
# A message whose key is known is left out.
ADDING: Final = "INSERT INTO landbot_message "
_ADD: Final = (
    f"{ADDING}({', '.join(_COLUMNS)}, step, claim, attempts, seen) {{rows}} ON CONFLICT (outbox, key) DO NOTHING"
)


def add(dialect: Dialect, rows: Sequence[Sequence[object]]) -> Iterator[tuple[str, Sequence[object]]]:
    """Yield statements that insert messages, with their values."""
    if dialect.arrays:
        yield _ADD.format(rows=_ARRAYS), [list(column) for column in zip(*rows, strict=True)]
        return
    for first in range(0, len(rows), _ROWS):
        part = rows[first : first + _ROWS]
        marks = ", ".join([_ROW] * len(part))
        yield _ADD.format(rows=f"VALUES {marks}"), [value for row in part for value in row]


# `OFFSET` has Postgres look each one up in the index, also while it knows nothing of the table. Otherwise it compares
# all messages with all that are asked for.
_KNOWN_KEYS: Final = (
    "SELECT key, digest FROM unnest(?::text[]) AS wanted (key) CROSS JOIN LATERAL"
    " (SELECT digest FROM landbot_message WHERE outbox = ? AND key = wanted.key OFFSET 0) AS known"
)
_WITH_OPEN_MESSAGES: Final = (
    "SELECT customer FROM unnest(?::bigint[]) AS wanted (customer) CROSS JOIN LATERAL"
    " (SELECT 1 FROM landbot_message WHERE outbox = ? AND customer = wanted.customer"
    f" AND {states_in(OPEN, _OF_CUSTOMER)} OFFSET 0) AS opened"
)


def known_keys(dialect: Dialect, outbox: int, keys: Sequence[str]) -> tuple[str, Sequence[object]]:
    """Return the question which of these keys are in the journal, and its values."""
    if dialect.arrays:
        return _KNOWN_KEYS, (list(keys), outbox)
    return f"SELECT key, digest FROM landbot_message WHERE outbox = ? AND key IN ({_marks(len(keys))})", (outbox, *keys)


def with_open_messages(dialect: Dialect, outbox: int, customers: Sequence[int]) -> tuple[str, Sequence[object]]:
    """Return the question which of these customers have a message that is ready, taken or sending, and its values."""
    if dialect.arrays:
        return _WITH_OPEN_MESSAGES, (list(customers), outbox)
    question = f"SELECT DISTINCT customer FROM landbot_message WHERE outbox = ? AND {states_in(OPEN, _OF_CUSTOMER)}"
    return f"{question} AND customer IN ({_marks(len(customers))})", (outbox, *customers)


# Choosing

DUE: Final = (
    "SELECT number, customer FROM landbot_message WHERE outbox = ? AND state = 'waiting' AND send_after <= ?"
    " ORDER BY send_after, number LIMIT ?"
)
MAKE_DUE: Final = _move("due") + _ONE
NEXT_DUE: Final = "SELECT min(send_after) FROM landbot_message WHERE outbox = ? AND state = 'waiting'"
PASS_OVER: Final = _move("passed over", column=_OF_CUSTOMER) + " AND outbox = ? AND customer = ?"
_CUSTOMERS: Final = "FROM landbot_message WHERE outbox = ? AND customer = ? AND"
ELECT: Final = _move("elected") + (
    f" AND number = (SELECT min(number) {_CUSTOMERS} {states_in([State.BEHIND], _OF_CUSTOMER)})"
    f" AND NOT EXISTS (SELECT 1 {_CUSTOMERS} {states_in([State.TAKEN, State.SENDING], _OF_CUSTOMER)})"
)
_CANDIDATE: Final = "SELECT number, claim, key, customer, content, step, expires FROM landbot_message"
READY: Final = _CANDIDATE + " WHERE outbox = ? AND state BETWEEN 'ready' AND 'ready' ORDER BY state, number LIMIT 1"
CLAIM: Final = _move("claimed", "claim = claim + 1", "taken_at = ?") + _ONE
OVERDUE: Final = (
    "SELECT number, customer FROM landbot_message WHERE outbox = ? AND expires <= ? AND step = 0"
    f" AND {states_in(QUEUED)} LIMIT ?"
)
EXPIRE: Final = _move("expired", "ended_at = ?") + _ONE
SET_EXPIRY: Final = f"UPDATE landbot_message SET expires = ? WHERE outbox = ? AND {states_in(QUEUED)}"

# At most so many customers a day

_CONTACTED: Final = "(message_at > ? OR (step = 0 AND state IN ('sending', 'unknown') AND started_at > ?))"
IS_CONTACTED: Final = f"SELECT 1 FROM landbot_message WHERE outbox = ? AND customer = ? AND {_CONTACTED} LIMIT 1"
READY_AND_CONTACTED: Final = (
    f"{_CANDIDATE} AS candidate WHERE outbox = ? AND state = 'ready' AND EXISTS (SELECT 1 FROM landbot_message WHERE"
    f" outbox = candidate.outbox AND customer = candidate.customer AND {_CONTACTED}) ORDER BY number LIMIT 1"
)
# With those who are getting one now.
COUNT_CONTACTED: Final = (
    "SELECT count(DISTINCT customer) FROM (SELECT customer FROM landbot_message WHERE outbox = ? AND message_at > ?"
    " UNION ALL SELECT customer FROM landbot_message WHERE outbox = ? AND step = 0"
    " AND state IN ('taken', 'sending', 'unknown')"
    " AND CASE state WHEN 'taken' THEN taken_at ELSE started_at END > ?) AS contacted"
)

# An attempt

MARK: Final = (
    _move(
        "marked",
        "started_at = ?",
        "attempts = attempts + 1",
        "seen = CASE WHEN step = 0 THEN 0 ELSE seen END",
        "accepted_at = CASE WHEN step = 0 THEN NULL ELSE accepted_at END",
    )
    + _FENCED
)
_REACHED: Final = (
    "message_at = CASE WHEN step = 0 THEN started_at ELSE message_at END",
    "accepted_at = CASE WHEN step = 0 THEN ? ELSE accepted_at END",
)
NEXT_STEP: Final = _move("next step", *_REACHED, "step = step + 1", "taken_at = ?") + _FENCED + " AND step = ?"
SENT: Final = _move("sent", *_REACHED, "ended_at = ?", "evidence = ?", "error = NULL", "error_status = NULL") + _FENCED
FAILED: Final = _move("failed", "ended_at = ?", "error = ?", "error_status = ?") + _FENCED
LOST: Final = _move("lost", "ended_at = ?", "error = ?", "error_status = ?") + _FENCED
NOT_SENT: Final = _move("not sent", *_CLEAN) + _FENCED
EXPIRED: Final = _move("expired", "ended_at = ?") + _FENCED
LEFT: Final = (
    "SELECT number, claim, customer, state FROM landbot_message WHERE outbox = ? AND state IN ('taken', 'sending')"
    " AND CASE state WHEN 'taken' THEN taken_at ELSE started_at END < ?"
)

# Evidence

# Hidden from the index of the day, which would be walked through as a whole.
_WAS_SENT: Final = "coalesce(message_at, 0) <> 0"
FOUND: Final = (
    _move("found", *_REACHED, "ended_at = ?", "evidence = ?", "error = NULL", "error_status = NULL") + _FENCED
)
FOUND_WITH_MORE_TO_DO: Final = _move("absent", *_REACHED, "step = step + 1", *_CLEAN) + _FENCED
ABSENT: Final = _move("absent", *_CLEAN) + _FENCED
_EVIDENCE: Final = (
    "SELECT number, outbox, claim, customer, kind, content, step, state, started_at, message_at, accepted_at,"
    " evidence FROM landbot_message"
)
KEPT: Final = _EVIDENCE + " WHERE number = ?"
KEPT_OF: Final = _EVIDENCE + " WHERE outbox = ? AND key = ?"
UNKNOWN: Final = _EVIDENCE + " WHERE outbox = ? AND state = 'unknown' AND number > ? ORDER BY number LIMIT ?"
# All of the account: they send to the same customers.
_OUTBOXES: Final = (
    "outbox IN (SELECT id FROM landbot_outbox WHERE account = (SELECT account FROM landbot_outbox WHERE id = ?))"
)
_OPEN_TO_DOUBT: Final = "step = 0 AND state IN ('sending', 'unknown')"
# Rows are locked by number, so that two processes do not wait for each other.
UNSEEN: Final = (
    f"{_EVIDENCE} WHERE {_OUTBOXES} AND customer = ? AND content IS NOT NULL AND seen = 0 AND"
    f" (message_at BETWEEN ? AND ? OR ({_OPEN_TO_DOUBT} AND started_at BETWEEN ? AND ?)) ORDER BY number{_FOR_UPDATE}"
)
SEE: Final = (
    "UPDATE landbot_message SET seen = 1, accepted_at = coalesce(accepted_at, ?) WHERE number = ? AND claim = ?"
)
IS_SEEN: Final = "SELECT 1 FROM landbot_message WHERE number = ? AND claim = ? AND step = 0 AND seen = 1"
INVOLVED: Final = (
    f"{_EVIDENCE} WHERE {_OUTBOXES} AND customer = ? AND content IS NOT NULL"
    f" AND ({_WAS_SENT} OR ({_OPEN_TO_DOUBT})) ORDER BY number"
)
INVOLVED_LOCKED: Final = INVOLVED + _FOR_UPDATE
FORGOTTEN: Final = (
    f"SELECT 1 FROM landbot_message WHERE {_OUTBOXES} AND customer = ? AND content IS NULL AND"
    " coalesce(message_at, 0) BETWEEN ? AND ? LIMIT 1"
)
_WITNESS: Final = f"{_EVIDENCE} WHERE outbox = ? AND kind = ? AND content IS NOT NULL AND {_WAS_SENT} AND number"
WITNESSES_BEFORE: Final = f"{_WITNESS} < ? ORDER BY number DESC LIMIT ?"
WITNESSES_AFTER: Final = f"{_WITNESS} > ? ORDER BY number LIMIT ?"

# By people

_CANCEL: Final = _move("cancelled", "ended_at = ?") + " AND step = 0"
CANCEL: Final = _CANCEL + _ONE
CANCEL_ALL: Final = _CANCEL + " AND outbox = ?"
# Only what follows the message is cancelled. The customer has it, and "cancelled" would tell that nothing was sent.
_CUT_SHORT: Final = _move("cut short", "ended_at = ?", "evidence = 'answer'") + " AND step > 0"
CUT_SHORT: Final = _CUT_SHORT + _ONE
CUT_ALL_SHORT: Final = _CUT_SHORT + " AND outbox = ?"
_TO_RETRY: Final = (
    "SELECT number, customer FROM landbot_message WHERE outbox = ? AND state = 'failed' AND content IS NOT NULL"
)
_NEXT: Final = " AND number > ? ORDER BY number LIMIT ?"
TO_RETRY: Final = _TO_RETRY + _NEXT
TO_RETRY_OF: Final = f"{_TO_RETRY} AND error_status = ?{_NEXT}"
RETRY: Final = _move("retried", *_CLEAN) + _ONE
FORGET: Final = (
    f"UPDATE landbot_message SET content = NULL, note = NULL, error = NULL WHERE outbox = ? AND {states_in(ENDED)}"
    " AND content IS NOT NULL"
)
FORGET_BEFORE: Final = FORGET + " AND ended_at < ?"

# Looking

COUNTS: Final = "SELECT state, count(*) FROM landbot_message WHERE outbox = ? GROUP BY state"
_RECEIPT: Final = (
    "SELECT number, key, customer, state, attempts, queued_at, started_at, ended_at, error, evidence, note"
    " FROM landbot_message"
)
BEGUN: Final = "SELECT min(message_at) FROM landbot_message WHERE outbox = ? AND message_at NOTNULL"
SENT_AFTER: Final = (
    "SELECT count(*) FROM (SELECT ended_at FROM landbot_message WHERE outbox = ? AND state = 'sent'"
    " ORDER BY number DESC LIMIT ?) AS newest WHERE ended_at > ?"
)
RECEIPT: Final = _RECEIPT + " WHERE number = ?"
RECEIPT_OF: Final = _RECEIPT + " WHERE outbox = ? AND key = ?"


def receipts(states: Iterable[State]) -> str:
    """Return the question for a page of receipts of messages in these states."""
    return f"{_RECEIPT} WHERE outbox = ? AND number > ? AND {states_in(states)} ORDER BY number LIMIT ?"
