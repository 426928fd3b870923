"""`fit`: train a network, so that an interrupted run goes on as if nothing had happened."""

import contextlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from specksim.files import write_atomically
from specksim_train import architectures, backend, inference, losses, runs
from specksim_train.backend import ALONE, Host
from specksim_train.confidence import calibrate
from specksim_train.configuration import configuration, require_held_out, require_photons, require_same
from specksim_train.data import PairFiles
from specksim_train.feeds import Feed, FileFeed, Readers, Simulator
from specksim_train.report import write_report, write_scalars
from specksim_train.settings import Settings
from specksim_train.simulation import SimulatedPairs

_STEPS_BETWEEN_LOOKS = 16


def fit(
    train: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    validation: str | os.PathLike[str] | None = None,
    settings: Settings | None = None,
    simulate: SimulatedPairs | None = None,
    from_model: str | os.PathLike[str] | None = None,
    resume: bool = False,
    host: Host = ALONE,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train a network and leave a run folder, see `specksim_train.runs`.

    Parameters
    ----------
    train : sequence of path-like
        Data sets of one frame size; may be empty with `simulate`.
    out : path-like
        The run folder; made if it does not exist.
    validation : path-like or None
        Data set on which the best epoch is chosen; without one the training loss decides.
    settings : Settings or None
    simulate : SimulatedPairs or None
        Simulate the training pairs instead of reading them.
    from_model : path-like or None
        Start from the weights of this network, see `inference.load`, of the same architecture.
    resume : bool
        Go on after the last finished epoch; settings and data must be those of the run.
    host : Host
        Of `backend.join`, where several train together: all call `fit` alike, the first one writes the run
        folder, which all must see.
    progress : callable
        Given one line after each epoch.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    ValueError
        If data or settings are refused, or differ from those of the run to be resumed.
    FileExistsError
        If the folder holds a run and `resume` is False.
    RuntimeError
        If the loss becomes NaN or infinite; `backend.HostLost` if another host has ended.
    OSError
        If a file cannot be read or written.
    """
    settings = settings or Settings()
    run = Path(out)
    if bool(train) == (simulate is not None):
        raise ValueError("give either training files or simulate, not both and not neither")
    if (run / runs.CHECKPOINT).exists() and not resume and host.index == 0:
        raise FileExistsError(f"{run} holds a run; --resume goes on with it, or choose another --out")
    if resume and not (run / runs.CONFIG).exists():
        raise ValueError(f"{run} holds no run to resume")
    files = PairFiles(train) if train else None
    held_out = None if validation is None else PairFiles([validation])
    require_photons(settings.augmentation, files, simulate)
    if held_out is not None:
        require_held_out(held_out, files, simulate)
    config = configuration(settings, files, held_out, simulate, from_model)
    if resume:
        require_same(run, config)
    elif host.index == 0:
        run.mkdir(parents=True, exist_ok=True)
        runs.write_config(run, config)

    if settings.deterministic:
        backend.make_deterministic()
    backend.keep_float32()
    keras.utils.set_random_seed(settings.seed)
    devices = settings.devices if host.devices is None else host.devices
    if settings.batch_size % devices:
        raise ValueError(
            f"batch_size must be a multiple of the {devices} devices of all hosts, got {settings.batch_size}"
        )
    with _feeds(settings, files, simulate, host, devices) as feed:
        size = settings.batch_size
        checks = None if held_out is None else FileFeed(held_out, size, devices=devices, host=host)
        with backend.share(settings.devices, host):
            model = _compiled(settings, from_model)
            state = _start(run, model, resume)
            _train(run, model, settings, feed, checks, state, host, progress)
            if held_out is not None and host.index == 0:
                with backend.undistributed():
                    _calibrate(run, FileFeed(held_out, size))
            backend.meet(host)
        if host.index == 0:
            write_report(run, (checks or feed(0)).batch(0), architectures.receptive_radius_px(model))
    return run


@contextlib.contextmanager
def _feeds(
    settings: Settings,
    files: PairFiles | None,
    simulate: SimulatedPairs | None,
    host: Host,
    devices: int,
) -> Iterator[Callable[[int], Feed]]:
    """The training feed of each epoch."""
    size, seed, varied = settings.batch_size, settings.seed, settings.augmentation
    if files is not None:

        def from_files(epoch: int) -> FileFeed:
            return FileFeed(files, size, seed, epoch, varied, settings.crop, devices, host)

        workers = backend.reader_count()
        if workers == 0:
            yield from_files
            return
        with Readers(files, workers) as readers:
            yield lambda epoch: readers.feed(from_files(epoch))
    elif simulate is not None:
        with Simulator(simulate, seed, host) as simulator:
            yield lambda epoch: simulator.feed(epoch, size, varied)


def _train(
    run: Path,
    model: keras.Model,
    settings: Settings,
    feed: Callable[[int], Feed],
    checks: Feed | None,
    history: list[runs.Row],
    host: Host,
    progress: Callable[[str], None],
) -> None:
    """The epochs that are left."""
    watched = "error_px" if checks is None else "val_error_px"
    while len(history) < settings.epochs:
        epoch = len(history)
        if settings.stop_after and runs.epochs_since_best(history, watched) >= settings.stop_after:
            progress(f"no improvement in {settings.stop_after} epochs: stopped")
            break
        rate = _rate(settings, history, watched)
        model.optimizer.learning_rate = rate
        start = time.perf_counter()
        row: runs.Row = {"epoch": epoch + 1, "learning_rate": rate}
        row |= _one_epoch(model, feed(epoch), epoch, rate)
        if checks is not None:
            found = _guarded(checks, lambda: model.evaluate(checks, verbose=0, return_dict=True))
            row |= {f"val_{name}": float(value) for name, value in found.items()}
        row["seconds"] = time.perf_counter() - start
        history.append(row)
        if host.index == 0:
            with backend.undistributed():
                _save(run, model, history, watched)
            write_scalars(run, row)
            progress(_line(row, settings.epochs))


def _one_epoch(model: keras.Model, feed: Feed, epoch: int, rate: float) -> runs.Row:
    stop = _StopOnNonsense(epoch, rate)
    bar = 1 if sys.stderr.isatty() else 0
    logs = _guarded(feed, lambda: model.fit(feed, epochs=1, shuffle=False, verbose=bar, callbacks=[stop]))
    return {name: float(values[-1]) for name, values in logs.history.items()}


def _guarded(feed: Feed, run: Callable[[], Any]) -> Any:
    """Run a loop over a feed; if the feed failed, raise what it raised and not what became of it."""
    try:
        return run()
    except Exception:
        if feed.failure is not None:
            raise feed.failure from None
        raise


class _StopOnNonsense(keras.callbacks.Callback):
    """End when the mean loss so far is not a number; not looked at each time, as it makes the device wait."""

    def __init__(self, epoch: int, rate: float) -> None:
        super().__init__()
        self.epoch, self.rate = epoch, rate

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if batch % _STEPS_BETWEEN_LOOKS == 0:
            self._look(batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._look(self.params["steps"] - 1, logs or {})

    def _look(self, batch: int, logs: dict[str, float]) -> None:
        loss = float(logs.get("loss", 0.0))
        if not math.isfinite(loss):
            raise RuntimeError(
                f"the loss became {loss} in epoch {self.epoch + 1}, by step {batch + 1}, at a learning rate "
                f"of {self.rate:g}: lower learning_rate; the last good epoch is kept and can be resumed from"
            )


def _save(run: Path, model: keras.Model, history: list[runs.Row], watched: str) -> None:
    """Networks first, the checkpoint after them: a run killed in between does its epoch again."""
    plain = architectures.float32_copy(model) if backend.is_mixed(model) else model
    if runs.best_epoch(history, watched) == len(history) - 1:
        write_atomically(run / runs.BEST, lambda part: _save_model(plain, part))
    write_atomically(run / runs.LAST, lambda part: _save_model(plain, part))
    optimizer = [np.asarray(variable.numpy()) for variable in model.optimizer.variables]
    runs.save_checkpoint(run, runs.Checkpoint(model.get_weights(), optimizer, history))
    runs.write_history(run, history)


def _calibrate(run: Path, checks: FileFeed) -> None:
    """Scale the standard errors of the finished networks, see `confidence.calibrate`."""
    for name in (runs.BEST, runs.LAST):
        model = keras.saving.load_model(run / name, compile=False, safe_mode=True)
        calibrate(model, (checks.batch(k) for k in range(len(checks))))
        write_atomically(run / name, partial(_save_model, model))


def _save_model(model: keras.Model, part: Path) -> None:
    whole = part.with_suffix(".tmp.keras")  # Keras insists on the suffix
    try:
        model.save(whole, include_optimizer=False)
        whole.replace(part)
    finally:
        whole.unlink(missing_ok=True)


def _start(run: Path, model: keras.Model, resume: bool) -> list[runs.Row]:
    """Put a model where its run stopped; the history so far."""
    model.optimizer.build(model.trainable_variables)
    if not resume or not (run / runs.CHECKPOINT).exists():
        return []
    checkpoint = runs.load_checkpoint(run)
    if len(checkpoint.optimizer) != len(model.optimizer.variables):
        raise ValueError(f"{run / runs.CHECKPOINT}: does not fit the network")
    model.set_weights(checkpoint.weights)
    for variable, value in zip(model.optimizer.variables, checkpoint.optimizer, strict=True):
        variable.assign(value)
    return checkpoint.history


def _compiled(settings: Settings, from_model: str | os.PathLike[str] | None) -> keras.Model:
    with _policy(settings.precision):
        model = architectures.build(settings.architecture, settings.base_filters)
    if from_model is not None:
        _take_weights(model, from_model)
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate, clipnorm=1.0),
        loss=losses.training_loss,
        metrics=losses.metrics(),
        jit_compile=backend.should_compile(),
    )
    return model


@contextlib.contextmanager
def _policy(precision: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    mixed = precision == "mixed" or (precision == "auto" and backend.has_accelerator())
    if mixed and not backend.can_mix():
        raise ValueError("precision must be float32 with JAX on a CPU, whose bfloat16 gives NaN, got 'mixed'")
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _take_weights(model: keras.Model, source: str | os.PathLike[str]) -> None:
    start = inference.load(os.fspath(source)).model
    shapes = [[tuple(weight.shape) for weight in network.weights] for network in (model, start)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{source}: its weights do not fit; architecture and base_filters must be the same")
    model.set_weights(start.get_weights())


def _rate(settings: Settings, history: list[runs.Row], watched: str) -> float:
    if settings.schedule == "cosine":
        return runs.cosine_rate(settings.learning_rate, len(history), settings.epochs)
    if settings.schedule == "plateau":
        return runs.plateau_rate(settings.learning_rate, history, watched, settings.patience)
    return settings.learning_rate


def _line(row: runs.Row, epochs: int) -> str:
    shown = [name for name in row if name.endswith(("error_px", "error_valid_px", "r2"))]
    figures = "  ".join(f"{name} {row[name]:.4f}" for name in shown)
    return f"epoch {row['epoch']:.0f}/{epochs}  {figures}  {row['seconds']:.0f} s"
