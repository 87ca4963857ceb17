"""The idx format of MNIST."""

import torch

from vgg_lit.data.idx import parse_idx


def test_an_array_is_read_with_its_axes():
    values = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4)
    lengths = b"".join(length.to_bytes(4, "big") for length in values.shape)
    found = parse_idx(b"\0\0\x08\x03" + lengths + values.numpy().tobytes())
    assert torch.equal(found, values)
