"""The notebooks run from the first cell to the last, and are stored with their outputs.

The cell tagged `parameters` holds the settings that take time; the tests override them at its end.
"""

import ast
import os
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

TRAINING = {
    "model.width": 0.03125,
    "data.train_size": 64,
    "data.test_size": 50,
    "data.batch_size": 16,
    "trainer.max_epochs": 1,
    "trainer.accelerator": "cpu",
    "trainer.precision": "32-true",
    "trainer.enable_progress_bar": False,
}
TINY = {
    "03_train_and_inspect": {"settings": TRAINING},
    "04_features_and_style": {"settings": {**TRAINING, "data.test_size": 1000}, "steps": 2},
    "05_sweep_and_compare": {
        "settings": " ".join(f"{key}={value}" for key, value in TRAINING.items()),
        "grid": "seed=0,1",
    },
    "06_seeds_to_a_paper": {
        "settings": {**TRAINING, "model": "vgg11_bn"},
        "seeds": [0, 1],
    },
}

PUBLIC = {
    *("vgg_lit", "vgg_lit.data", "vgg_lit.models", "vgg_lit.models.functional"),
    *("vgg_lit.analysis.augmented_images", "vgg_lit.analysis.complexity"),
    *("vgg_lit.analysis.features", "vgg_lit.analysis.figures"),
    *("vgg_lit.analysis.receptive_field", "vgg_lit.analysis.style_transfer"),
}
"""The modules of the Python API, as docs/python-api.md lists them."""

WARNING = re.compile(r"Warning|warning:|Traceback|\berror:")
PLACE = re.compile(r"(?<![\w.])/(?:tmp|home|root|usr|opt|var|mnt|work|Users)/|[A-Z]:\\\\")


def code_cells(path):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


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
    cells = code_cells(path)
    assert all(cell.execution_count for cell in cells)
    kinds = {kind for cell in cells for output in cell.outputs for kind in output.get("data", {})}
    assert "image/png" in kinds
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_have_no_warnings_and_no_paths_of_a_machine(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.get("name") != "stderr", output["text"]
            data = output.get("data", {})
            texts = [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
            for text in texts:
                assert not WARNING.search(text), text[:300]
                assert not PLACE.search(text), text[:300]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_the_public_api_alone(path):
    for cell in code_cells(path):
        lines = [line for line in cell.source.splitlines() if not line.startswith(("%", "!"))]
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.ImportFrom):
                modules = [node.module]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            else:
                continue
            assert {name for name in modules if name.startswith("vgg_lit")} <= PUBLIC, cell.source
            private = [a.name for a in node.names if a.name.startswith("_")]
            assert not private, cell.source


def test_the_page_of_the_python_api_lists_the_public_modules():
    page = (ROOT / "docs/python-api.md").read_text(encoding="utf-8")
    listed = page[page.index("## Public modules") :].split("\n## ")[0]
    assert set(re.findall(r"`(vgg_lit[\w.]*)`", listed)) == PUBLIC | {"vgg_lit.errors"}


def test_every_notebook_that_trains_has_tiny_settings():
    trains = {
        path.stem
        for path in NOTEBOOKS
        if any(
            word in cell.source
            for word in ("-m vgg_lit.train", "vgg_lit.train(")
            for cell in code_cells(path)
        )
    }
    assert trains == set(TINY)
    for path in NOTEBOOKS:
        (parameters,) = [
            cell.source
            for cell in code_cells(path)
            if "parameters" in cell.metadata.get("tags", ())
        ] or [""]
        assert all(f"{name} = " in parameters for name in TINY.get(path.stem, ()))
