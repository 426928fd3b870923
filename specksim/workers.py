"""Local worker processes: they stop when they are told to, and when their parent is gone.

Each worker has a pipe of its own and shares nothing else: one that is killed takes no lock with it, and its
task alone is done again.
"""

import contextlib
import importlib
import multiprocessing
import os
import pickle
import pkgutil
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from typing import Any

Tick = Callable[[], None]
"""Called by a task after each unit of its work; raises `Stopped` when the task should end."""

_ONE_THREAD = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MOST_DEATHS = 2
_TICK, _DONE = "tick", "done"


class Stopped(Exception):
    """The parent wants a task to end."""


def run_tasks(
    function: Callable[..., None],
    tasks: Sequence[tuple[Any, ...]],
    workers: int,
    progress: Callable[[int], None],
    done: Callable[[int], None] = lambda number: None,
    early: "EarlyWorkers | None" = None,
) -> None:
    """Run `function(*task, tick)` for every task, in this process or in several.

    Parameters
    ----------
    function : callable
        Importable by name. Its last argument is a `Tick`.
    tasks : sequence of tuples
        Arguments, picklable. A task is run again from its beginning, at most twice, if its worker dies.
    workers : int
        Processes at most; with one, or one task, everything runs in this process.
    progress : callable
        Given the number of ticks since its last call; less than zero when a worker died in mid-task.
    done : callable
        Given the number of each task that is done.
    early : list, optional
        Of `start_early`: workers that have started already, which are taken from it.

    Raises
    ------
    RuntimeError
        If workers die three times over one task.
    """
    wanted = min(workers, len(tasks))
    _end(early, wanted if wanted > 1 else 0)
    if wanted <= 1:
        for number, task in enumerate(tasks):
            function(*task, lambda: progress(1))
            done(number)
        return
    waiting = deque(range(len(tasks)))
    deaths: Counter[int] = Counter()
    staff: list[_Worker] = []
    try:
        while waiting or staff:
            while waiting and len(staff) < workers:
                staff.append(early.pop() if early else _start(function.__module__))
                staff[-1].give(waiting.popleft(), function, tasks)
            for worker in _with_news(staff):
                message = worker.receive()
                if message == _TICK:
                    worker.ticks += 1
                    progress(1)
                elif message == _DONE:
                    done(worker.task)
                    if waiting:
                        worker.give(waiting.popleft(), function, tasks)
                    else:
                        staff.remove(worker)
                        worker.dismiss()
                elif isinstance(message, BaseException):
                    raise message
                else:
                    staff.remove(worker)
                    progress(-worker.ticks)
                    deaths[worker.task] += 1
                    _report_death(worker, deaths[worker.task])
                    waiting.appendleft(worker.task)
    finally:
        _dismiss(staff)


def _dismiss(staff: Sequence["_Worker"]) -> None:
    """Ask all to end, then wait for each."""
    for worker in staff:
        worker.send(None)
    for worker in staff:
        worker.dismiss()


@contextlib.contextmanager
def start_early(count: int, module: str, warm_up: str) -> Iterator["EarlyWorkers"]:
    """Start workers for `run_tasks` while this process still prepares their tasks.

    Parameters
    ----------
    count : int
    module : str
        That of the tasks' function, which they import at once.
    warm_up : str
        A function, as MODULE:NAME, that the first of them calls at once.

    Yields
    ------
    list
        Of workers. Those that are still in it at the end are ended.
    """
    early = [_start(module, "" if number else warm_up) for number in range(count)]
    try:
        yield early
    finally:
        _end(early, 0)


def _end(early: "EarlyWorkers | None", but: int) -> None:
    """End all early workers but some number of them."""
    needless = early[but:] if early else []
    for worker in needless:
        worker.process.terminate()
    for worker in needless:
        worker.process.join()
    if early:
        del early[but:]


def _report_death(worker: "_Worker", deaths: int) -> None:
    """Say that a worker died; RuntimeError if it was the last that may over its task."""
    if deaths > _MOST_DEATHS:
        raise RuntimeError(
            f"worker processes died {deaths} times over one task ({worker.ending()}), out of memory "
            "perhaps; try fewer workers"
        )
    print(f"a worker process died ({worker.ending()}); its task is done again", file=sys.stderr)


@dataclass(eq=False)
class _Worker:
    """A process, this end of its pipe, the number of its task, and how often that has ticked."""

    process: Any
    pipe: connection.Connection
    task: int = -1
    ticks: int = 0

    def give(self, task: int, function: Callable[..., None], tasks: Sequence[tuple[Any, ...]]) -> None:
        """Hand over the next task."""
        self.task, self.ticks = task, 0
        self.send((function, tasks[task]))

    def send(self, message: Any) -> None:
        """Send a task, or None, which asks the worker to end."""
        with contextlib.suppress(BrokenPipeError):  # its death is news of its own
            self.pipe.send(message)

    def dismiss(self) -> None:
        """Ask the worker to end, and wait until it has."""
        self.send(None)
        self.process.join()

    def receive(self) -> Any:
        """The next message; None from a dead worker."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return None

    def ending(self) -> str:
        code = self.process.exitcode
        return f"signal {-code}" if code < 0 else f"exit status {code}"


EarlyWorkers = list[_Worker]


def _start(module: str, warm_up: str = "") -> _Worker:
    """Start a worker, which imports a module and calls a function at once."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, module, warm_up), daemon=True)
    resource_tracker.ensure_running()  # its start, within that of a process, would let SIGINT through
    with _one_thread_each(), _signals_held():  # workers inherit it: they leave interrupts to this process
        process.start()
        theirs.close()
    return _Worker(process, ours)


def _with_news(staff: Sequence[_Worker]) -> list[_Worker]:
    """Wait for workers that have something to say, or are dead."""
    ready = connection.wait([worker.pipe for worker in staff])
    return [worker for worker in staff if worker.pipe in ready]


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Keep SIGINT and SIGTERM back; what came meanwhile is delivered at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
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


# ---- in the worker ----------------------------------------------------------------------------------

_busy = _terminated = False  # for the signal's handler, which nothing can be given to


def _work(pipe: connection.Connection, module: str, warm_up: str) -> None:
    """Do what comes through the pipe, until it is None, the parent is gone, or SIGTERM came."""
    signal.signal(signal.SIGTERM, _terminate)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    end_with_parent()
    importlib.import_module(module)
    if warm_up:
        pkgutil.resolve_name(warm_up)()
    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        while not _terminated and (task := pipe.recv()) is not None:
            try:
                _run_task(task, pipe)
            except Stopped:
                break
            except Exception as error:
                pipe.send(_sendable(error))
                break
            pipe.send(_DONE)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    os._exit(int(_terminated))  # all is on the disk, and to take the interpreter down properly takes its time


def _run_task(task: tuple[Callable[..., None], tuple[Any, ...]], pipe: connection.Connection) -> None:
    global _busy

    def tick() -> None:
        if _terminated or pipe.poll():  # in the middle of a task, a message can only mean the end
            raise Stopped
        pipe.send(_TICK)

    _busy = True
    try:
        function, arguments = task
        function(*arguments, tick)
    finally:
        _busy = False


def _terminate(*_: object) -> None:
    """End now, or at the next tick of a task, which then cleans up; nothing can be raised anywhere."""
    global _terminated
    _terminated = True
    if not _busy:
        os._exit(1)


def _sendable(error: Exception) -> Exception:
    """An error as it may be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever an exception of somebody else's makes of pickling
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def end_with_parent() -> None:
    """From now on, end this process as soon as the one that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
