"""specksim-train export"""

import click

from specksim_train.cli import require_backend


@click.command()
@click.argument("model", metavar="M")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["onnx", "saved_model"]),
    default="onnx",
    show_default=True,
    help="onnx needs the extra [onnx].",
)
@click.option("-o", "--out", type=click.Path(), help="The file or folder. Default: M.onnx or M-saved_model")
@click.option("--overwrite", is_flag=True, help="Replace an existing file or folder.")
def export(model: str, file_format: str, out: str | None, overwrite: bool) -> None:
    """Write a network as ONNX or SavedModel, and check it against Keras.

    The exported network takes (B, H, W, 2) raw counts, channels (reference, sample), H and W multiples of 16,
    and returns (B, H, W, 4), pixels: dx, dy and their standard errors. M is a run folder, a .keras file or a shipped network.

    \b
    specksim-train export run --format onnx -o network.onnx
    """
    require_backend()
    from pathlib import Path

    from specksim_train.export import export as write
    from specksim_train.export import require_packages
    from specksim_train.inference import load

    name = Path(model).stem if model.endswith(".keras") else Path(model).resolve().name
    target = out or f"{name}{'.onnx' if file_format == 'onnx' else '-saved_model'}"
    require_packages(file_format)
    difference = write(load(model).model, target, file_format=file_format, overwrite=overwrite)
    click.echo(f"{target}: agrees with Keras within {difference:.2g} px")
