"""Jupyter notebooks: detection, and the plot backend that they set for all processes that they start."""

import os
import sys
from importlib.util import find_spec

BACKENDS = {"inline": "matplotlib_inline", "ipympl": "ipympl", "widget": "ipympl"}
"""Short names of backends of matplotlib, and the packages that they need."""


def is_notebook() -> bool:
    """Returns True in a process that runs the cells of a notebook."""
    if "ipykernel" not in sys.modules:
        return False
    from IPython import get_ipython

    return get_ipython() is not None


def show_figures() -> None:
    """Makes a notebook show figures of matplotlib as pictures, also before `%matplotlib inline`."""
    if not is_notebook():
        return
    from IPython import get_ipython
    from IPython.core.pylabtools import select_figure_formats
    from matplotlib.figure import Figure

    shell = get_ipython()
    formatters = shell.display_formatter.formatters.values()
    if not any(Figure in formatter.type_printers for formatter in formatters):
        select_figure_formats(shell, {"png"})


def replace_missing_plot_backend() -> None:
    """Replaces `MPLBACKEND` by `agg` if its package is not installed: importing pyplot would raise."""
    name = os.environ.get("MPLBACKEND", "")
    module = name.removeprefix("module://").partition(".")[0]
    needed = module if name.startswith("module://") else BACKENDS.get(name.lower())
    if needed and find_spec(needed) is None:
        os.environ["MPLBACKEND"] = "agg"
