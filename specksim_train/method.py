"""The networks among the retrieval methods of specksim: `unet`, found by its entry point.

Nothing heavy is imported until a network is asked for.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specksim.retrieval.registry import MethodUnavailable
from specksim.retrieval.result import Retrieval
from specksim.setups import Setup, presets
from specksim_train.beamlines import FARTHEST, distance
from specksim_train.loading import load_backend

if TYPE_CHECKING:
    from specksim_train.inference import Network


def unet(
    reference: np.ndarray,
    sample: np.ndarray,
    *,
    setup: Setup | None = None,
    model: str | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    subtract_drift: bool = False,
    integration: str | None = None,
) -> Retrieval:
    """Displacement and transmission by a trained network.

    Parameters
    ----------
    reference, sample : (H, W) or (K, H, W) array
        Raw counts.
    setup : Setup, optional
        With it the phase is integrated; and without `model` it says which network is meant.
    model : str, optional
        A run folder of `specksim-train fit`, a .keras file, or the name of a shipped network. Default: the
        shipped network of the preset that is nearest to the setup in energy, distance and pixel size.
    tile, overlap, subtract_drift, integration
        See `specksim_train.Network.predict`.

    Returns
    -------
    Retrieval

    Raises
    ------
    MethodUnavailable
        If Keras is not installed, there is no such model, or no shipped network is near the setup.
    ValueError, RuntimeError
        What the network refuses; and if its backend fails, for want of memory perhaps.
    """
    try:
        load_backend()
    except ModuleNotFoundError as error:
        raise MethodUnavailable(f"method 'unet' {error}") from None
    network = _network(model if model is not None else shipped_for(setup))
    try:
        return network.predict(
            reference,
            sample,
            setup=setup,
            overlap=overlap,
            subtract_drift=subtract_drift,
            integration=integration,
            tile=tile,
        )
    except Exception as error:
        if type(error).__module__.startswith(("tensorflow", "jax")):  # they have errors of their own
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        raise


def model_path(setup: Setup | None, model: str | None) -> Path:
    """The file or folder of the network that `unet` takes; `specksim benchmark` knows it by its hash."""
    from specksim_train.inference import find_model

    return find_model(model if model is not None else shipped_for(setup))


unet.model_path = model_path  # type: ignore[attr-defined]


@lru_cache(maxsize=4)
def _network(model: str) -> "Network":
    """A model, loaded once in a process."""
    from specksim_train.inference import load

    try:
        return load(model)
    except (ValueError, OSError) as error:
        raise MethodUnavailable(f"method 'unet': {error}") from None


def shipped_for(setup: Setup | None) -> str:
    """Name of the shipped network of the preset nearest to a setup.

    A network belongs to the preset that its name begins with; of several, a guided one is taken.

    Raises
    ------
    MethodUnavailable
        If there is none, or none near.
    """
    from specksim_train.inference import shipped

    distances = {
        name: distance(setup, Setup.load(preset))
        for name in shipped()
        for preset in presets()
        if setup is not None and (name == preset or name.startswith(f"{preset}-"))
    }
    near = min(distances, key=lambda name: (distances[name], not name.endswith("guided"), name), default=None)
    if near is None or distances[near] > FARTHEST:
        known = ", ".join(shipped()) or "none yet"
        raise MethodUnavailable(
            f"method 'unet': no shipped network (there are: {known}) is for this setup: "
            "unet:RUN takes a run folder or a .keras file of your own"
        )
    return near
