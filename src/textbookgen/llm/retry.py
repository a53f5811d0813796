"""The one policy of retries: what is asked again, how often, and after how long."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from textbookgen.api.errors import TeacherBusy

#: A request that failed in passing is sent again so many times, unless the teacher has an option `retries`.
RETRIES = 6
#: The first wait is up to this, in seconds; each later one up to twice the one before, to `LONGEST_WAIT`.
FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0
#: A teacher that says it has too much to do does not use up retries, but is waited for no longer than this, in seconds.
PATIENCE = 900.0

_jitter = wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)


def turned_away(busy: TeacherBusy) -> bool:
    """Whether the teacher had too much to do (HTTP 429), and not a failure: it then names a wait, if only of 0 seconds."""
    return busy.retry_after is not None


def may_have_cost(busy: TeacherBusy) -> bool:
    """Whether the teacher may have worked, and charge for it, though its reply never came: it was cut off or too slow."""
    cause = busy.__cause__
    return isinstance(cause, TimeoutError | ConnectionError | ValueError) and not isinstance(cause, ConnectionRefusedError)


def _busy(state: RetryCallState) -> TeacherBusy | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, TeacherBusy) else None


def _wait(state: RetryCallState) -> float:
    """The teacher's own wish and up to a quarter more, so that not all come back at once; without a wish a random wait."""
    busy = _busy(state)
    wished = busy.retry_after if busy else None
    return wished * (1 + random.random() / 4) if wished else _jitter(state)


def patience(retries: int, told: Callable[[TeacherBusy], None], rest: Callable[[float], Awaitable[None]]) -> AsyncRetrying:
    """Asks again when a teacher is Busy: when the teacher said, or else after a random wait that doubles.

    `told` hears of each failure that is followed by another try, and `rest` waits so many seconds. The last failure is
    raised as it is.
    """
    failures = 0

    def stop(state: RetryCallState) -> bool:
        nonlocal failures
        busy = _busy(state)
        if busy is None or not turned_away(busy):
            failures += 1
            return failures > retries
        return (state.seconds_since_start or 0.0) + (busy.retry_after or 0.0) > PATIENCE

    def note(state: RetryCallState) -> None:
        busy = _busy(state)
        if busy is not None:
            told(busy)

    retry = retry_if_exception_type(TeacherBusy)
    return AsyncRetrying(retry=retry, stop=stop, wait=_wait, before_sleep=note, sleep=rest, reraise=True)
