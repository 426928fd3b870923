"""Worker processes: all tasks done, deaths survived, nothing left running."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from specksim.workers import Stopped, run_tasks


def write_down(path, tick):
    Path(path).write_text(str(os.getpid()))
    tick()
    tick()


def die_once(path, marker, tick):
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(3)
    write_down(path, tick)


def die(path, tick):
    with Path(path).open("a") as file:
        file.write("x")
    os._exit(3)


def fail(path, tick):
    raise ValueError(f"no good: {path}")


def wait_for_the_end(path, tick):
    if path is None:
        raise ValueError("no good")
    try:
        while True:
            tick()
            time.sleep(0.01)
    except Stopped:
        Path(path).write_text("told to stop")
        raise


def report_environment(path, tick):
    Path(path).write_text(os.environ["NUMBA_NUM_THREADS"] + os.environ["OMP_NUM_THREADS"])


def nothing(_: int) -> None:
    pass


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_run_and_every_tick_is_told(workers, tmp_path):
    paths = [tmp_path / f"{k}" for k in range(5)]
    ticks: list[int] = []
    run_tasks(write_down, [(path,) for path in paths], workers, ticks.append)
    assert all(path.exists() for path in paths)
    assert sum(ticks) == 10


def test_several_workers_are_other_processes_with_one_thread_each(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    run_tasks(report_environment, [(path,) for path in paths], 2, nothing)
    assert [path.read_text() for path in paths] == ["11", "11"]
    run_tasks(write_down, [(path,) for path in paths], 2, nothing)
    assert all(int(path.read_text()) != os.getpid() for path in paths)


@pytest.mark.parametrize(("workers", "tasks"), [(1, 3), (4, 1)])
def test_one_worker_or_one_task_stays_in_this_process(workers, tasks, tmp_path):
    run_tasks(write_down, [(tmp_path / f"{k}",) for k in range(tasks)], workers, nothing)
    assert {path.read_text() for path in tmp_path.iterdir()} == {str(os.getpid())}


def test_no_tasks_are_done_at_once():
    run_tasks(fail, [], 2, nothing)


def test_a_death_is_reported_and_the_work_done_again(tmp_path, capfd):
    paths = [tmp_path / f"{k}" for k in range(3)]
    run_tasks(die_once, [(path, tmp_path / "marker") for path in paths], 2, nothing)
    assert all(path.exists() for path in paths)
    error = capfd.readouterr().err
    assert error.count("a worker process died") == 1
    assert "done again" in error


def test_three_deaths_are_enough(tmp_path, capfd):
    with pytest.raises(RuntimeError, match=r"died 3 times.*fewer workers"):
        run_tasks(die, [(tmp_path / "a",), (tmp_path / "b",)], 2, nothing)
    assert 3 <= sum(len(path.read_text()) for path in tmp_path.iterdir()) <= 6
    assert capfd.readouterr().err.count("a worker process died") == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_in_a_task_propagates(workers, tmp_path):
    with pytest.raises(ValueError, match="no good"):
        run_tasks(fail, [("a",), ("b",)], workers, nothing)


def test_an_exception_stops_the_other_tasks(tmp_path):
    with pytest.raises(ValueError, match="no good"):
        run_tasks(wait_for_the_end, [(tmp_path / "a",), (None,)], 2, nothing)
    assert not (tmp_path / "a").exists() or (tmp_path / "a").read_text() == "told to stop"


def test_an_interruption_stops_the_tasks(tmp_path):
    def interrupt(ticks: int) -> None:
        if ticks:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tasks(wait_for_the_end, [(tmp_path / "a",), (tmp_path / "b",)], 2, interrupt)
    assert {path.read_text() for path in tmp_path.iterdir()} == {"told to stop"}


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from test_workers import nothing, wait_for_the_end
from specksim.workers import run_tasks

if __name__ == "__main__":
    run_tasks(wait_for_the_end, [({a!r},), ({b!r},)], 2, lambda ticks: ticks and print(ticks, flush=True))
"""


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "script.py"
    folder, a, b = (str(path) for path in (Path(__file__).parent, tmp_path / "a", tmp_path / "b"))
    script.write_text(SCRIPT.format(folder=folder, a=a, b=b))
    command = [sys.executable, script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()  # the workers are at work
        assert len(_members(process.pid)) >= 3
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 20
        while _members(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        left = _members(process.pid)
        for member in left:
            os.kill(member, signal.SIGKILL)
    assert not left


def _members(group: int) -> list[int]:
    """Living processes of a process group."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it ended meanwhile
            continue
        if int(pgrp) == group and state not in "ZX":
            members.append(int(stat.parent.name))
    return members
