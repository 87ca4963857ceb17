"""Counter-based random numbers: a draw is a pure function of (seed, epoch, sample id, stream).

Each number is a 64-bit hash of its coordinates. It does not depend on the batch, the rank, the
worker or earlier draws. It is the same on every device, because all arithmetic is on integers.

Source: the finaliser of SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number
generators"); the counter-based design of Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3".
"""

import math
import zlib
from dataclasses import dataclass

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


def random_bytes(seed: int, epoch: int, ids: Tensor, stream: str, count: int) -> Tensor:
    """Returns uint8 (ids, count): the SplitMix64 sequence seeded with each id's hash."""
    steps = torch.arange(1, -(-count // 8) + 1, device=ids.device) * _signed(_GOLDEN)
    words = _mix_tensor(_hash(seed, epoch, ids, stream)[:, None] + steps)
    return words.view(torch.uint8)[:, :count]


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
    """

    seed: int
    epoch: int
    ids: Tensor

    def uniform(self, stream: str) -> Tensor:
        """Returns (B,) float32 in [0, 1); each stream name gives an independent number."""
        return uniform(self.seed, self.epoch, self.ids, stream)

    def integers(self, stream: str, high: int) -> Tensor:
        """Returns (B,) int64 in [0, high)."""
        return integers(self.seed, self.epoch, self.ids, stream, high)

    def normal(self, stream: str) -> Tensor:
        """Returns (B,) standard normal float32."""
        return normal(self.seed, self.epoch, self.ids, stream)

    def order(self, stream: str) -> Tensor:
        """Returns (B,) int64: the batch's positions, sorted by a draw for each sample."""
        return torch.argsort(_hash(self.seed, self.epoch, self.ids, stream), stable=True)

    def bytes(self, stream: str, count: int) -> Tensor:
        """Returns (B, count) uint8."""
        return random_bytes(self.seed, self.epoch, self.ids, stream, count)


def _hash(seed: int, epoch: int, ids: Tensor, stream: str) -> Tensor:
    """Returns 64 random bits per id, as int64."""
    key = 0
    # mix each word before adding the next, or (seed, epoch) = (1, 0) and (0, 1) would collide
    for word in (seed, epoch, zlib.crc32(stream.encode())):
        key = _mix((key + word) * _GOLDEN & _MASK)
    return _mix_tensor(_mix_tensor(ids * _signed(_GOLDEN) + _signed(key)) + _signed(key))


def _mix(word: int) -> int:
    """The finaliser of SplitMix64: a bijection of 64-bit words; each bit affects all output bits."""
    word = (word ^ word >> 30) * _FACTORS[0] & _MASK
    word = (word ^ word >> 27) * _FACTORS[1] & _MASK
    return word ^ word >> 31


def _mix_tensor(words: Tensor) -> Tensor:
    """`_mix` for int64 tensors; their products wrap around."""
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
