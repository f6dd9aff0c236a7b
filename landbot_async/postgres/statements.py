"""Every statement for Postgres: the limit and the claims that several processes share."""

from __future__ import annotations

from string import Template
from typing import Final

from landbot_async._core.shared_limiter import CONSTANTS

VERSION: Final = 1
"""The version of tables and functions."""

# The same algorithm stands in landbot_async/redis.py and in tests/shared/model.py. Times are whole microseconds of the
# server's clock, which is read once the row is locked. Losing the last moments in a crash is detected, so a commit need
# not wait for the disk. A row that is changed ten times a second finds room for its next version on its own page.
LIMIT: Final = """
CREATE TABLE landbot_limits (
  key text PRIMARY KEY,
  rate integer NOT NULL,
  per bigint NOT NULL,
  seen bigint NOT NULL,
  next bigint NOT NULL DEFAULT 0,
  paused bigint NOT NULL DEFAULT 0,
  learned bigint NOT NULL DEFAULT 0,
  total bigint NOT NULL DEFAULT 0,
  margin float8 NOT NULL DEFAULT $LEAST_MARGIN,
  starts bigint[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 10);

CREATE FUNCTION landbot_limit(
  operation text, name text, its_rate integer, its_per bigint, known bigint, first bigint, second bigint,
  OUT outcome bigint, OUT wait bigint, OUT start bigint, OUT count bigint
) LANGUAGE plpgsql AS $$$$
DECLARE
  it landbot_limits%ROWTYPE;
  gap float8 := its_per::float8 / its_rate;
  moment bigint;
  back bigint;
  place integer;
  slot bigint;
  earliest float8;
  echo boolean;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  LOOP
    SELECT * INTO it FROM landbot_limits WHERE key = name FOR UPDATE;
    EXIT WHEN FOUND;
    INSERT INTO landbot_limits (key, rate, per, seen) VALUES (name, its_rate, its_per, 0) ON CONFLICT DO NOTHING;
  END LOOP;
  moment := floor(extract(epoch FROM clock_timestamp()) * 1000000);

  IF moment > greatest(it.seen, it.next, it.paused) + 2 * its_per + $KEPT THEN
    -- Nobody has used it for long, or it is new.
    it.rate := its_rate;
    it.per := its_per;
    it.seen := moment;
    it.next := 0;
    it.paused := 0;
    it.learned := 0;
    it.total := 0;
    it.margin := $LEAST_MARGIN;
    it.starts := '{}';
  ELSIF it.rate <> its_rate OR it.per <> its_per THEN
    outcome := 2;
    wait := it.rate;
    start := it.per;
    count := 0;
    RETURN;
  END IF;
  -- The clock went back: so do all times, or nobody would start until it is there again.
  back := greatest(0, it.seen - moment);
  it.seen := moment;
  it.next := it.next - back;
  it.paused := it.paused - back;
  it.learned := it.learned - back;
  it.starts := ARRAY(SELECT each - back FROM unnest(it.starts) AS each ORDER BY each);
  -- Starts were forgotten.
  IF known > it.total THEN
    it.total := known;
    it.paused := greatest(it.paused, moment + its_per);
  END IF;

  outcome := 0;
  wait := 0;
  start := 0;
  IF operation = 'reserve' THEN
    slot := greatest(moment, it.paused, it.next);
    it.next := ceil(slot + gap * (1 + it.margin));
    wait := slot - moment;
  ELSIF operation = 'confirm' THEN
    earliest := greatest(moment + first, it.paused);
    IF cardinality(it.starts) > 0 THEN
      earliest := greatest(earliest, it.starts[cardinality(it.starts)] + gap * $GAP_SHARE);
    END IF;
    IF cardinality(it.starts) = its_rate THEN
      earliest := greatest(earliest, it.starts[1] + its_per * (1 + $WINDOW_SHARE * it.margin));
    END IF;
    earliest := ceil(earliest);
    IF earliest <= moment + $AHEAD THEN
      outcome := 1;
      wait := earliest - moment;
      start := earliest;
      it.total := it.total + 1;
      it.margin := it.margin - $NARROW * (it.margin - $LEAST_MARGIN);
    ELSIF earliest - moment <= gap THEN
      wait := earliest - moment;
    ELSE
      slot := greatest(earliest, it.next);
      it.next := ceil(slot + gap * (1 + it.margin));
      wait := slot - moment;
    END IF;
  ELSIF operation = 'renew' THEN
    IF moment < first + its_per AND moment >= it.paused THEN
      outcome := 1;
      start := moment;
    ELSE
      outcome := 3;
    END IF;
  ELSIF operation = 'written' THEN
    outcome := 1;
    start := moment - second;
  ELSE
    echo := CASE WHEN second > 0 THEN second <= it.learned ELSE moment < it.paused END;
    IF NOT echo THEN
      it.learned := moment;
      it.margin := least($MOST_MARGIN, it.margin + greatest($WIDEN, $WIDEN_SHARE * it.margin));
    END IF;
    it.paused := greatest(it.paused, moment + first);
    wait := greatest(0, coalesce(it.starts[cardinality(it.starts)], 0) - moment);
  END IF;
  IF outcome = 1 THEN
    -- A start that was counted before counts from its new time.
    IF operation <> 'confirm' AND first = ANY (it.starts) THEN
      place := array_position(it.starts, first);
      it.starts := it.starts[: place - 1] || it.starts[place + 1 :];
    END IF;
    it.starts := ARRAY(
      SELECT each FROM (SELECT unnest(it.starts || start) AS each ORDER BY each DESC LIMIT its_rate) AS last
      ORDER BY each
    );
  END IF;

  UPDATE landbot_limits SET rate = it.rate, per = it.per, seen = it.seen, next = it.next, paused = it.paused,
    learned = it.learned, total = it.total, margin = it.margin, starts = it.starts
  WHERE key = name;
  count := it.total;
END $$$$;
"""

# The keys of messages: seen, if nobody owns them, or held. Of the processes that ask for the same keys, one goes first.
CLAIMS: Final = """
CREATE TABLE landbot_claims (key bytea PRIMARY KEY, owner text, expires timestamptz NOT NULL);

CREATE INDEX landbot_claims_expires ON landbot_claims (expires);

CREATE FUNCTION landbot_claim(operation text, keys bytea[], process text, seconds float8) RETURNS integer
LANGUAGE plpgsql AS $$$$
DECLARE
  lock bigint;
  found_as integer;
BEGIN
  FOR lock IN SELECT DISTINCT hashtextextended(encode(each, 'hex'), 0) FROM unnest(keys) AS each ORDER BY 1 LOOP
    PERFORM pg_advisory_xact_lock(lock);
  END LOOP;
  IF operation = 'release' THEN
    DELETE FROM landbot_claims WHERE key = ANY (keys) AND owner = process;
    RETURN 0;
  END IF;
  IF operation = 'claim' THEN
    SELECT CASE WHEN bool_or(owner IS NULL) THEN 2 WHEN bool_or(true) THEN 1 ELSE 0 END INTO found_as
    FROM landbot_claims WHERE key = ANY (keys) AND expires > clock_timestamp();
    IF found_as > 0 THEN RETURN found_as; END IF;
  END IF;
  INSERT INTO landbot_claims (key, owner, expires)
  SELECT each, CASE operation WHEN 'claim' THEN process END, clock_timestamp() + seconds * interval '1 second'
  FROM (SELECT DISTINCT unnest(keys) AS each) AS once
  ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, expires = excluded.expires;
  -- Each claim takes a few expired ones away.
  DELETE FROM landbot_claims WHERE key IN (
    SELECT key FROM landbot_claims WHERE expires < now() ORDER BY expires LIMIT 10 FOR UPDATE SKIP LOCKED
  );
  RETURN 0;
END $$$$;
"""

VERSIONS: Final = "CREATE TABLE IF NOT EXISTS landbot_version (part text PRIMARY KEY, version integer NOT NULL)"
IS_THERE: Final = "SELECT to_regclass('landbot_version') IS NOT NULL"
VERSION_OF: Final = "SELECT version FROM landbot_version WHERE part = %s"
# One process makes the tables, and the others wait.
LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('landbot_version', 0))"
READ_COMMITTED: Final = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
READ_COMMITTED_ALWAYS: Final = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"


class Part:
    """A table with its function.

    Attributes:
        name: its name among the versions.
        statements: what makes it.
        call: the statement that calls its function.
    """

    def __init__(self, name: str, statements: str, call: str) -> None:
        self.name = name
        self.statements: str = Template(statements).substitute(CONSTANTS)
        self.call = call


LIMITS_PART: Final = Part("limits", LIMIT, "SELECT * FROM landbot_limit(%s, %s, %s, %s, %s, %s, %s)")
CLAIMS_PART: Final = Part("claims", CLAIMS, "SELECT landbot_claim(%s, %s, %s, %s)")
