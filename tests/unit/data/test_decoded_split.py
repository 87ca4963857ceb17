"""A split that is decoded once: in order, into the cache, and for its statistics."""

import pytest
import torch

from vgg_lit.data import decoded_split
from vgg_lit.data.decoded_split import DecodedSplit, read_in_order
from vgg_lit.data.statistics import channel_statistics, pixel_sums

IMAGES = torch.arange(300 * 4, dtype=torch.int64).remainder(251).to(torch.uint8).view(300, 1, 2, 2)


class Split(DecodedSplit):
    """Images in memory; counts how often they are decoded."""

    def __init__(self, cache):
        self.labels_N, self.in_channels, self.size = torch.zeros(300).long(), 1, 2
        self.cache, self.decodings = cache, 0

    def _in_order(self, description):
        self.decodings += 1
        return read_in_order(300, lambda batches: (IMAGES[list(one)] for one in batches), "")

    def _fingerprint(self):
        return "always"


def test_a_split_is_decoded_once_and_then_read_from_the_cache(tmp_path):
    first, second = (Split(tmp_path / "a.npy") for _ in range(2))
    for split in (first, second, second):
        assert torch.equal(split.decoded(), IMAGES)
    assert (first.decodings, second.decodings) == (1, 0)
    for split in (first, second):
        assert split.statistics() == channel_statistics(pixel_sums(IMAGES))
    assert (first.decodings, second.decodings) == (2, 0)


@pytest.mark.parametrize("count", [0, 1, 256, 600])
def test_batches_have_all_positions_in_order(count):
    batches = list(read_in_order(count, lambda batches: batches, "Reading"))
    assert [position for batch in batches for position in batch] == list(range(count))
    assert all(len(batch) == 256 for batch in batches[:-1])


def test_large_splits_have_a_progress_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(decoded_split, "_BAR_FROM", 10)
    for count, is_shown in ((9, False), (10, True)):
        list(read_in_order(count, lambda batches: batches, "Reading [x]"))
        assert ("Reading [x]" in capsys.readouterr().err) == is_shown
