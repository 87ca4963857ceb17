"""The figures that a command asks for of a trained run.

drawing = Drawing(trained, settings, data)
for picture in drawing.pictures(["confusion", "pairs"]):
    picture.figure
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vgg_lit.config.schema import Visualize
from vgg_lit.errors import InputError
from vgg_lit.evaluation.trained import Trained
from vgg_lit.reports.catalogue import DRAWN, missing_extra
from vgg_lit.reports.inspection import Inspection
from vgg_lit.reports.picture import Choice, Picture
from vgg_lit.system.hardware import count_devices, resolve_precision
from vgg_lit.system.lightning_internals import quieten_lightning


class Drawing:
    """The figures of a trained network, drawn one after the other.

    Args:
        trained: checkpoint of the run.
        settings: settings of the command.
        data: `data` group of the run with its place on this machine.

    Attributes:
        inspection: the predictions, features and images of the run.
        facts: what is drawn from, to print.
        names: figures to draw, in the order of the report.
        left_out: the reason for each figure that cannot be drawn.

    Raises:
        InputError: a figure that was asked for needs a package, or the data cannot be used.
    """

    def __init__(self, trained: Trained, settings: Visualize, data: Mapping[str, Any]) -> None:
        asked = settings.figures
        self.is_asked = bool(asked)
        self.left_out = {name: why for name in asked or DRAWN if (why := missing_extra(name))}
        if asked and self.left_out:
            name, why = next(iter(self.left_out.items()))
            raise InputError(f"figures: {name} {why}")
        self.names = [
            name for name in DRAWN if name in (asked or DRAWN) and name not in self.left_out
        ]
        quieten_lightning()
        count_devices(settings.accelerator)
        precision, reason = resolve_precision(
            settings.precision or trained.run.config["trainer"]["precision"], settings.accelerator
        )
        s = settings
        self.inspection = Inspection(trained, s.split, s.batch_size, s.accelerator, precision, data)
        self.choice = Choice(s.images, s.image, s.layers, s.embeddings)
        self.facts = {"checkpoint": str(trained.checkpoint), "data": self.inspection.data_name}
        if self.inspection.changes:
            self.facts["changed"] = f"since the training: {self.inspection.changes}"
        self.facts["precision"] = f"{precision} ({reason})"

    def pictures(self, names: Sequence[str]) -> Iterator[Picture]:
        """Yields the pictures of figures; the run may have no data for one, which is then left out.

        Raises:
            InputError: a figure that was asked for cannot be drawn.
        """
        for name in names:
            try:
                yield from DRAWN[name](self.inspection, self.choice)
            except InputError as error:
                if self.is_asked:
                    raise InputError(f"figures: {name}: {error}") from error
                self.left_out[name] = str(error)
