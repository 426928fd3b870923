"""Training on several hosts: processes on this machine stand for them."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("keras")

from specksim_train import backend, runs
from specksim_train.cli import main

ARGUMENTS = ["--architecture", "unet", "--filters", "2", "--batch-size", "4"]
JAX = {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """The processes of these tests compile the same steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(JAX, "JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        patch.setitem(JAX, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield


def start(tiny, out, epochs, *more, **variables):
    files = [str(tiny["training"]), "--validation", str(tiny["validation"]), "--out", str(out)]
    command = [sys.executable, "-m", "specksim_train", "fit", *files, *ARGUMENTS, "--epochs", str(epochs)]
    return subprocess.Popen(
        [*command, *more],
        env={**JAX, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port():
    with socket.socket() as held:
        held.bind(("localhost", 0))
        return held.getsockname()[1]


def start_two(tiny, outs, epochs, *more):
    port = free_port()
    hosts = f"localhost:{port},localhost:{port + 1}"
    return [start(tiny, out, epochs, "--hosts", hosts, "--host", str(k), *more) for k, out in enumerate(outs)]


def by_variables(count):
    """The environment of each of so many hosts, with the address of the first alone."""
    address = f"localhost:{free_port()}"
    return [
        {
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
            "KERAS_DISTRIBUTION_NUM_PROCESSES": str(count),
            "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
        }
        for index in range(count)
    ]


def lengthen(run, epochs):
    """Let a run go on to so many epochs."""
    config = runs.read_config(run)
    config["settings"]["epochs"] = epochs
    runs.write_config(run, config)


def finish(processes):
    for process in processes:
        output, errors = process.communicate(timeout=900)
        assert process.returncode == 0, errors
    return output


def history(run):
    with (run / runs.HISTORY).open(newline="") as file:
        return [
            {name: float(value) for name, value in row.items() if name != "seconds"}
            for row in csv.DictReader(file)
        ]


def test_each_host_has_its_part():
    assert [backend.Host(k, 3).part(12) for k in range(3)] == [slice(0, 4), slice(4, 8), slice(8, 12)]
    assert backend.ALONE.part(5) == slice(0, 5)


@pytest.mark.parametrize(
    ("hosts", "index", "message"),
    [
        ("a:1,b:2", 2, r"index of this process \(--host, or .*_PROCESS_ID\) must be 0 to 1, got '2'"),
        ("a:1,b:2", None, r"index of this process \(--host, or .*_PROCESS_ID\) must be 0 to 1, got ''"),
    ],
)
def test_a_process_must_be_one_of_the_hosts(monkeypatch, hosts, index, message):
    monkeypatch.delenv("KERAS_DISTRIBUTION_PROCESS_ID", raising=False)
    with pytest.raises(ValueError, match=message):
        backend.join(hosts, index)


@pytest.mark.parametrize(("hosts", "count"), [("a:1,b:2", "3"), ("a:1", "many"), ("a:1", "0")])
def test_the_number_of_hosts_must_be_right(monkeypatch, hosts, count):
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", count)
    with pytest.raises(
        ValueError, match=f"NUM_PROCESSES must be the number of hosts, '{hosts}', got '{count}'"
    ):
        backend.join(hosts, 0)


@pytest.mark.slow
def test_memory_that_ran_out_is_not_a_lost_host(monkeypatch):
    import jax

    monkeypatch.setattr(backend.keras.distribution, "set_distribution", lambda _: None)
    monkeypatch.setattr(backend.keras.distribution, "DataParallel", lambda **_: None)
    for text, kind in (
        ("INTERNAL: CUDNN_STATUS_EXECUTION_FAILED", jax.errors.JaxRuntimeError),
        ("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes.", jax.errors.JaxRuntimeError),
        ("UNKNOWN: Gloo all-reduce failed: Connection closed by peer", backend.HostLost),
    ):
        with pytest.raises(kind, match=text.split(":")[-1]), backend.share(1, backend.Host(0, 2, 2)):
            raise jax.errors.JaxRuntimeError(text)


def test_wrong_usage(tmp_path, tiny, monkeypatch):
    command = [
        "fit",
        str(tiny["training"]),
        "--out",
        str(tmp_path / "run"),
        "--hosts",
        "a:1,b:2",
        "--host",
        "0",
    ]
    monkeypatch.setenv(
        "KERAS_BACKEND", backend.keras.backend.backend()
    )  # or the command chooses JAX for good
    result = CliRunner().invoke(main, [*command, "--devices", "2"])
    assert (result.exit_code, "several use all of their devices" in result.output) == (2, True)
    monkeypatch.delenv("KERAS_DISTRIBUTION_JOB_ADDRESSES", raising=False)
    result = CliRunner().invoke(main, [*command[:-4], "--host", "0"])
    assert (result.exit_code, "--host goes with --hosts" in result.output) == (2, True)
    if backend.keras.backend.backend() != "jax":
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 1
        assert "several hosts need Keras' JAX backend, got tensorflow" in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_hosts_train_as_one_and_take_over_from_each_other(tiny, tmp_path):
    alone, together, nothing = (tmp_path / name for name in ("alone", "together", "nothing"))
    finish([start(tiny, alone, 2)])
    assert finish(start_two(tiny, (together, nothing), 2)).endswith(f"{nothing}\n")  # gloo has its say before
    assert not nothing.exists()
    for one, two in zip(history(alone), history(together), strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-5)
    weights = [runs.load_checkpoint(run).weights for run in (alone, together)]
    for one, two in zip(*weights, strict=True):
        assert np.abs(one - two).max() < 1e-5
    # a run of one goes on with two, and one of two with one; the settings are the same
    for run in (alone, together):
        lengthen(run, 3)
    finish([start(tiny, alone, 3, "--resume", **variables) for variables in by_variables(2)])
    finish([start(tiny, together, 3, "--resume")])
    last = [history(run)[2] for run in (alone, together)]
    assert last[1] == pytest.approx(last[0], rel=1e-3, abs=1e-5)


def wait(processes, reached):
    """Until the processes, all of which run, have reached something."""
    deadline = time.monotonic() + 600
    while not reached():
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.2)


LOST = "another host or device of the training was lost; start all again with --resume"


def said_it_lost_another(process, errors):
    """JAX's own watch may be quicker, and ends the process from outside of Python with its own words."""
    assert process.returncode not in (0, None)
    return LOST in errors or "another task died" in errors


@pytest.mark.slow
def test_a_lost_host_ends_the_other_which_says_so_and_can_go_on(tiny, tmp_path):
    run = tmp_path / "run"
    processes = start_two(tiny, (run, run), 10_000)
    wait(processes, lambda: (run / runs.CHECKPOINT).exists())
    processes[1].send_signal(signal.SIGKILL)
    _, errors = processes[0].communicate(timeout=240)
    processes[1].communicate()
    assert processes[0].returncode == 1
    assert LOST in errors
    assert "Traceback" not in errors
    done = len(runs.load_checkpoint(run).history)
    processes = start_two(tiny, (run, run), 10_000, "--resume")
    wait(processes, lambda: len(runs.load_checkpoint(run).history) > done)
    processes[0].send_signal(signal.SIGKILL)
    _, errors = processes[1].communicate(timeout=240)
    processes[0].communicate()
    assert said_it_lost_another(processes[1], errors), errors
    epochs = [row["epoch"] for row in history(run)]
    assert epochs == list(range(1, len(epochs) + 1))


@pytest.mark.slow
def test_an_error_of_the_first_host_ends_both_at_once(tiny, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / runs.CHECKPOINT).touch()
    processes = start_two(tiny, (run, run), 10_000)
    errors = [process.communicate(timeout=240)[1] for process in processes]  # JAX waits 300 s in an exit
    assert processes[0].returncode == 1
    assert f"Error: {run} holds a run; --resume goes on with it" in errors[0]
    assert said_it_lost_another(processes[1], errors[1]), errors[1]


@pytest.mark.slow
def test_one_host_of_a_cluster_uses_all_of_its_devices(tiny, tmp_path):
    two_devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", **by_variables(1)[0]}
    process = start(tiny, tmp_path / "run", 1, "--batch-size", "3", **two_devices)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "batch_size must be a multiple of the 2 devices of all hosts, got 3" in errors
    shared = """
import jax
from keras.distribution import distribution
from specksim_train import backend
with backend.share(1, backend.join()):
    print(distribution().device_mesh.devices.size, jax.config.values["jax_cuda_visible_devices"])
"""
    of_slurm = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "node01", "SLURM_NTASKS": "1"}
    of_slurm |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    found = subprocess.run(
        [sys.executable, "-c", shared],
        env={**JAX, **two_devices, **of_slurm, **by_variables(1)[0]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split()[-2:] == ["2", "all"]


@pytest.mark.slow
def test_simulated_pairs_are_those_of_one_host(tmp_path):
    from specksim import Setup
    from specksim.request import Request
    from specksim_train.augmentation import Augmentation
    from specksim_train.feeds import Simulator
    from specksim_train.simulation import SimulatedPairs

    setup = Setup().with_values(detector__rows=48, detector__columns=48)
    pairs = SimulatedPairs(Request.create(setup, drift=0.5), 8)

    def batches(host):
        with Simulator(pairs, 3, host) as simulator:
            feed = simulator.feed(1, 4, Augmentation())
            return [feed.batch(k) for k in range(len(feed))]

    whole, first, second = (batches(host) for host in (backend.ALONE, backend.Host(0, 2), backend.Host(1, 2)))
    for each in zip(whole, first, second, strict=True):
        for all_, *parts in zip(*each, strict=True):
            assert np.array_equal(all_, np.concatenate(parts))
