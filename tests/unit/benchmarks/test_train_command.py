import pytest
from train_command import train


@pytest.mark.slow  # starts a process; tests/integration/test_benchmarks.py also does
def test_time_and_memory_of_a_run_are_measured(tmp_path, tiny, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    finished = train(tmp_path / "seed", *tiny)
    assert finished.run.status["status"] == "done"
    assert 0 < finished.startup < 300
    assert 10**8 < finished.peak_bytes < 10**10  # torch alone has more than 100 MB resident
    assert finished.images_per_second > 0


def test_the_output_of_a_failed_command_is_reported(tmp_path):
    with pytest.raises(SystemExit, match=r"model=vgg12: there is no such config"):
        train(tmp_path / "seed", "model=vgg12")
