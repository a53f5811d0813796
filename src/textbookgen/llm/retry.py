"""Retry policy: which failed requests are retried, how often, and after which wait."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from textbookgen.api.errors import TeacherBusy

#: Seconds: the first wait is random between 0 and this; the range doubles with each retry.
INITIAL_BACKOFF = 0.5
#: Seconds: the upper end of the range stops growing here.
MAX_BACKOFF = 60.0
#: Seconds: how long one request waits for a rate limit in total. Such waits use up no retries.
MAX_RATE_LIMIT_WAIT = 900.0

#: Exponential backoff with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
_backoff = wait_random_exponential(multiplier=INITIAL_BACKOFF, max=MAX_BACKOFF)


def is_rate_limited(busy: TeacherBusy) -> bool:
    """Return whether the teacher rejected the request for a rate limit: it then names a wait, if only of 0 seconds."""
    return busy.retry_after is not None


def may_be_charged(busy: TeacherBusy) -> bool:
    """Return whether the provider may charge for a failed request: the reply was lost, late or unreadable."""
    cause = busy.__cause__
    return isinstance(cause, TimeoutError | ConnectionError | ValueError) and not isinstance(cause, ConnectionRefusedError)


def retry_policy(
    max_retries: int, on_retry: Callable[[TeacherBusy], None], sleep: Callable[[float], Awaitable[None]]
) -> AsyncRetrying:
    """Return a tenacity policy that retries on TeacherBusy, and raises the last failure unchanged.

    Rate-limited requests wait as long as the teacher asks, up to `MAX_RATE_LIMIT_WAIT` in total. Other failures are retried
    `max_retries` times with exponential backoff.

    Args:
        max_retries: retries after failures other than rate limits.
        on_retry: called with each failure that is followed by a retry.
        sleep: waits for a number of seconds.
    """
    failures = 0

    def stop(state: RetryCallState) -> bool:
        nonlocal failures
        busy = _failure(state)
        if busy is None or not is_rate_limited(busy):
            failures += 1
            return failures > max_retries
        return (state.seconds_since_start or 0.0) + (busy.retry_after or 0.0) > MAX_RATE_LIMIT_WAIT

    def before_sleep(state: RetryCallState) -> None:
        busy = _failure(state)
        if busy is not None:
            on_retry(busy)

    retry = retry_if_exception_type(TeacherBusy)
    return AsyncRetrying(retry=retry, stop=stop, wait=_wait, before_sleep=before_sleep, sleep=sleep, reraise=True)


def _failure(state: RetryCallState) -> TeacherBusy | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, TeacherBusy) else None


def _wait(state: RetryCallState) -> float:
    """Return the wait that the teacher asked for plus up to a quarter, to spread the retries; or else a backoff."""
    busy = _failure(state)
    retry_after = busy.retry_after if busy else None
    return retry_after * (1 + random.random() / 4) if retry_after else _backoff(state)
