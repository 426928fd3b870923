"""Local worker processes: they stop when they are told to, and when their parent is gone."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any

Tick = Callable[[], None]
"""Called by a task after each unit of its work; raises `Stopped` when the task should end."""

_ONE_THREAD = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MOST_DEATHS = 2


class Stopped(Exception):
    """The parent wants a task to end."""


def run_tasks(
    function: Callable[..., None],
    tasks: Sequence[tuple[Any, ...]],
    workers: int,
    progress: Callable[[int], None],
) -> None:
    """Run `function(*task, tick)` for every task, in this process or in several.

    Parameters
    ----------
    function : callable
        Importable by name. Its last argument is a `Tick`.
    tasks : sequence of tuples
        Arguments, picklable. A task may be run again from its beginning if a worker dies.
    workers : int
        Processes at most; with one, or one task, everything runs in this process.
    progress : callable
        Given the number of ticks since its last call.

    Raises
    ------
    RuntimeError
        If workers die three times.
    """
    if min(workers, len(tasks)) <= 1:
        for task in tasks:
            function(*task, lambda: progress(1))
        return
    pending = dict(enumerate(tasks))
    for death in range(_MOST_DEATHS + 1):
        try:
            _run_pool(function, pending, min(workers, len(pending)), progress)
            return
        except BrokenProcessPool:
            if death < _MOST_DEATHS:
                print(f"a worker process died; {len(pending)} shards are done again", file=sys.stderr)
    raise RuntimeError(
        f"worker processes died {_MOST_DEATHS + 1} times, out of memory perhaps; try fewer workers"
    )


def _run_pool(
    function: Callable[..., None],
    pending: dict[int, tuple[Any, ...]],
    workers: int,
    progress: Callable[[int], None],
) -> None:
    """Run the pending tasks, taking each out of `pending` when it is done."""
    context = multiprocessing.get_context("spawn")
    stop, ticks = context.Event(), context.Value("q", 0)
    with (
        _one_thread_each(),
        ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(stop, ticks)) as pool,
    ):
        futures: dict[Future[None], int] = {}
        seen = 0
        try:
            with _interrupts_held():  # workers inherit it: they leave interrupts to this process
                for number, task in pending.items():
                    futures[pool.submit(_run_task, function, task)] = number
            while futures:
                done, _ = wait(futures, timeout=0.1, return_when=FIRST_COMPLETED)
                now = ticks.value
                progress(now - seen)
                seen = now
                for future in done:
                    future.result()
                    del pending[futures.pop(future)]
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep SIGINT back; one that came meanwhile is delivered at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Environment in which workers start with one thread for Numba and BLAS."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_stop: Any = None
_ticks: Any = None
_busy = False


class _Terminated(BaseException):
    """SIGTERM reached a worker in the middle of a task: the task cleans up, then the worker ends."""


def _begin(stop: Any, ticks: Any) -> None:
    """Start of a worker: end when it is told to, and when its parent is gone."""
    global _stop, _ticks  # a pool's initializer has nowhere else to leave things
    _stop, _ticks = stop, ticks
    signal.signal(signal.SIGTERM, _terminate)
    end_with_parent()


def _terminate(*_: object) -> None:
    if _busy:
        raise _Terminated
    os._exit(1)


def end_with_parent() -> None:
    """From now on, end this process as soon as the one that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _run_task(function: Callable[..., None], task: tuple[Any, ...]) -> None:
    global _busy

    def tick() -> None:
        if _stop.is_set():
            raise Stopped
        with _ticks.get_lock():
            _ticks.value += 1

    _busy = True
    try:
        function(*task, tick)
    except _Terminated:
        os._exit(1)
    finally:
        _busy = False
