"""`propainter weights`: the checkpoints of the learned engine."""

from pathlib import Path
from typing import Annotated

import cyclopts
import rich.progress
from cyclopts import Parameter
from rich.filesize import decimal

from flows.commands.terminal import console, out
from propainter.core.errors import SettingsError
from propainter.models.checkpoints import KNOWN_CHECKPOINTS, LICENCE_URL
from tasks.weights import find_weights, weights_folder

weights_app = cyclopts.App(name="weights", help="The checkpoints of the learned engine.")


@weights_app.command(name="fetch")
def weights_fetch(
    *,
    accept_license: Annotated[bool, Parameter(negative="")] = False,
    mirror: Annotated[str | None, Parameter(name="--from")] = None,
    weights: Path | None = None,
) -> None:
    """Download the released checkpoints; a broken download goes on where it broke.

    Parameters
    ----------
    accept_license
        Say that you have read the terms that are named first.
    mirror
        URL of a folder that holds the files, or a folder on this machine.
    weights
        Where they go; default PROPAINTER_WEIGHTS or the user's folder for data.
    """
    from tasks.fetch_weights import fetch_weights, import_weights

    for checkpoint in KNOWN_CHECKPOINTS:
        out.print(f"{checkpoint.file_name}: {decimal(checkpoint.size_bytes)}, {checkpoint.licence}", markup=False)
    if not accept_license:
        raise SettingsError(
            f"These files come under their authors' terms ({LICENCE_URL}). Give --accept-license to fetch them."
        )
    folder = weights_folder(weights)
    if mirror is not None and Path(mirror).is_dir():
        import_weights(Path(mirror), folder)
    else:
        with rich.progress.Progress(console=console) as bar:
            tasks = {file: bar.add_task(file.file_name, total=file.size_bytes) for file in KNOWN_CHECKPOINTS}
            fetch_weights(folder, mirror=mirror, received=lambda file, held: bar.update(tasks[file], completed=held))
    out.print(f"The weights are in {folder}.", markup=False, soft_wrap=True)


@weights_app.command(name="verify")
def weights_verify(*, weights: Path | None = None) -> None:
    """Check that the three files are the released ones."""
    folder = weights_folder(weights)
    find_weights(folder, verify=True)
    out.print(f"The weights in {folder} are the released ones.", markup=False, soft_wrap=True)


@weights_app.command(name="import")
def weights_import(source: Path, *, weights: Path | None = None) -> None:
    """Copy the released checkpoints from a folder, verified."""
    from tasks.fetch_weights import import_weights

    import_weights(source, weights_folder(weights))
    out.print(f"The weights are in {weights_folder(weights)}.", markup=False, soft_wrap=True)
