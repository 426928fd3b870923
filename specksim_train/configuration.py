"""What a run depends on, as its config.json holds it, and what is refused before it begins."""

import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from specksim.retrieval.inputs import FEWEST_COUNTS
from specksim_train import architectures, backend, runs
from specksim_train.augmentation import Augmentation
from specksim_train.beamlines import FARTHEST, distance
from specksim_train.data import PairFiles, Survey
from specksim_train.settings import Settings
from specksim_train.simulation import SimulatedPairs

VERSION = 1


def configuration(
    settings: Settings,
    files: PairFiles | None,
    held_out: PairFiles | None,
    simulate: SimulatedPairs | None,
    from_model: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    """All that a run depends on, for its config.json."""

    def described(survey: Survey) -> dict[str, Any]:
        return {**asdict(survey), "frame": list(survey.frame)}

    trained_on = files.survey() if files is not None else simulate.survey()  # type: ignore[union-attr]
    return {
        "version": VERSION,
        "settings": asdict(settings),
        "from_model": None if from_model is None else str(from_model),
        "simulate": None if simulate is None else simulate.describe(),
        "domain": _domain(trained_on, settings),
        "trained_on": described(trained_on),
        "validated_on": None if held_out is None else described(held_out.survey()),
        "versions": backend.versions(),
    }


def _domain(survey: Survey, settings: Settings) -> dict[str, Any]:
    """The images for which the network may be trusted; else `predict` warns."""
    varied = settings.augmentation
    drift = math.hypot(varied.drift_px, varied.drift_px) if varied.drift_share else 0.0
    photons = varied.photons or survey.photons
    largest = architectures.LARGEST_PX[settings.architecture]
    domain: dict[str, Any] = {
        "displacement_px": min(1.1 * (survey.displacement_px + drift), largest),
        "visibility": [0.9 * survey.visibility[0], 1.1 * survey.visibility[1]],
    }
    if photons[0] > FEWEST_COUNTS:  # else the images hold relative intensities
        domain["photons_per_pixel"] = [0.9 * photons[0], 1.1 * photons[1]]
    return domain


def require_same(run: Path, config: dict[str, Any]) -> None:
    """Refuse to go on with other settings or data; paths, versions and a longer run may differ."""
    before = runs.read_config(run)
    for name, ours in _comparable(config).items():
        theirs = _comparable(before).get(name)
        if ours != theirs:
            raise ValueError(f"{run} cannot be resumed: {name} was {theirs!r}, now {ours!r}")


def _comparable(config: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in config.get("settings", {}).items():
        flat[name] = sorted(value.items(), key=str) if isinstance(value, dict) else value
    if isinstance(flat.get("augmentation"), list):
        flat["augmentation"] = [[k, list(v) if isinstance(v, tuple) else v] for k, v in flat["augmentation"]]
    for name in ("trained_on", "validated_on"):
        part = config.get(name)
        flat[f"{name} (content hashes)"] = None if part is None else sorted(part["content_hashes"].values())
    flat["from_model"] = config.get("from_model")
    flat["simulate"] = config.get("simulate")
    return flat


def require_photons(varied: Augmentation, files: PairFiles | None, simulate: SimulatedPairs | None) -> None:
    """Refuse to split or thin the grey values of a camera as if they were photons."""
    requests = files.requests if files is not None else {"simulate": simulate.request} if simulate else {}
    for name, request in requests.items():
        if not request.setup.detector.plain and (varied.still_share or varied.photons):
            raise ValueError(
                f"{name}: still_share must be 0 and photons left out (--still-share 0), since gain, offset "
                f"or noise of the detector make grey values of photons; got {varied.still_share} and "
                f"{varied.photons}"
            )


def require_held_out(held_out: PairFiles, files: PairFiles | None, simulate: SimulatedPairs | None) -> None:
    """Refuse validation pairs of the sandpaper, or of another beamline, than those of the training."""
    (own,) = held_out.requests.values()
    trained = {} if files is None else files.requests
    for name, request in trained.items():
        if request.reference or own.reference:  # a measured sandpaper is that of all splits
            if request.reference == own.reference:
                raise ValueError(
                    f"validation must be of another measured sandpaper than {name}, got the same"
                )
        elif (request.split, request.seed) == (own.split, own.seed):
            raise ValueError(
                f"validation must be of another sandpaper than {name}, got the same split and seed, "
                f"{own.split} and {own.seed}: generate it with --split validation"
            )
    setups = [request.setup for request in trained.values()]
    if simulate is not None:
        setups.append(simulate.request.setup)
    if min(distance(own.setup, setup) for setup in setups) > FARTHEST:
        raise ValueError(
            "validation must be of the beamline of the training, got another energy, distance or pixel "
            f"({own.setup.beam.energy_kev:g} keV, {own.setup.effective_distance_m:g} m, "
            f"{1e6 * own.setup.object_pixel_m:g} µm)"
        )
