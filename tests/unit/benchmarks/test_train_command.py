import pytest
from train_command import train


@pytest.mark.slow  # the process; tests/integration/test_benchmarks.py runs one too
def test_a_run_tells_its_time_and_memory(tmp_path, tiny, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    finished = train(tmp_path / "seed", *tiny)
    assert finished.run.status["status"] == "done"
    assert 0 < finished.startup < 300
    assert 10**8 < finished.peak_bytes < 10**10  # torch alone has more than 100 MB resident
    assert finished.images_per_second > 0


def test_a_command_that_fails_shows_what_it_said(tmp_path):
    with pytest.raises(SystemExit, match=r"model=vgg12: there is no such config"):
        train(tmp_path / "seed", "model=vgg12")
