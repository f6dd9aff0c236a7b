"""The limit and the claims that several processes share, in Redis or Valkey. Extra `[redis]`.

Redis from 6.2 on, Valkey, and clusters of either. A client that is passed in may be of redis-py's asyncio classes (on
asyncio only) or of its blocking ones, which are called in threads; so are those that a URL makes. Each command has a
time limit of its own.

    client = redis.asyncio.Redis.from_url(…)
    landbot = AsyncLandbot(limiter=RedisTokenBucket(client, key=limiter_key(token, base_url)))
    inbox = Inbox(hook_token, claims=RedisClaims(client))

See docs/deployment.md.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from string import Template
from typing import Any, Final, Literal

from ._core.arguments import methods
from ._core.errors import ConfigurationError
from ._core.extras import extra_required
from ._core.secret import Secret
from ._core.shared_limiter import (
    CONSTANTS,
    DEADLINE,
    Operation,
    SharedTicket,
    SharedTokenBucket,
    limiter_key,
    store_key,
)
from ._core.shared_store import StoreAwayError, Turns, in_thread, on_asyncio
from .webhooks.shared_claims import DEADLINE as CLAIMS_DEADLINE
from .webhooks.shared_claims import Operation as ClaimOperation
from .webhooks.shared_claims import SharedClaims

with extra_required("landbot_async.redis", "redis"):
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import (
        AuthenticationError,
        AuthorizationError,
        NoPermissionError,
        NoScriptError,
        RedisError,
    )
    from redis.retry import Retry

__all__ = ["RedisClaims", "RedisTokenBucket", "SharedTicket", "limiter_key"]

# Calls at a time, for each bucket or memory of claims. A client makes a connection for each.
_CONNECTIONS: Final = 4

# One limit is one hash. Times are whole microseconds of the server's clock. `shared_limiter.Operation` and `Outcome`
# tell what goes in and out. The same algorithm stands in postgres/statements.py and in tests/shared/model.py.
LIMIT: Final = """
local operation = ARGV[1]
local rate, per, known = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local first, second = tonumber(ARGV[5]), tonumber(ARGV[6])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local gap = per / rate

-- What is known
local names = {'rate', 'per', 'seen', 'next', 'paused', 'learned', 'count', 'margin', 'starts'}
local values = redis.call('HMGET', KEYS[1], unpack(names))
local it = {rate = rate, per = per, seen = now, next = 0, paused = 0, learned = 0, count = 0, margin = $LEAST_MARGIN}
local starts = {}
if values[1] then
  for index = 1, #names - 1 do it[names[index]] = tonumber(values[index]) end
  for start in string.gmatch(values[#names], '%d+') do starts[#starts + 1] = tonumber(start) end
  if it.rate ~= rate or it.per ~= per then return {2, it.rate, it.per, 0} end
end
-- The clock went back: so do all times, or nobody would start until it is there again.
local back = math.max(0, it.seen - now)
it.seen, it.next, it.paused, it.learned = now, it.next - back, it.paused - back, it.learned - back
for index = 1, #starts do starts[index] = starts[index] - back end
-- Starts were forgotten.
if known > it.count then
  it.count, it.paused = known, math.max(it.paused, now + per)
end

local function earliest()
  local at = math.max(now, it.paused)
  if #starts > 0 then at = math.max(at, starts[#starts] + gap * $GAP_SHARE) end
  if #starts == rate then at = math.max(at, starts[1] + per * (1 + $WINDOW_SHARE * it.margin)) end
  return math.ceil(at)
end
local function reserve(at)
  local slot = math.max(at, it.next)
  it.next = math.ceil(slot + gap * (1 + it.margin))
  return slot - now
end
local function count(at)
  starts[#starts + 1] = at
  table.sort(starts)
  if #starts > rate then table.remove(starts, 1) end
end
local function uncount(at)
  for index = 1, #starts do
    if starts[index] == at then return table.remove(starts, index) end
  end
end

local outcome, wait, start = 0, 0, 0
if operation == 'reserve' then
  wait = reserve(math.max(now, it.paused))
elseif operation == 'confirm' then
  local at = math.max(earliest(), now + first)
  if at <= now + $AHEAD then
    outcome, wait, start = 1, at - now, at
    count(at)
    it.count = it.count + 1
    it.margin = it.margin - $NARROW * (it.margin - $LEAST_MARGIN)
  elseif at - now <= gap then
    wait = at - now
  else
    wait = reserve(at)
  end
elseif operation == 'renew' then
  if now < first + per and now >= it.paused then
    outcome, start = 1, now
    uncount(first)
    count(now)
  else
    outcome = 3
  end
elseif operation == 'written' then
  outcome, start = 1, now - second
  uncount(first)
  count(start)
else
  local echo = now < it.paused
  if second > 0 then echo = second <= it.learned end
  if not echo then
    it.learned = now
    it.margin = math.min($MOST_MARGIN, it.margin + math.max($WIDEN, $WIDEN_SHARE * it.margin))
  end
  it.paused = math.max(it.paused, now + first)
  if #starts > 0 then wait = math.max(0, starts[#starts] - now) end
end

-- What is known now
for index = 1, #starts do starts[index] = string.format('%.0f', starts[index]) end
local fields = {'margin', string.format('%.17g', it.margin), 'starts', table.concat(starts, ' ')}
for index = 1, #names - 2 do
  fields[#fields + 1] = names[index]
  fields[#fields + 1] = string.format('%.0f', it[names[index]])
end
redis.call('HSET', KEYS[1], unpack(fields))
local kept = math.max(now, it.next, it.paused) - now + 2 * per + $KEPT
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(kept / 1000)))
return {outcome, wait, start, it.count}
"""

# The keys of one message: `seen`, or the process that holds them.
CLAIMS: Final = """
local operation, owner, milliseconds = ARGV[1], ARGV[2], ARGV[3]
local held = 0
for _, key in ipairs(KEYS) do
  local value = redis.call('GET', key)
  if operation == 'claim' then
    if value == 'seen' then return 2 end
    if value then held = 1 end
  elseif operation == 'keep' then
    redis.call('SET', key, 'seen', 'PX', milliseconds)
  elseif value == owner then
    redis.call('DEL', key)
  end
end
if operation == 'claim' and held == 0 then
  for _, key in ipairs(KEYS) do redis.call('SET', key, owner, 'PX', milliseconds) end
end
return held
"""


class RedisTokenBucket(SharedTokenBucket):
    """At most `rate` starts in any stretch of `per` seconds, in all processes that use the same Redis and key.

    First come, first served within a process, and fair between processes. It connects when it is first used, works
    without `async with`, and belongs to the event loop of its first use.

    Args:
        client_or_url: a client of redis-py, which is never closed, or a URL such as `redis://127.0.0.1:6379/0`.
        key: the name of the limit, one for each token and API: `limiter_key(token, base_url)`.
        rate: starts allowed in a window, a whole number up to 1,000.
        per: the window, in seconds.
        on_store_error: `"raise"` a `LimiterError` within half a second while Redis is away, which suits web handlers;
            or `"wait"` until it is back, which suits batch jobs.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range, or the URL is none of Redis.
    """

    def __init__(
        self,
        client_or_url: Any,
        *,
        key: str,
        rate: int = 10,
        per: float = 1.0,
        on_store_error: Literal["raise", "wait"] = "raise",
    ) -> None:
        given, client_or_url = Secret(client_or_url), None  # no frame of a traceback shows a password in it
        super().__init__(_Limits(given, key), rate=rate, per=per, on_store_error=on_store_error)


class RedisClaims(SharedClaims):
    """A memory of messages that the inboxes of several processes share: `Inbox(token, claims=RedisClaims(client))`.

    It connects when it is first used, and works without `async with`.

    Args:
        client_or_url: a client of redis-py, which is never closed, or a URL such as `redis://127.0.0.1:6379/0`.
        key: the name of the memory. Programs that each have to handle the same messages need a name of their own.

    Raises:
        TypeError, ValueError: an argument cannot be right.
    """

    def __init__(self, client_or_url: Any, *, key: str = "inbox") -> None:
        given, client_or_url = Secret(client_or_url), None  # as above
        super().__init__(_ClaimStore(given), f"landbot:{{{store_key(key)}}}:")


class _ClaimStore:
    """Claims in Redis, as `SharedClaims` needs them."""

    def __init__(self, given: Secret) -> None:
        self._client = _Client(given, CLAIMS_DEADLINE)

    async def ask(self, operation: ClaimOperation, keys: Sequence[bytes], owner: str, seconds: float) -> int:
        """Return the outcome."""
        return int(await self._client.run(_CLAIM, keys, operation, owner, max(1, round(seconds * 1000))))

    async def aclose(self) -> None:
        """Close the connections made for a URL."""
        await self._client.aclose()


class _Limits:
    """Limits in Redis, as `SharedTokenBucket` needs them."""

    def __init__(self, given: Secret, key: str) -> None:
        self._key = f"landbot:{{{store_key(key)}}}:limit"
        self._client = _Client(given, DEADLINE)

    async def ask(self, operation: Operation, *numbers: int) -> Sequence[int]:
        """Return the four numbers of the outcome."""
        reply: Sequence[int] = await self._client.run(_LIMIT, [self._key], operation, *numbers)
        return reply

    async def aclose(self) -> None:
        """Close the connections made for a URL."""
        await self._client.aclose()


class _Script:
    """A Lua script, and the digest by which a server that has it knows it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


_LIMIT: Final = _Script(Template(LIMIT).substitute(CONSTANTS))
_CLAIM: Final = _Script(CLAIMS)


class _Client:
    """A client of redis-py, of either kind, whose commands have a time limit of `seconds`."""

    def __init__(self, given: Secret, seconds: float) -> None:
        self._own: Redis | None = _connected_to(given, seconds) if isinstance(given.reveal(), str) else None
        self._client: Any = given.reveal() if self._own is None else self._own
        if self._client is None:
            raise TypeError("client_or_url must be a client of redis-py or a URL, not None")
        methods("client_or_url", self._client, "eval", "evalsha", "execute_command")
        self._is_async = inspect.iscoroutinefunction(self._client.execute_command)
        self._turns = Turns(_CONNECTIONS, seconds)

    async def run(self, script: _Script, keys: Sequence[str | bytes], *arguments: str | int) -> Any:
        """Return the result of a script.

        Raises:
            StoreAwayError: the server is away, or cannot run it now.
            ConfigurationError: the server refuses this user, or the client cannot be used on this event loop.
        """
        if self._is_async and not on_asyncio():
            raise ConfigurationError(
                "An asyncio client of redis-py cannot be used on trio: pass a redis.Redis, or a URL."
            )
        evaluate = self._evaluate_async if self._is_async else self._evaluate_in_thread
        try:
            return await self._turns.call(evaluate, script, keys, arguments)
        except (AuthenticationError, AuthorizationError, NoPermissionError) as error:
            raise ConfigurationError(
                f"Redis refuses this user ({type(error).__name__}): check its name, password and rights."
            ) from error
        except (RedisError, OSError) as error:
            raise StoreAwayError(f"Redis: {type(error).__name__}") from error

    async def aclose(self) -> None:
        """Close the connections made for a URL."""
        if self._own is not None:
            self._own.close()

    async def _evaluate_async(self, script: _Script, keys: Sequence[str], arguments: Sequence[str]) -> Any:
        try:
            return await self._client.evalsha(script.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self._client.eval(script.text, len(keys), *keys, *arguments)

    async def _evaluate_in_thread(self, *arguments: Any) -> Any:
        return await in_thread(self._evaluate, *arguments)

    def _evaluate(self, script: _Script, keys: Sequence[str], arguments: Sequence[str]) -> Any:
        try:
            return self._client.evalsha(script.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return self._client.eval(script.text, len(keys), *keys, *arguments)


def _connected_to(url: Secret, seconds: float) -> Redis:
    try:
        # One more attempt, because a connection that was not used for long may have been cut.
        return Redis.from_url(
            url.reveal(), socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 1)
        )
    except ValueError:
        pass  # its text may show a part of the password
    raise ValueError("client_or_url must be a client, or a URL such as redis://127.0.0.1:6379/0")
