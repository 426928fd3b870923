"""Displacement, transmission and phase from measured images, by a trained network."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter

from specksim.assessment import visibility
from specksim.retrieval import Retrieval, integrate_phase
from specksim.retrieval.alignment import BORDER_PX, align, compare
from specksim.retrieval.inputs import FEWEST_COUNTS, as_exposures
from specksim.setups import Setup
from specksim_train import packed, runs
from specksim_train.beamlines import NEAR, distance
from specksim_train.tiling import predict_tiled

TILE_PX = 1280
"""Largest tile: the compact guided network takes less than 2 GB with it."""

_WEIGHTS = Path(__file__).parent / "weights"
_SCATTER_PX = 15  # window in which exposures are compared, for the standard errors of their mean
_LOOKED_AT_PX = 128  # window in which the speckle's visibility is measured, smaller than the beam's profile
_LEAST_QUALITY, _TRUSTED_QUALITY = 0.3, 0.5
_MOST_UNEXPLAINED = 0.05


class OutsideTraining(UserWarning):
    """The images are unlike those that the network was trained on."""


def load(name: str | Path) -> "Network":
    """Load a trained network.

    Parameters
    ----------
    name : str or path-like
        A run folder of `specksim-train fit`, a .keras file, the name of a shipped network, or the folder of
        a packed one.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If there is no such model, the file is damaged or would run code of its own, or the model does not
        turn two images of any size into four maps.
    """
    place = find_model(name)
    run = place if place.is_dir() else place.parent
    config = runs.read_config(run) if (run / runs.CONFIG).exists() else {}
    model = packed.unpack(place) if place.is_dir() else _load_model(place)
    from specksim_train import backend

    backend.keep_float32()
    domain = dict(config.get("domain") or {})
    if "setups" in (config.get("trained_on") or {}):
        domain["setups"] = config["trained_on"]["setups"]
    return Network.of(model, name=str(name), domain=domain)


def shipped() -> dict[str, Path]:
    """The networks that come with the package: name and folder."""
    return {path.name: path for path in sorted(_WEIGHTS.glob("*")) if packed.is_packed(path)}


def find_model(name: str | Path) -> Path:
    """The .keras file that a name means, or the folder of a packed network; ValueError if there is none."""
    path = Path(name)
    if path.is_dir():
        if packed.is_packed(path):
            return path
        for file in (runs.BEST, runs.LAST):
            if (path / file).is_file():
                return path / file
        raise ValueError(f"{path}: a run folder must hold {runs.BEST} or {runs.LAST}, got neither")
    if path.suffix == ".keras":
        if not path.is_file():
            raise ValueError(f"{path}: there is no such model file")
        return path
    networks = shipped()
    if str(name) not in networks:
        known = ", ".join(networks) or "none yet"
        raise ValueError(
            f"model must be a run folder, a .keras file or a shipped network ({known}), got {str(name)!r}"
        )
    return networks[str(name)]


def _load_model(file: Path) -> Any:
    import keras

    import specksim_train.confidence
    import specksim_train.layers  # noqa: F401  both register the layers that the file names

    try:
        return keras.models.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # whatever a damaged or foreign file makes of zipfile, json and keras
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{file}: not a Keras model that can be loaded safely: {reason[0]}") from None


@dataclass(frozen=True)
class Network:
    """A trained network. Made by `load`.

    Attributes
    ----------
    name : str
        How it was asked for.
    model : keras.Model
        (B, H, W, 2) raw counts, channels (reference, sample), to (B, H, W, 4): displacement dx, dy and its
        standard errors, pixels; H and W multiples of 16.
    radius_px : int
        How far around a pixel the model looks.
    domain : dict
        What it was trained on: visibility [lo, hi], photons_per_pixel [lo, hi], displacement_px (largest),
        setups (TOML texts). What is missing is not checked.
    """

    name: str
    model: Any
    radius_px: int
    domain: Mapping[str, Any] = field(default_factory=dict)
    _shape: list[tuple[int, ...]] = field(default_factory=list, repr=False)  # the one it is traced for

    @classmethod
    def of(cls, model: Any, *, name: str = "model", domain: Mapping[str, Any] | None = None) -> "Network":
        """A network from a Keras model.

        Raises
        ------
        ValueError
            If the model does not take images (None, None, None, 2) or does not return four maps.
        """
        from specksim_train.architectures import receptive_radius_px

        taken, given = model.input_shape, model.output_shape
        if taken != (None, None, None, 2) or len(given) != 4 or given[-1] != 4:
            raise ValueError(
                f"{name}: the model must turn (None, None, None, 2) into (None, None, None, 4), "
                f"got {taken} into {given}"
            )
        return cls(name, model, receptive_radius_px(model), dict(domain or {}))

    def predict(
        self,
        reference: np.ndarray,
        sample: np.ndarray,
        *,
        setup: Setup | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        subtract_drift: bool = False,
        integration: str | None = None,
    ) -> Retrieval:
        """Displacement from reference to sample.

        Parameters
        ----------
        reference, sample : (H, W) or (K, H, W) array
            Raw counts, any H and W >= 16; of K exposures the mean displacement is returned.
        setup : Setup, optional
            With it the phase is integrated.
        tile : int, optional
            Largest tile, pixels, a multiple of 16; memory grows with its square. Default: 1280.
        overlap : int, optional
            Pixels by which tiles overlap on each side. Default: as far as the network looks, which gives
            what one piece would.
        subtract_drift : bool
            Take the median displacement off dx and dy (and so a ramp off the phase): the sandpaper or the
            beam has moved between the exposures, the object does not fill the frame.
        integration : str, optional
            Method of `integrate_phase`.

        Returns
        -------
        Retrieval
            dx, dy with their standard errors dx_error, dy_error as the network estimates them (for K
            exposures, see Notes), quality (see `alignment.compare`), transmission, and with a
            setup phase. `parameters` holds the median displacement `drift_dx_px` and
            `drift_dy_px`, the whole pixels of it that were taken off before the network and added again
            (`removed_dx_px`, `removed_dy_px`), the `flux` of the sample over that of the reference, which
            was taken off for the network but not of the transmission, and `warnings`.

        Warns
        -----
        OutsideTraining
            If the images are unlike those of the training, or the result does not explain them.

        Raises
        ------
        ValueError
            If the images differ in shape, are not (H, W) or (K, H, W), hold NaN or negative counts or no
            light, or if the tile is too small for the overlap.

        Notes
        -----
        The standard error of a mean of K displacements is s² − (1 − 1/K) v under the root, and at least
        s²/K and v/K, with s² the mean of the single standard errors squared and v the variance among the
        exposures, in windows of 15 px: what all of them have wrong stays.
        """
        references, samples = as_exposures(reference, sample)
        reach = self.radius_px if overlap is None else overlap
        results = [
            self._predict_pair(*pair, tile or TILE_PX, reach)
            for pair in zip(references, samples, strict=True)
        ]
        result = results[0] if len(results) == 1 else _averaged(results)
        if subtract_drift:
            dx = result.dx - np.float32(result.parameters["drift_dx_px"])
            dy = result.dy - np.float32(result.parameters["drift_dy_px"])
            result = replace(result, dx=dx, dy=dy)
        result.parameters["subtract_drift"] = subtract_drift
        if setup is not None:
            result.parameters["warnings"] += unlike_setups(self.domain.get("setups", ()), setup)
            phase = integrate_phase(result.dx, result.dy, setup, method=integration)
            result = replace(result, phase=phase.astype(np.float32))
        for message in result.parameters["warnings"]:
            warnings.warn(f"{self.name}: {message}", OutsideTraining, stacklevel=2)
        return result

    def _run(self, images: np.ndarray) -> np.ndarray:
        """The model on one batch, traced for its shape alone.

        A function that has seen two shapes is traced for any shape, which costs memory and speed.
        """
        if self._shape != [images.shape]:
            self.model.compile(jit_compile=False)  # for each new size it would take longer than it saves
            self.model.make_predict_function(force=True)
            self._shape[:] = [images.shape]
        result: np.ndarray = self.model.predict_on_batch(images)
        return result

    def _predict_pair(self, reference: np.ndarray, sample: np.ndarray, tile: int, overlap: int) -> Retrieval:
        images, drift, flux = align(reference, sample)
        maps = predict_tiled(self._run, images, tile, overlap)
        del images
        shift, error = maps[..., :2], maps[..., 2:]
        dx, dy = shift[..., 0] + np.float32(drift.dx), shift[..., 1] + np.float32(drift.dy)
        quality, transmission = compare(reference, sample, dx, dy)
        messages = unlike_training(self.domain, reference, shift[quality > _TRUSTED_QUALITY])
        if not drift.found:
            messages.append("reference and sample share no pattern that could be matched as a whole")
        inside = quality[_shared(quality.shape[0], drift.dy), _shared(quality.shape[1], drift.dx)]
        unexplained = float(np.mean(inside < _LEAST_QUALITY)) if inside.size else 0.0
        if unexplained > _MOST_UNEXPLAINED:
            messages.append(
                f"the result does not explain the sample in {unexplained:.0%} of the pixels (correlation "
                f"below {_LEAST_QUALITY}): its displacement is too large, or its speckle too faint"
            )
        parameters = {
            "model": self.name,
            "drift_dx_px": float(np.median(dx)),
            "drift_dy_px": float(np.median(dy)),
            "removed_dx_px": drift.dx,
            "removed_dy_px": drift.dy,
            "flux": flux,
            "tile_px": tile,
            "overlap_px": overlap,
            "warnings": messages,
        }
        errors = {"dx_error": error[..., 0].copy(), "dy_error": error[..., 1].copy()}
        return Retrieval(dx, dy, quality, transmission, **errors, method="unet", parameters=parameters)


def _shared(size: int, drift: int) -> slice:
    """What of an axis has a counterpart in the sample, but for a border."""
    border = min(BORDER_PX, size // 4)
    return slice(border + max(-drift, 0), max(size - border - max(drift, 0), 0))


def unlike_training(domain: Mapping[str, Any], reference: np.ndarray, shift: np.ndarray) -> list[str]:
    """In what images and result leave the range of the training.

    Parameters
    ----------
    domain : mapping
        See `Network`; what is missing is not checked.
    reference : (H, W) float32
        Counts; taken as photons.
    shift : (N, 2) float32
        Displacement of the pixels that can be trusted, a drift of whole pixels taken off, pixels.

    Returns
    -------
    list of str
        A message each.
    """
    counts = float(reference.mean())
    found = {
        "visibility": ("the reference's visibility", speckle_visibility(reference)),
        "photons_per_pixel": ("the reference's mean count", counts),
    }
    messages = []
    for key, (words, value) in found.items():
        low, high = domain.get(key) or (-np.inf, np.inf)
        if not low <= value <= high:
            photons = " photons" if key == "photons_per_pixel" else ""
            messages.append(f"{words} is {value:.3g}, the training had {low:.3g} to {high:.3g}{photons}")
    limit = domain.get("displacement_px")
    if limit is not None and len(shift):
        largest = float(np.quantile(np.hypot(shift[:, 0], shift[:, 1]), 0.999))
        if largest > limit:
            messages.append(
                f"displacements reach {largest:.3g} px, the network is to be trusted up to {limit:.3g} px"
            )
    return messages


def unlike_setups(trained_on: Iterable[str], setup: Setup) -> list[str]:
    """A message if energy, distance and pixel are those of none of the setups of the training."""
    nearest = min((distance(setup, Setup.from_toml(text)) for text in trained_on), default=0.0)
    if nearest <= NEAR:
        return []
    return [
        f"energy, distance and pixel of the setup are unlike those of the training, by a factor of "
        f"{np.exp(nearest):.2g} in all"
    ]


def speckle_visibility(reference: np.ndarray) -> float:
    """Standard deviation over mean of the speckle, in the median over windows of 128 pixels.

    Photon noise is taken off, unless the mean is below 20: then the values are no counts.
    """
    step = _LOOKED_AT_PX
    windows = [
        reference[row : row + step, column : column + step]
        for row in range(0, max(reference.shape[0] - step, 0) + 1, step)
        for column in range(0, max(reference.shape[1] - step, 0) + 1, step)
    ]
    means = [float(window.mean()) for window in windows]
    return float(
        np.median(
            [
                visibility(window, mean if mean >= FEWEST_COUNTS else 0.0)
                for window, mean in zip(windows, means, strict=True)
                if mean > 0
            ]
            or [0.0]
        )
    )


def _averaged(results: list[Retrieval]) -> Retrieval:
    """Mean of the maps, its standard errors, and the parameters' means.

    What exposures have in common, as what a network takes for likely, does not average out: only that part of
    the single errors becomes smaller by which the exposures scatter.
    """
    maps = {name: np.stack([getattr(result, name) for result in results]) for name in results[0].maps()}
    parameters = dict(results[0].parameters)
    for name in ("drift_dx_px", "drift_dy_px", "flux"):
        parameters[name] = float(np.mean([result.parameters[name] for result in results]))
    for name in ("removed_dx_px", "removed_dy_px"):
        parameters[name] = [result.parameters[name] for result in results]
    every = [message for result in results for message in result.parameters["warnings"]]
    parameters["warnings"] = list(dict.fromkeys(every))
    means = {name: values.mean(axis=0) for name, values in maps.items()}
    for name in ("dx", "dy"):
        single = np.mean(maps[f"{name}_error"] ** 2, axis=0)
        scatter = uniform_filter(maps[name].var(axis=0, ddof=1), _SCATTER_PX, mode="nearest")
        count = len(results)
        least = np.maximum(single, scatter) / count
        means[f"{name}_error"] = np.sqrt(np.maximum(single - (1 - 1 / count) * scatter, least))
    return Retrieval(
        **means,
        method=results[0].method,
        parameters=parameters,
    )
