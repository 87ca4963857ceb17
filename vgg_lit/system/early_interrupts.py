"""Ctrl-C in the first second of a command, before the handlers of `ending_signals` replace Python's.

end_on_interrupt()      # when the package is imported; commands then import Hydra and OmegaConf
"""

import os
import signal
import sys
import threading
from collections.abc import Sequence


def end_on_interrupt() -> None:
    """Makes Ctrl-C end a command of the package at once, without a traceback.

    Other programs that import the package keep their handler, and a process that ignores SIGINT, as one in the
    background of a script, ignores it still.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    if is_command(sys.argv, sys.orig_argv):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_on_interrupt() -> None:
    """Makes Ctrl-C raise KeyboardInterrupt again, for a command that has to close something."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def is_command(arguments: Sequence[str], original: Sequence[str]) -> bool:
    """Returns True if Python was started with a module or console script of the package.

    Args:
        arguments: `sys.argv`; while Python imports the package of `python -m <module>`, the first one is `-m`.
        original: `sys.orig_argv`. A process that multiprocessing has spawned has its parent's `sys.argv`, but not its
            parent's `sys.orig_argv`.
    """
    if not 0 < len(arguments) < len(original):
        return False
    started = original[-len(arguments)]
    if arguments[0] == "-m":
        return started.removeprefix("-m").partition(".")[0] == "vgg_lit"
    name = os.path.basename(started).removesuffix(".exe")
    return arguments[0] == started and (name == "vgg" or name.startswith("vgg-"))
