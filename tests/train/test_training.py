"""`fit`: it learns, it can be stopped and resumed, and it says what is wrong."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from specksim_train import architectures, losses, report, runs, training
from specksim_train.augmentation import Augmentation
from specksim_train.cli import main
from specksim_train.data import PairFiles
from specksim_train.feeds import FileFeed
from specksim_train.settings import Settings
from specksim_train.training import fit

SMALL = Settings(architecture="unet", base_filters=2, epochs=3, batch_size=3)  # the quicker one to trace


def weights(run):
    return keras.saving.load_model(run / runs.LAST, compile=False).get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES)
def test_one_batch_can_be_learned_by_heart(architecture, tiny):
    keras.utils.set_random_seed(0)
    images, target = (maps[:, 16:48, 16:48] for maps in FileFeed(PairFiles([tiny["training"]]), 1).batch(0))
    model = architectures.build(architecture, 16)
    model.compile(keras.optimizers.Adam(1e-3), loss=losses.endpoint_loss, jit_compile=False)
    for step in range(20):
        model.optimizer.learning_rate = 1e-3 * 0.85**step
        for _ in range(60):
            model.train_on_batch(images, target)
        found = keras.ops.convert_to_numpy(model(images))
        error = np.hypot(*np.moveaxis(found[..., :2] - target[..., :2], -1, 0)).mean()
        if error < 0.01:
            break
    assert error < 0.01


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    lines = []
    fit([tiny["training"]], run, validation=tiny["validation"], settings=SMALL, progress=lines.append)
    assert len(lines) == 3
    return run


def test_processes_that_read_for_an_accelerator_do_not_change_a_run(undisturbed, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(training.backend, "reader_count", lambda: 2)
    order = []
    calibrate = training._calibrate
    monkeypatch.setattr(training, "_calibrate", lambda *given: order.append("scale") or calibrate(*given))
    monkeypatch.setattr(training.backend, "meet", lambda host: order.append("meet"))
    run = fit([tiny["training"]], tmp_path / "run", validation=tiny["validation"], settings=SMALL)
    assert order == ["scale", "meet"]  # or the others would be gone, or ended, while the first one scales
    assert all(np.array_equal(a, b) for a, b in zip(weights(run), weights(undisturbed), strict=True))


def test_a_run_leaves_what_is_needed_to_use_and_repeat_it(undisturbed, tiny):
    names = {path.name for path in undisturbed.iterdir()}
    assert names - {"tensorboard"} == {
        *("config.json", "best.keras", "last.keras", "history.csv", "checkpoint.npz"),
        *("curves.png", "examples.png", "model-card.md"),
    }
    config = json.loads((undisturbed / "config.json").read_text())
    assert config["settings"]["base_filters"] == 2
    assert list(config["trained_on"]["content_hashes"]) == [str(tiny["training"])]
    assert config["domain"]["photons_per_pixel"][0] < 2000 < config["domain"]["photons_per_pixel"][1]
    with (undisturbed / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["1", "2", "3"]
    assert {"loss", "val_error_px", "val_error_valid_px", "val_r2", "learning_rate"} <= set(history[0])
    assert "mean endpoint error" in (undisturbed / "model-card.md").read_text()


def test_tensorboard_is_given_every_epoch_where_it_is_installed(undisturbed, tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(undisturbed / "tensorboard"))
    events.Reload()
    errors = events.Scalars("val_error_px")
    assert [event.step for event in errors] == [1, 2, 3]
    history = runs.load_checkpoint(undisturbed).history
    assert [event.value for event in errors] == pytest.approx([row["val_error_px"] for row in history])
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    report.write_scalars(tmp_path, history[0])
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(undisturbed, tiny, tmp_path):
    def stop(line):
        raise KeyboardInterrupt

    arguments = {"validation": tiny["validation"], "settings": SMALL}
    with pytest.raises(KeyboardInterrupt):
        fit([tiny["training"]], tmp_path / "run", progress=stop, **arguments)
    assert len(runs.load_checkpoint(tmp_path / "run").history) == 1
    fit([tiny["training"]], tmp_path / "run", resume=True, **arguments)
    for ours, theirs in zip(weights(tmp_path / "run"), weights(undisturbed), strict=True):
        assert np.array_equal(ours, theirs)
    with (tmp_path / "run" / "history.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(undisturbed, tiny, tmp_path):
    command = [
        *(sys.executable, "-m", "specksim_train", "fit", str(tiny["training"])),
        *("--validation", str(tiny["validation"]), "--out", str(tmp_path / "run")),
        *("--architecture", "unet", "--filters", "2", "--epochs", "3", "--batch-size", "3"),
    ]
    process = subprocess.Popen(command)
    while process.poll() is None and not (tmp_path / "run" / runs.CHECKPOINT).exists():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run([*command, "--resume"], check=True)
    for ours, theirs in zip(weights(tmp_path / "run"), weights(undisturbed), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("size", [0, 7, 0.5, 0.99])
def test_a_damaged_checkpoint_is_named(undisturbed, tmp_path, size):
    content = (undisturbed / runs.CHECKPOINT).read_bytes()
    path = tmp_path / runs.CHECKPOINT
    path.write_bytes(content[: int(size * len(content)) if size < 1 else size])
    with pytest.raises(ValueError, match=f"{path}: not a checkpoint, or damaged"):
        runs.load_checkpoint(tmp_path)


def test_a_run_is_not_overwritten_nor_resumed_with_something_else(undisturbed, tiny, tmp_path):
    with pytest.raises(FileExistsError, match="--resume goes on"):
        fit([tiny["training"]], undisturbed, settings=SMALL)
    with pytest.raises(ValueError, match=r"cannot be resumed: base_filters was 2, now 4"):
        fit(
            [tiny["training"]],
            undisturbed,
            validation=tiny["validation"],
            settings=replace(SMALL, base_filters=4),
            resume=True,
        )
    with pytest.raises(ValueError, match=r"cannot be resumed: trained_on \(content hashes\)"):
        fit([tiny["noiseless"]], undisturbed, validation=tiny["validation"], settings=SMALL, resume=True)
    with pytest.raises(ValueError, match="holds no run to resume"):
        fit([tiny["training"]], tmp_path / "none", settings=SMALL, resume=True)


def test_a_run_stopped_before_its_first_epoch_is_no_run_yet(undisturbed, tiny, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / runs.CONFIG).write_text((undisturbed / runs.CONFIG).read_text())
    fit([tiny["training"]], run, settings=replace(SMALL, epochs=1))
    assert len(runs.load_checkpoint(run).history) == 1


def test_a_new_run_may_start_from_the_weights_of_another(undisturbed, tiny, tmp_path):
    one = replace(SMALL, epochs=1, learning_rate=1e-12)
    fit([tiny["training"]], tmp_path / "run", settings=one, from_model=undisturbed)
    start = keras.saving.load_model(undisturbed / runs.BEST, compile=False).get_weights()
    for ours, theirs in zip(weights(tmp_path / "run"), start, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-9)
    with pytest.raises(ValueError, match="architecture and base_filters must be the same"):
        fit(
            [tiny["training"]],
            tmp_path / "other",
            settings=replace(SMALL, base_filters=4),
            from_model=undisturbed,
        )


def test_a_loss_that_explodes_ends_the_run_with_one_clear_line(tiny, tmp_path):
    wild = replace(SMALL, learning_rate=1e30)
    message = r"the loss became (nan|inf) in epoch \d, by step \d.*learning_rate"
    with pytest.raises(RuntimeError, match=message):
        fit([tiny["training"]], tmp_path / "run", settings=wild)


def test_what_a_feed_raises_reaches_the_user(tiny, monkeypatch, tmp_path):
    def broken(self, number, step=0):
        raise ValueError("file: pair 0 cannot be read")

    monkeypatch.setattr(training, "configuration", lambda *_: {"trained_on": {}})
    monkeypatch.setattr(PairFiles, "read", broken)
    with pytest.raises(ValueError, match=r"^file: pair 0 cannot be read$"):
        fit([tiny["training"]], tmp_path / "run", settings=SMALL)


def test_learning_rates_follow_from_the_history():
    assert runs.cosine_rate(1.0, 0, 11) == pytest.approx(1.0)
    assert runs.cosine_rate(1.0, 10, 11) == pytest.approx(0.01)
    history = [{"loss": value} for value in (3.0, 2.0, 2.5, 2.5, 2.5, 2.5)]
    assert runs.epochs_since_best(history, "loss") == 4
    assert [runs.plateau_rate(1.0, history[:n], "loss", 2) for n in range(7)] == [1, 1, 1, 1, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "vnet"}, "architecture must be one of guided-unet, unet, got 'vnet'"),
        ({"epochs": 0}, "epochs must be >= 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be > 0"),
        ({"schedule": "steps"}, "schedule must be one of"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
        ({"batch_size": 3, "devices": 2}, "batch_size must be a multiple of devices, got 3 and 2"),
    ],
)
def test_bad_settings_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Settings(**arguments)


def test_the_command_says_in_one_line_what_is_wrong(tmp_path):
    result = CliRunner().invoke(main, ["fit", str(tmp_path / "no.h5"), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert result.output == f"Error: {tmp_path / 'no.h5'}: No such file or directory\n"
    assert CliRunner().invoke(main, ["fit", "--out", "run"]).exit_code == 2


@pytest.mark.slow
def test_pairs_simulated_on_the_fly_train_and_illustrate_a_run(tmp_path):
    run = tmp_path / "run"
    arguments = [
        "fit",
        "--simulate",
        "imbl-28kev",
        "--set",
        "detector.rows=64",
        "--set",
        "detector.columns=64",
    ]
    arguments += ["--geometry", "wedge", "--material", "pmma", "--pairs", "4", "--batch-size", "2"]
    arguments += ["--epochs", "1", "--architecture", "unet", "--filters", "2", "--out", str(run)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    request = json.loads(json.loads((run / "config.json").read_text())["simulate"]["request"])
    assert (request["geometries"], request["materials"]) == (["wedge"], ["pmma"])
    assert (run / "examples.png").stat().st_size > 10_000


def test_an_interruption_says_how_to_go_on(tiny, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_train", interrupted)
    arguments = [
        str(tiny["training"]),
        "--out",
        str(tmp_path / "run"),
        "--filters",
        "1",
        "--architecture",
        "unet",
    ]
    result = CliRunner().invoke(main, ["fit", *arguments])
    assert (result.exit_code, "interrupted: --resume goes on" in result.output) == (1, True)


def test_options_that_do_not_go_together_are_wrong_usage():
    for arguments in (
        ["a.h5", "--set", "beam.energy_kev=25"],
        ["a.h5", "--drift", "0.5"],
        ["a.h5", "--workers", "2"],
        ["--simulate", "imbl-28kev", "--crop", "64"],
    ):
        result = CliRunner().invoke(main, ["fit", *arguments, "--out", "run"])
        assert result.exit_code == 2
        assert re.search("go(es)? with", result.output)


def test_help_names_the_defaults_of_the_augmentation():
    text = " ".join(CliRunner().invoke(main, ["fit", "--help"]).output.split())
    varied = Augmentation()
    assert f"beside. [default: {varied.drift_share}]" in text
    assert f"no motion. [default: {varied.still_share}]" in text


def test_without_a_backend_the_command_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("specksim_train.loading.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["fit", "a.h5", "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "pip install 'specksim[train]'" in result.output


def test_models_lists_the_runs_of_a_folder(undisturbed):
    result = CliRunner().invoke(main, ["models", str(undisturbed.parent)])
    assert result.exit_code == 0
    assert f"{undisturbed}  unet, 2 filters, epoch" in result.output


@pytest.mark.parametrize("command", [[], ["fit"], ["models"]])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys, specksim_train.cli as c\n"
        f"try: c.main({[*command, '--help']!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'keras', 'tensorflow', 'numba', 'scipy', 'h5py', 'matplotlib', 'xraylib'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_run_in_mixed_precision_is_resumed_bit_for_bit_and_leaves_float32(tiny, tmp_path):
    mixed = replace(SMALL, precision="mixed", epochs=2)

    def stop(line):
        raise KeyboardInterrupt

    fit([tiny["training"]], tmp_path / "whole", settings=mixed)
    with pytest.raises(KeyboardInterrupt):
        fit([tiny["training"]], tmp_path / "halved", settings=mixed, progress=stop)
    fit([tiny["training"]], tmp_path / "halved", settings=mixed, resume=True)
    model = keras.saving.load_model(tmp_path / "halved" / runs.LAST, compile=False)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    for ours, theirs in zip(model.get_weights(), weights(tmp_path / "whole"), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_train_what_one_does(backend, tiny, tmp_path):
    code = f"""
import keras
if {backend!r} == "tensorflow":
    import tensorflow as tf
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
from specksim_train.settings import Settings
from specksim_train.training import fit
for devices in (1, 2):
    settings = Settings(architecture="unet", base_filters=2, epochs=2, batch_size=4, devices=devices)
    fit([{str(tiny["training"])!r}], {str(tmp_path)!r} + f"/{{devices}}", settings=settings)
"""
    flags = {"KERAS_BACKEND": backend, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **flags}, check=True)
    one, two = (runs.load_checkpoint(tmp_path / str(devices)) for devices in (1, 2))
    losses_of = [[row["loss"] for row in run.history] for run in (one, two)]
    assert losses_of[1] == pytest.approx(losses_of[0], rel=1e-3)  # sums of logarithms, which all but cancel
    for ours, theirs in zip(one.weights, two.weights, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.slow
def test_the_trainer_passes_on_jax(tmp_path):
    rooms = (
        "architectures",
        "confidence",
        "configuration",
        "data",
        "inference",
        "layers",
        "losses",
        "method",
        "training",
        "weights",
    )
    files = [str(Path(__file__).parent / f"test_{room}.py") for room in rooms]
    command = [sys.executable, "-m", "pytest", "-q", *files, "-k", "not published"]
    variables = {
        "KERAS_BACKEND": "jax",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    subprocess.run(command, env={**os.environ, **variables}, check=True)
