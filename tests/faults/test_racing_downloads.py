"""Eight processes download to the same empty folder from a server with faults."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from faulty_server import serving

NUM = {"train": 300, "t10k": 100}
SCRIPT = Path(__file__).with_name("racing_download.py")
ROOT = Path(__file__).resolve().parents[2]
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.numpy().tobytes()


@pytest.fixture(scope="module")
def contents():
    """A small data set that replaces the published one: name -> content."""
    files = {}
    for prefix, num in NUM.items():
        pixels = torch.randint(0, 256, (num, 28, 28), dtype=torch.uint8)
        files[f"{prefix}-images-idx3-ubyte"] = idx(pixels)
        files[f"{prefix}-labels-idx1-ubyte"] = idx((torch.arange(num) % 10).to(torch.uint8))
    return files


def race(server, contents, root, number=8):
    """Starts processes together; returns the exit code, output and errors of each."""
    digests = {name: hashlib.sha256(body).hexdigest() for name, body in contents.items()}
    environment = {key: v for key, v in os.environ.items() if key.lower() not in PROXIES}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), server.url, str(root), json.dumps(digests)],
            env={**environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(number)
    ]
    for process in processes:
        assert process.stdin
        process.stdin.close()
        process.stdin = None
    ends = [process.communicate(timeout=120) for process in processes]
    return [(process.returncode, *end) for process, end in zip(processes, ends, strict=True)]


@pytest.mark.slow
def test_one_of_eight_processes_downloads_and_all_get_the_data(contents, tmp_path):
    zipped = {f"{name}.gz": gzip.compress(body) for name, body in contents.items()}
    faults = ["slow", "drop", "wrong", "busy", "closed", "slow", "drop"]
    with serving(zipped, faults) as server:
        ends = race(server, contents, tmp_path / "data")
    assert [end[:2] for end in ends] == [(0, "300 100\n")] * 8, ends
    # one request per file plus five retries: the other processes waited
    assert len(server.requests) == len(contents) + 5
    raw = tmp_path / "data/FashionMNIST/raw"
    assert sorted(path.name for path in raw.iterdir()) == sorted([".download.lock", *zipped])
    for name, body in zipped.items():
        assert (raw / name).read_bytes() == body


@pytest.mark.slow
def test_wrong_content_is_a_one_line_error_in_each_process(contents, tmp_path):
    zipped = {f"{name}.gz": gzip.compress(body[:-1]) for name, body in contents.items()}
    with serving(zipped) as server:
        ends = race(server, contents, tmp_path / "data", number=3)
    for code, out, err in ends:
        lines = [line for line in err.splitlines() if not line.startswith("waiting for another")]
        assert (code, out, len(lines)) == (1, "", 1), (code, out, err)
        assert "not the published content" in lines[0]
        assert "data=fashion_mnist_sample, which needs no download" in lines[0]
    raw = tmp_path / "data/FashionMNIST/raw"
    assert [path.name for path in raw.iterdir()] == [".download.lock"]


@pytest.mark.slow
def test_a_killed_download_is_resumed_by_the_next_process(contents, tmp_path):
    zipped = {f"{name}.gz": gzip.compress(body) for name, body in contents.items()}
    place = tmp_path / "data/FashionMNIST/raw/.download"
    place.mkdir(parents=True)
    first = next(iter(zipped))
    (place / first).write_bytes(zipped[first][:1000])  # the state after kill -9
    with serving(zipped) as server:
        ends = race(server, contents, tmp_path / "data", number=2)
    assert [end[:2] for end in ends] == [(0, "300 100\n")] * 2, ends
    assert server.requests[0] == (first, 1000)
    assert not place.exists()
