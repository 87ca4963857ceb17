"""Mutations of files, with a fixed seed: flipped bits, cuts, repeats, and numbers at their limits."""

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vgg_lit.errors import InputError

LIMITS = (
    *(
        b"\x00",
        b"\xff",
        b"\x7f",
        b"\x80",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\x7f",
    ),
    *(
        b"-1",
        b"0",
        b"NaN",
        b"1e999",
        b"99999999999999999999",
        b"null",
        b"[]",
        b"{}",
        b'"',
        b"\\ud800",
    ),
    *(b"[" * 200, b"&a [*a]", b"*a", b"<<", b"!!python/object", b"\n", b",", b":", b"\x1b[2J"),
)
"""Bytes that a mutation writes: limits of integers, and pieces of JSON, YAML and CSV."""

SECONDS = 20
"""Limit on one file; it is far above the usual milliseconds, also on a busy machine."""


class Hang(BaseException):
    """A file that was not read within `SECONDS`; not an `Exception`, so that no reader handles it."""


def mutate(body: bytes, draw: random.Random) -> bytes:
    """Returns a body with one to eight changes."""
    changed = bytearray(body)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 8))):
        place = draw.randrange(len(changed) + 1)
        end = min(len(changed), place + draw.choice((1, 2, 4, 16, 256)))
        match draw.randrange(8):
            case 0 | 1 if place < len(changed):
                changed[place] ^= 1 << draw.randrange(8)
            case 2:
                changed[place : place + 1] = draw.choice(LIMITS)
            case 3:
                limit = draw.choice(LIMITS)
                changed[place : place + len(limit)] = limit
            case 4:
                del changed[place:end]
            case 5:
                changed[place:place] = changed[place:end] * draw.choice((1, 2, 50))
            case 6:
                changed[place:end] = bytes(end - place)
            case _ if draw.random() < 0.2:
                del changed[place:]
    return bytes(changed)


def mutations(bodies: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yields the name of an original and a mutation of it, `count` times."""
    draw = random.Random(seed)
    names = list(bodies)
    for number in range(count):
        name = names[number % len(names)]
        yield name, mutate(bodies[name], draw)


@contextmanager
def timed() -> Iterator[None]:
    """Raises `Hang` in the context after `SECONDS`."""

    def stop(signum: int, frame: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(read: Callable[[], Any]) -> str:
    """Returns `read`, `refused`, `hang`, or the type and message of an error that is not a refusal."""
    try:
        with timed():
            read()
    except InputError as error:
        return "refused" if "\n" not in str(error) else "more than one line"
    except Hang:
        return "hang"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    return "read"
