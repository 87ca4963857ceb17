"""Shows the cache of decoded images, or clears it.

python -m vgg_lit.cache
python -m vgg_lit.cache clear
"""

import sys

from vgg_lit.data.cache_entries import cache_entries
from vgg_lit.data.image_cache import cache_folder
from vgg_lit.errors import InputError
from vgg_lit.system.output import exiting_in_one_line, print_guarded
from vgg_lit.tables import print_facts, print_rows

USAGE = "Usage: vgg cache [clear]"


def show() -> None:
    """Prints the entries with their sizes, and the folder."""
    folder = cache_folder()
    entries = list(cache_entries(folder))
    if entries:
        rows = [
            {
                "entry": entry.array.stem,
                "MB": f"{entry.nbytes / 1e6:,.1f}",
                "written": f"{entry.written:%Y-%m-%d %H:%M}",
            }
            for entry in entries
        ]
        print_rows(rows, title="decoded images")
    total = sum(entry.nbytes for entry in entries) / 1e6
    number = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
    print_facts({"cache": f"{folder}: {number}, {total:,.1f} MB"})


def clear() -> None:
    """Removes all entries that no process is filling, and prints their size."""
    removed, busy = 0, 0
    for entry in cache_entries(cache_folder()):
        if entry.remove():
            removed += entry.nbytes
        else:
            busy += 1
    verbs = ("is", "was") if busy == 1 else ("are", "were")
    in_use = f"; {busy} {verbs[0]} being filled and {verbs[1]} kept" if busy else ""
    print_facts({"cleared": f"{cache_folder()}: {removed / 1e6:,.1f} MB{in_use}"})


def main() -> None:
    """Runs `vgg cache` and `vgg cache clear`."""
    arguments = sys.argv[1:]
    if {"-h", "--help"}.intersection(arguments):
        print_guarded(f"{USAGE}\n\n{__doc__}")
        return
    with exiting_in_one_line():
        if arguments == ["clear"]:
            clear()
        elif not arguments:
            show()
        else:
            raise InputError(f"{' '.join(arguments)}: {USAGE}")


if __name__ == "__main__":
    main()
