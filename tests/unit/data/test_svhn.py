"""SVHN, and the MATLAB files that it is read from."""

import io

import numpy as np
import pytest
import scipy.io
import small_sets

from vgg_lit.data import svhn
from vgg_lit.data.svhn import SVHN
from vgg_lit.errors import InputError


def test_svhn_with_the_extra_images(tmp_path, monkeypatch):
    for file, content in small_sets.make_svhn(monkeypatch).items():
        (tmp_path / file).write_bytes(content)
    (tmp_path / "extra_32x32.mat").rename(tmp_path / "extra")
    plain = SVHN(tmp_path, download=False)
    plain.prepare()
    assert plain.load("train").labels_N.tolist() == [(1 + i) % 10 for i in range(30)]
    source = SVHN(tmp_path, download=False, extra=True)
    with pytest.raises(InputError, match=r"extra_32x32\.mat not found"):
        source.prepare()
    (tmp_path / "extra").rename(tmp_path / "extra_32x32.mat")
    source.prepare()
    assert len(source.load("train").labels_N) == 37
    assert len(source.load("test").labels_N) == 20


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.int32])
def test_mat_files_are_read_as_scipy_reads_them(compressed, dtype):
    arrays = {
        "X": small_sets.pixels(5, 4, 3, 2),
        "y": np.arange(7).astype(dtype)[:, None],
        "one": np.array([[3]], dtype),
        "a_long_name": np.arange(3.0)[None],
    }
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays, do_compression=compressed)
    found = svhn.read_mat(buffer.getvalue())
    expected = scipy.io.loadmat(io.BytesIO(buffer.getvalue()))
    for name in arrays:
        assert np.array_equal(found[name], expected[name])
