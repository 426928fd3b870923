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


def start(tiny, out, epochs, *more, environment=JAX):
    files = [str(tiny["training"]), "--validation", str(tiny["validation"]), "--out", str(out)]
    command = [sys.executable, "-m", "specksim_train", "fit", *files, *ARGUMENTS, "--epochs", str(epochs)]
    return subprocess.Popen(
        [*command, *more], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def addresses(count):
    """Places on this machine; the first one's port is free."""
    with socket.socket() as held:
        held.bind(("localhost", 0))
        first = held.getsockname()[1]
    return ",".join(f"localhost:{first + k}" for k in range(count))


def start_two(tiny, out, epochs, *more):
    hosts = addresses(2)
    return [start(tiny, out, epochs, "--hosts", hosts, "--host", str(k), *more) for k in (0, 1)]


def finish(processes):
    for process in processes:
        output, errors = process.communicate(timeout=400)
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
        ("a:1,b:2", 2, "the index of this process must be 0 to 1, got '2'"),
        ("a:1,b:2", None, "the index of this process must be 0 to 1, got ''"),
    ],
)
def test_a_process_must_be_one_of_the_hosts(monkeypatch, hosts, index, message):
    monkeypatch.delenv("KERAS_DISTRIBUTION_PROCESS_ID", raising=False)
    with pytest.raises(ValueError, match=message):
        backend.join(hosts, index)


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
    if backend.keras.backend.backend() != "jax":
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 1
        assert "several hosts need Keras' JAX backend, got tensorflow" in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_hosts_train_as_one_and_take_over_from_each_other(tiny, tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    finish([start(tiny, alone, 2)])
    assert finish(start_two(tiny, together, 2)).endswith(f"{together}\n")  # gloo has its say before
    for one, two in zip(history(alone), history(together), strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-5)
    weights = [runs.load_checkpoint(run).weights for run in (alone, together)]
    for one, two in zip(*weights, strict=True):
        assert np.abs(one - two).max() < 1e-5
    # a run of one goes on with two, and one of two with one; the settings are the same
    for run in (alone, together):
        config = runs.read_config(run)
        config["settings"]["epochs"] = 3
        runs.write_config(run, config)
    finish(start_two(tiny, alone, 3, "--resume"))
    finish([start(tiny, together, 3, "--resume")])
    last = [history(run)[2] for run in (alone, together)]
    assert last[1] == pytest.approx(last[0], rel=1e-3, abs=1e-5)
    assert not list(together.glob("*part*"))


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_host_ends_the_other_and_says_so(tiny, tmp_path, lost):
    processes = start_two(tiny, tmp_path / "run", 10_000)
    checkpoint, deadline = tmp_path / "run" / runs.CHECKPOINT, time.monotonic() + 300
    while not checkpoint.exists():
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.2)
    processes[lost].send_signal(signal.SIGKILL)
    _, errors = processes[1 - lost].communicate(timeout=120)
    processes[lost].communicate()
    assert processes[1 - lost].returncode not in (0, None)
    # JAX's own watch may be quicker, and ends the process from outside of Python with these words
    words = ("another host of the training was lost; start all again with --resume", "another task died")
    assert any(each in errors for each in words), errors
    assert len(runs.load_checkpoint(tmp_path / "run").history) >= 1


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
