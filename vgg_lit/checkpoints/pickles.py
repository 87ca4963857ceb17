"""Checks the instructions of a pickle, before torch executes them.

check_pickle(pickletools.genops(content))

`weights_only=True` allows calls of a few functions, such as `_codecs.encode`, `set` and `OrderedDict`. They copy
their arguments, and a pickle can call them a thousand times with one large argument.
"""

import pickletools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from vgg_lit.errors import one_line

MOST_INSTRUCTIONS = 2_000_000
"""Limit on the instructions of a pickle; a tensor takes about 40."""

SIZE = 8
"""Bytes that a value counts; a text counts its length in addition."""

MOST_COPIES = 4
"""Limit on the bytes that calls copy, as a multiple of the bytes of all values."""

FREE_COPIES = 2**24
"""Bytes that calls may copy in addition."""

Value = int | list[Any]
"""The bytes of a plain value, or the parts of a container or of a call."""


def check_pickle(codes: Iterator[tuple[Any, Any, Any]]) -> None:
    """Checks that a pickle, as `pickletools.genops` reads it, needs about as much memory as it has bytes.

    Raises:
        ValueError: it is damaged, has too many instructions, makes a bytearray or a tensor without values, or
            calls functions with large arguments many times.
    """
    stack: list[Value] = []
    marks: list[int] = []  # heights of the stack
    memo: dict[int, Value] = {}
    held = copied = 0
    for number, (code, argument, _) in enumerate(codes):
        if number > MOST_INSTRUCTIONS:
            raise ValueError(f"it has more than {MOST_INSTRUCTIONS:,} instructions")
        if isinstance(argument, str):
            if argument.endswith("bytearray"):
                raise ValueError("it holds a bytearray, which may be of any size")
            if argument.endswith("_rebuild_meta_tensor_no_storage"):
                raise ValueError("it holds a tensor without values")
        if code.name == "MARK":
            marks.append(len(stack))
        elif code.name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1] if stack else SIZE
        elif code.name in ("BINGET", "LONG_BINGET"):
            stack.append(memo.get(argument, SIZE))
        else:
            parts = _taken(stack, marks, code.stack_before) if code.stack_before else []
            size = SIZE + (len(argument) if isinstance(argument, str | bytes) else 0)
            held += size
            if code.name in ("REDUCE", "NEWOBJ", "BUILD"):
                copied += _size(parts[1:])
                if copied > MOST_COPIES * held + FREE_COPIES:
                    raise ValueError("it copies large values many times")
            if code.name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "BUILD"):
                if isinstance(parts[0], list):
                    parts[0].extend(parts[1:])
                stack.append(parts[0])
            elif code.stack_after:
                stack.append(parts if parts or code.name.startswith("EMPTY_") else size)


def why_refused(error: Exception) -> str | None:
    """Returns the reason why `weights_only=True` refused a function or class, without torch's advice to load it.

    None for other errors.
    """
    found = re.search(r"GLOBAL (\S+) (?:was not|whose module)", one_line(error))
    return (
        f"contains {found[1]}, which is not loaded because it can execute code" if found else None
    )


def _taken(stack: list[Value], marks: list[int], kinds: Sequence[Any]) -> list[Value]:
    """Removes and returns the values that an instruction uses, the deepest one first."""
    start = len(stack) - len(kinds)
    if pickletools.stackslice in kinds:  # values above the mark, and those that precede it
        start = (marks.pop() if marks else -1) - kinds.index(pickletools.markobject)
    if start < 0:
        raise ValueError("it is damaged: an instruction has no values")
    taken = stack[start:]
    del stack[start:]
    return taken


def _size(values: list[Value]) -> int:
    """Returns the bytes of values with all their parts; a sum above the free bytes may be incomplete."""
    total, waiting = SIZE * len(values), [*values]
    while waiting and total <= FREE_COPIES:
        value = waiting.pop()
        if isinstance(value, int):
            total += value
        else:
            total += SIZE * len(value)
            if total <= FREE_COPIES:
                waiting += value
    return total
