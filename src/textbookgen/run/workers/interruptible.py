"""Run a coroutine that sends requests: the first Ctrl-C waits for the replies in flight, and waiting is reported."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from textbookgen.api.errors import TextbookgenError
from textbookgen.llm import Client

log = logging.getLogger(__name__)
Result = TypeVar("Result")

_REPORT_INTERVAL = 1.0  # seconds between two reports of what is being waited for


def run_interruptible(
    main: Coroutine[Any, Any, Result], clients: Sequence[Client], report_waiting: Callable[[str], None]
) -> Result:
    """Run a coroutine to its end in a new event loop.

    The first Ctrl-C stops the clients: no further request is sent, and the replies in flight, which are paid for, are
    received and stored. The second cancels them.

    Args:
        main: the coroutine.
        clients: the clients that it sends requests with.
        report_waiting: called every second with why requests fail, while they are being retried and none succeeds.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed, whatever became of the coroutine afterwards.
    """
    return asyncio.run(supervise(main, clients, report_waiting))


async def supervise(
    main: Coroutine[Any, Any, Result], clients: Sequence[Client], report_waiting: Callable[[str], None]
) -> Result:
    """Run a coroutine in the running event loop, with the arguments and errors of `run_interruptible`."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(main)
    reporter = asyncio.create_task(_report(clients, report_waiting))
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if interrupted:
            task.cancel()
            return
        interrupted = True
        in_flight = sum(len(client.session.in_flight) for client in {id(item.session): item for item in clients}.values())
        log.warning("interrupted: waiting for %d replies in flight; press Ctrl-C again to drop them", in_flight)
        for client in clients:
            client.stop()

    handles = threading.current_thread() is threading.main_thread()
    if handles:
        loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        result = await task
    except (TextbookgenError, asyncio.CancelledError) as error:
        if interrupted:
            raise KeyboardInterrupt from error
        raise
    finally:
        reporter.cancel()
        if handles:
            loop.remove_signal_handler(signal.SIGINT)
    if interrupted:
        raise KeyboardInterrupt
    return result


async def _report(clients: Sequence[Client], report_waiting: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(_REPORT_INTERVAL)
        waiting = [client.waiting for client in clients if client.waiting]
        if waiting:
            with suppress(Exception):  # a report must not end the run
                report_waiting(waiting[0])
