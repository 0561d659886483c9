"""The command `varsigma-train likelihood`."""

from __future__ import annotations

import typer

from service.likelihood import KEY
from training.card import update_entry
from training.options import Data, Draws, Models, Names, Save, models_dir, need_data


def likelihood(
    names: Names,
    *,
    data: Data = None,
    models: Models = None,
    draws: Draws = 2000,
    save: Save = True,
) -> None:
    """What the size of an effect says of what an assay would find, from the CAGI5 release set."""
    from training.evaluation.likelihood import make_ratios  # noqa: PLC0415 (pandas, scipy)
    from training.evaluation.likelihood_tables import report_of  # noqa: PLC0415 (as above)

    folder, data_dir = models_dir(models), need_data(data)
    for name in names:
        entry, fitted = make_ratios(
            name, models_dir=folder, data_dir=data_dir, draws=draws, threads=1
        )
        report = report_of(name, entry, fitted)
        typer.echo(str(report))
        if save:
            update_entry(folder / name, KEY, entry, report)
