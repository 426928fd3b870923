"""Tasks on a Dask cluster: `dask.distributed` brings them to its workers, and again if a worker is lost."""

import contextlib
import logging
import math
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from specksim.workers import Stopped

if TYPE_CHECKING:
    from distributed import Client

_CONNECT_SECONDS = 15
_STOP_SECONDS = 60
_LOOK_SECONDS = 1.0


@contextlib.contextmanager
def connect(address: str) -> Iterator["Client"]:
    """Client of the cluster whose scheduler is at an address.

    Raises
    ------
    RuntimeError
        If `dask.distributed` is not installed.
    OSError
        If no scheduler answers.
    ValueError
        If the address is none.
    """
    try:
        from distributed import Client
    except ImportError:
        raise RuntimeError("--scheduler needs dask.distributed: pip install 'specksim[dask]'") from None
    for name in ("distributed.client", "distributed.comm"):  # errors are told once, by what is raised
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=_CONNECT_SECONDS)
    except OSError as error:
        raise OSError(f"--scheduler {address}: no scheduler answers: {error}") from None
    with client:
        yield client


def run_tasks_on(
    client: "Client",
    function: Callable[..., None],
    tasks: Sequence[tuple[Any, ...]],
    progress: Callable[[int], None],
) -> None:
    """Run `function(*task, tick)` for every task on the workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
    function, tasks
        As in `workers.run_tasks`.
    progress : callable
        Given the number of ticks of each task that is done.

    Raises
    ------
    RuntimeError
        If the cluster loses workers over one task more often than it allows (three times by default), or is
        itself lost.

    Notes
    -----
    On any failure, an interruption among them, the tasks that run are told to stop and waited for.
    """
    from distributed import Event, KilledWorker, as_completed

    stop = Event(f"specksim-{uuid.uuid4().hex}", client=client)
    futures = [client.submit(_run_task, function, task, stop.name, pure=False) for task in tasks]
    try:
        for future in as_completed(futures):
            progress(future.result())
            future.release()  # or else its shard is done again when the worker that holds the result is lost
    except KilledWorker as error:
        _end(client, stop, futures)
        raise RuntimeError(f"the cluster lost worker after worker over one shard: {error}") from None
    except CancelledError as error:
        raise RuntimeError(f"the cluster is lost: {error}") from None
    except BaseException:
        _end(client, stop, futures)
        raise


def _end(client: "Client", stop: Any, futures: list[Any]) -> None:
    """Tell tasks to stop, and wait for those that run."""
    from distributed import wait

    with contextlib.suppress(OSError, TimeoutError):  # of a cluster that is gone, or at a very large field
        stop.set()
        wait(futures, timeout=_STOP_SECONDS)
    client.cancel(futures)


def _run_task(function: Callable[..., None], task: tuple[Any, ...], stop_name: str) -> int:
    """Run one task in a worker; the number of its ticks."""
    from distributed import Event

    stop, ticks, looked = Event(stop_name), 0, -math.inf

    def look() -> None:
        nonlocal looked
        if time.monotonic() - looked > _LOOK_SECONDS:  # a look asks the scheduler
            looked = time.monotonic()
            if stop.is_set():
                raise Stopped

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        look()

    look()
    function(*task, tick)
    return ticks
