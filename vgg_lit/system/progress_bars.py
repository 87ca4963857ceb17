"""Progress bars of rich on standard error."""

from rich.console import Console
from rich.progress import Progress, ProgressColumn


def progress_bar(*columns: ProgressColumn, is_wanted: bool = True) -> Progress:
    """Returns a progress bar that disappears at its end; without a terminal nothing is printed.

    Args:
        columns: columns of the bar; none: those of rich.
        is_wanted: False for work that is too short for a bar.
    """
    console = Console(stderr=True)
    # older versions of rich print a blank line for a disabled bar, such as 13.0
    console.quiet = not (is_wanted and console.is_terminal)
    return Progress(*columns, console=console, transient=True, disable=console.quiet)
