"""Jupyter notebooks and matplotlib.

is_notebook()                       # True in a cell
replace_missing_plot_backend()      # notebooks set MPLBACKEND for all processes that they start
give_settings_folder()              # matplotlib before 3.11 needs a home folder or another one
"""

import atexit
import os
import shutil
import sys
import tempfile
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


def give_settings_folder() -> None:
    """Sets `MPLCONFIGDIR` to a temporary folder, removed at the end, if the user has no home folder."""
    if "MPLCONFIGDIR" not in os.environ and os.path.expanduser("~") == "~":
        folder = os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="matplotlib-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
