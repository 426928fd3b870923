"""Worker processes: all tasks done, deaths survived, nothing left running."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from specksim.workers import Stopped, run_tasks, start_early


def write_down(path, tick):
    Path(path).write_text(str(os.getpid()))
    tick()
    tick()


def die_once(path, marker, tick):
    try:
        Path(marker).touch(exist_ok=False)  # of two workers one is the first
    except FileExistsError:
        write_down(path, tick)
    else:
        tick()
        os._exit(3)


def die(path, tick):
    with Path(path).open("a") as file:
        file.write("x")
    os._exit(3)


def die_beside(path, dies, tick):
    """One dies while the other is at work; each notes how often it began."""
    with Path(path).open("a") as file:
        file.write("x")
    other = Path(path).with_name("b" if dies else "a")
    while not other.exists():
        time.sleep(0.01)
    if dies and Path(path).read_text() == "x":
        os.kill(os.getpid(), signal.SIGKILL)
    while not dies and other.read_text() == "x":
        time.sleep(0.01)


class Stubborn(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def fail_stubbornly(path, tick):
    raise Stubborn("no", "good")


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
    done: list[int] = []
    run_tasks(write_down, [(path,) for path in paths], workers, ticks.append, done.append)
    assert all(path.exists() for path in paths)
    assert sorted(done) == [0, 1, 2, 3, 4]
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
    ticks: list[int] = []
    run_tasks(fail, [], 2, ticks.append)
    assert ticks == []


def test_a_death_is_reported_and_the_work_done_again(tmp_path, capfd):
    paths = [tmp_path / f"{k}" for k in range(3)]
    ticks: list[int] = []
    run_tasks(die_once, [(path, tmp_path / "marker") for path in paths], 2, ticks.append)
    assert sum(ticks) == 6
    assert all(path.exists() for path in paths)
    error = capfd.readouterr().err
    assert error.count("a worker process died") == 1
    assert "done again" in error


def test_three_deaths_over_a_task_are_enough(tmp_path, capfd):
    with pytest.raises(RuntimeError, match=r"died 3 times over one task \(exit status 3\).*fewer workers"):
        run_tasks(die, [(tmp_path / "a",), (tmp_path / "b",)], 2, nothing)
    deaths = sorted(len(path.read_text()) for path in tmp_path.iterdir())
    assert deaths[-1] == 3
    assert capfd.readouterr().err.count("a worker process died (exit status 3)") >= 2


def test_a_long_run_survives_a_death_over_each_of_its_tasks(tmp_path, capfd):
    tasks = [(tmp_path / f"{k}", tmp_path / f"marker{k}") for k in range(4)]
    run_tasks(die_once, tasks, 2, nothing)
    assert all(path.exists() for path, _ in tasks)
    assert capfd.readouterr().err.count("its task is done again") == 4


def test_a_death_leaves_the_other_workers_at_their_work(tmp_path):
    run_tasks(die_beside, [(tmp_path / "a", True), (tmp_path / "b", False)], 2, nothing)
    assert (tmp_path / "b").read_text() == "x"


def test_an_exception_that_cannot_be_pickled_is_told_all_the_same(tmp_path):
    with pytest.raises(RuntimeError, match="Stubborn: no good"):
        run_tasks(fail_stubbornly, [(tmp_path,), (tmp_path,)], 2, nothing)


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


def be_told_to_end(path, tick):
    """The first time, SIGTERM comes in the middle of the task."""
    again = Path(path).exists()
    Path(path).write_text("begun")
    try:
        if not again:
            os.kill(os.getpid(), signal.SIGTERM)
        tick()
        Path(path).write_text("done")
    except Stopped:
        Path(f"{path}-cleaned").touch()
        raise


def test_sigterm_ends_a_worker_at_its_next_tick(tmp_path, capfd):
    run_tasks(be_told_to_end, [(tmp_path / "a",), (tmp_path / "b",)], 2, nothing)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a-cleaned", "b", "b-cleaned"]
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() == "done"
    assert capfd.readouterr().err.count("a worker process died (exit status 1)") == 2


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
        deadline = time.monotonic() + 60
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


# ---- workers that have started before there is work -------------------------------------------------


warm = False


def get_warm():
    global warm
    warm = True


def write_warmth(path, tick):
    Path(path).write_text(f"{warm} {os.getpid()}")


def fail_to_warm_up():
    raise RuntimeError("cold")


def early_workers(count, warm_up="get_warm"):
    return start_early(count, "specksim.workers", f"tests.test_workers:{warm_up}")


def test_early_workers_do_the_work_and_the_first_has_warmed_up(tmp_path):
    with early_workers(2) as early:
        expected = {f"{not number} {worker.process.pid}" for number, worker in enumerate(early)}
        run_tasks(write_warmth, [(tmp_path / name,) for name in "abcd"], 2, nothing, early=early)
        assert early == []
    assert {path.read_text() for path in tmp_path.iterdir()} <= expected


def test_early_workers_that_are_not_needed_are_ended(tmp_path):
    with early_workers(3) as early:
        processes = [worker.process for worker in early]
        run_tasks(write_down, [(tmp_path / "a",)], 2, nothing, early=early)
    assert not any(process.is_alive() for process in processes)
    processes = []
    with pytest.raises(ValueError, match="no good"):
        fail_beside(processes)
    assert len(processes) == 2
    assert not any(process.is_alive() for process in processes)


def test_early_workers_beyond_the_tasks_are_ended_before_the_work(tmp_path):
    with early_workers(3) as early:
        third = early[2].process
        run_tasks(write_down, [(tmp_path / "a",), (tmp_path / "b",)], 3, lambda _: third.join(0), early=early)
        assert not third.is_alive()


def fail_beside(processes):
    with early_workers(2) as early:
        processes += [worker.process for worker in early]
        raise ValueError("no good")


@pytest.mark.parametrize("warm_up", ["fail_to_warm_up", "get_warm"])
def test_an_early_worker_that_died_is_replaced(warm_up, tmp_path, capfd):
    paths = [tmp_path / "a", tmp_path / "b"]
    with early_workers(2, warm_up) as early:
        if warm_up == "get_warm":
            early[0].process.kill()
        early[0].process.join()
        run_tasks(write_down, [(path,) for path in paths], 2, nothing, early=early)
    assert all(path.exists() for path in paths)
    assert "its task is done again" in capfd.readouterr().err
