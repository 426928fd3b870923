"""specksim-train export"""

from typing import TYPE_CHECKING

import click

from specksim.cli.terminal import note
from specksim_train.cli import require_backend

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("model", metavar="M")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["onnx", "saved_model", "packed"]),
    default="onnx",
    show_default=True,
    help="onnx needs the extra [onnx]; packed is a folder that --model takes, in half precision.",
)
@click.option("-o", "--out", type=click.Path(), help="The file or folder. Default: M.onnx or M-FORMAT")
@click.option("--overwrite", is_flag=True, help="Replace an existing file or folder.")
def export(model: str, file_format: str, out: str | None, overwrite: bool) -> None:
    """Write a network as ONNX or SavedModel and check it against Keras, or pack that of a run for others.

    The exported network takes (B, H, W, 2) raw counts, channels (reference, sample), H and W multiples of 16,
    and returns (B, H, W, 4), pixels: dx, dy and their standard errors. M is a run folder, a .keras file or a
    shipped network; packed is a run folder.

    \b
    specksim-train export run --format onnx -o network.onnx
    """
    require_backend()
    from pathlib import Path

    from specksim_train.export import export as write
    from specksim_train.export import require_packages
    from specksim_train.inference import load

    name = Path(model).stem if model.endswith(".keras") else Path(model).resolve().name
    target = out or f"{name}{'.onnx' if file_format == 'onnx' else f'-{file_format}'}"
    if file_format == "packed":
        _pack(Path(model), Path(target), overwrite)
        click.echo(target)
        return
    require_packages(file_format)
    note(f"{target}: writing it and comparing it with Keras takes some 20 s")
    difference = write(load(model).model, target, file_format=file_format, overwrite=overwrite)
    click.echo(f"{target}: agrees with Keras within {difference:.2g} px")


def _pack(run: "Path", target: "Path", overwrite: bool) -> None:
    import shutil

    from specksim_train.packed import is_packed, pack

    if target.exists():
        if not (overwrite and is_packed(target)):
            hint = (
                "--overwrite replaces it"
                if is_packed(target)
                else "and is no packed network: it is left as it is"
            )
            raise FileExistsError(f"{target} exists; {hint}")
        shutil.rmtree(target)
    pack(run, target)
