"""Counter-based random numbers: a draw is a pure function of (seed, epoch, sample id, stream).

Each number is a 64-bit hash of its coordinates. It does not depend on the batch, the rank, the
worker or earlier draws. It is the same on every device, because all arithmetic is on integers.

Source: the finaliser of SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number
generators"); the counter-based design of Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3".
"""

import math
import zlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_MASK = (1 << 64) - 1


def uniform(seed: int, epoch: int, ids: Tensor, stream: str) -> Tensor:
    """Returns float32 in [0, 1), one per id, on the ids' device: exact multiples of 2**-24."""
    return _shift_right(_hash(seed, epoch, ids, stream), 40).to(torch.float32) * 2.0**-24


def integers(seed: int, epoch: int, ids: Tensor, stream: str, high: int) -> Tensor:
    """Returns int64 in [0, high), one per id, for 1 <= high < 2**31; bias below high / 2**32."""
    assert 1 <= high < 1 << 31
    return (_shift_right(_hash(seed, epoch, ids, stream), 32) * high) >> 32


def normal(seed: int, epoch: int, ids: Tensor, stream: str) -> Tensor:
    """Returns standard normal float32, one per id: the quantile at a uniform draw.

    The uniform draw is the middle of one of 2**24 equal parts of (0, 1), which limits values to 5.4.
    """
    parts = _shift_right(_hash(seed, epoch, ids, stream), 40).to(torch.float32)
    return torch.erfinv(parts * 2.0**-23 + (2.0**-24 - 1)) * math.sqrt(2)


def permutation(n: int, seed: int, epoch: int, stream: str = "order") -> Tensor:
    """Returns a permutation of 0 .. n-1 (int64, on the CPU): the ids sorted by their hashes."""
    return torch.argsort(_hash(seed, epoch, torch.arange(n), stream), stable=True)


@dataclass(frozen=True)
class Draws:
    """The random numbers of one batch, used by augmentations.

    Attributes:
        seed: seed of the run.
        epoch: epoch, counted from 0.
        ids: (B,) int64, the samples' indices in their official split.
        tables: numbers of all samples in this epoch, computed once; None computes them per batch.
    """

    seed: int
    epoch: int
    ids: Tensor
    tables: "EpochTables | None" = field(default=None, repr=False, compare=False)

    def uniform(self, stream: str) -> Tensor:
        """Returns (B,) float32 in [0, 1); each stream name gives an independent number."""
        return self.each(_draw, uniform, stream)

    def integers(self, stream: str, high: int) -> Tensor:
        """Returns (B,) int64 in [0, high)."""
        return self.each(_draw, integers, stream, high)

    def normal(self, stream: str) -> Tensor:
        """Returns (B,) standard normal float32."""
        return self.each(_draw, normal, stream)

    def order(self, stream: str) -> Tensor:
        """Returns (B,) int64: the batch's positions, sorted by a draw for each sample."""
        return torch.argsort(self.each(_draw, _hash, stream), stable=True)

    def bytes(self, stream: str, count: int) -> Tensor:
        """Returns (B, count) uint8."""
        return _sequence(self.each(_draw, _hash, stream), count)

    def each(self, function: Callable[..., Tensor], *arguments: Hashable) -> Tensor:
        """Returns `function(draws, *arguments)`, where a row depends on its sample's draws alone.

        With tables, the function runs once per epoch for all samples, and a batch is one lookup. A
        GPU then launches one kernel instead of some 25 per draw.

        Args:
            function: function of `Draws` that returns one row per id: the same object in each batch,
                such as a function of a module or a method, not a lambda.
            arguments: further arguments of the function.
        """
        if self.tables is None:
            return function(self, *arguments)
        return self.tables.rows(self, function, arguments)


class EpochTables:
    """Tables of functions of the draws, with one row for each sample of a split.

    The first read in a later epoch drops all tables.

    Args:
        count: number of samples; ids are 0 .. count - 1.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._epoch = 0
        self._tables: dict[Hashable, Tensor] = {}

    def rows(
        self, draws: Draws, function: Callable[..., Tensor], arguments: tuple[Hashable, ...]
    ) -> Tensor:
        """Returns the rows of the table of `function` for the ids of `draws`."""
        if draws.epoch > self._epoch:
            self._epoch, self._tables = draws.epoch, {}
        key = (function, arguments, draws.seed, draws.epoch, draws.ids.device)
        table = self._tables.get(key)
        if table is None:
            ids = torch.arange(self._count, device=draws.ids.device)
            table = function(replace(draws, ids=ids, tables=None), *arguments)
            self._tables[key] = table
        return table.index_select(0, draws.ids)


def _draw(draws: Draws, kind: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Computes a draw of each sample with a function of this module."""
    return kind(draws.seed, draws.epoch, draws.ids, *arguments)


def _sequence(hash_B: Tensor, count: int) -> Tensor:
    """Returns uint8 (B, count): the SplitMix64 sequence seeded with each hash."""
    words = _mix_tensor(hash_B[:, None] + _increments(-(-count // 8), hash_B.device))
    return words.view(torch.uint8)[:, :count]


@lru_cache
def _increments(count: int, device: torch.device) -> Tensor:
    """Returns the first multiples of the increment of SplitMix64; computed once per device."""
    return (torch.arange(1, count + 1) * _signed(_GOLDEN)).to(device)


@lru_cache
def positions(count: int, device: torch.device) -> Tensor:
    """Returns 0 .. count - 1 as int64; computed once per device."""
    return torch.arange(count, device=device)


def _hash(seed: int, epoch: int, ids: Tensor, stream: str) -> Tensor:
    """Returns 64 random bits per id, as int64."""
    key = 0
    # mix each word before adding the next, or (seed, epoch) = (1, 0) and (0, 1) would collide
    for word in (seed, epoch, zlib.crc32(stream.encode())):
        key = _mix((key + word) * _GOLDEN & _MASK)
    return _mix_tensor(_mix_tensor(ids * _signed(_GOLDEN) + _signed(key)) + _signed(key))


def _mix(word: int) -> int:
    """Applies the finaliser of SplitMix64: a bijection of 64-bit words; each bit affects all output bits."""
    word = (word ^ word >> 30) * _FACTORS[0] & _MASK
    word = (word ^ word >> 27) * _FACTORS[1] & _MASK
    return word ^ word >> 31


def _mix_tensor(words: Tensor) -> Tensor:
    """Applies `_mix` to int64 tensors; their products wrap around."""
    words = (words ^ _shift_right(words, 30)) * _signed(_FACTORS[0])
    words = (words ^ _shift_right(words, 27)) * _signed(_FACTORS[1])
    return words ^ _shift_right(words, 31)


def _shift_right(words: Tensor, bits: int) -> Tensor:
    """Shifts right logically: torch has no uint64 arithmetic, and >> on int64 keeps the sign."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    """Returns the int64 with the same bits."""
    word &= _MASK
    return word - (1 << 64) if word >> 63 else word
