"""The script counts the images that predict marks."""

import importlib.util
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "scripts" / "measure_unlike_images.py"


def test_inverted_images_of_the_sample_are_counted(monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("measure_unlike_images", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    monkeypatch.setattr(script, "SUBSETS", ())
    script.main()
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "6000" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["6000", "2.0", "1000.0"]
