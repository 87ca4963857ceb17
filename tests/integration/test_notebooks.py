"""The notebooks run from the first cell to the last, and are stored with their outputs.

The cell tagged `parameters` holds the settings that take time; the tests override them at its end.
"""

import os
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

TRAINING = (
    "model.width=0.03125 data.train_size=64 data.batch_size=16 trainer.max_epochs=1 "
    "trainer.accelerator=cpu trainer.precision=32-true"
)
TINY = {
    "03_train_and_inspect": {"settings": TRAINING},
    "04_features_and_style": {"settings": TRAINING, "steps": 2},
    "05_sweep_and_compare": {"settings": TRAINING, "grid": "seed=0,1"},
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_without_errors(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            lines = (f"\n{name} = {value!r}" for name, value in TINY[path.stem].items())
            cell.source += "".join(lines)
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3")
    client.execute(cwd=os.fspath(tmp_path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_its_outputs(path):
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    kinds = {kind for cell in cells for output in cell.outputs for kind in output.get("data", {})}
    assert "image/png" in kinds
    assert path.stat().st_size < 1_000_000


def test_every_notebook_that_trains_has_tiny_settings():
    trains = {path.stem for path in NOTEBOOKS if "-m vgg_lit.train" in path.read_text()}
    assert trains == set(TINY)
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        (parameters,) = [
            cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ())
        ] or [""]
        assert all(f"{name} = " in parameters for name in TINY.get(path.stem, ()))
