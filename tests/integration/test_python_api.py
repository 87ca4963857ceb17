"""A notebook that trains, shows and predicts, with the plot backend of Jupyter."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).resolve().parents[2]

CELLS = [
    "import os\nassert 'inline' in os.environ['MPLBACKEND']\nimport vgg_lit",
    "run = vgg_lit.train(*{tiny}, seed=1, name='cell')",
    "len(run.history()), run.metrics['test/acc']",
    "import numpy as np\nrun.predict(np.zeros((2, 28, 28), np.uint8))[1].likeliest[0]",
    "from vgg_lit.analysis.curves import learning_curves\n"
    "learning_curves({{'acc': {{'a': ([1, 2], [0.1, 0.2])}}}})",
    "try:\n    vgg_lit.train('optimizer.lr=-1')\nexcept ValueError as error:\n    print(error)",
    "import sys\n!{{sys.executable}} -m vgg_lit.compare runs=logs; echo code $?",
    "run.draw('confusion', accelerator='cpu')[0].figure",
    "import shutil\nshutil.copytree(run.path, 'logs/runs/copy')\nvgg_lit.compare('logs').figure",
]


def test_a_notebook_trains_shows_and_predicts(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # A kernel sets it itself, unless an earlier test has set another one.
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    cells = [nbformat.v4.new_code_cell(cell.format(tiny=tiny)) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3")
    client.execute(cwd=str(tmp_path))
    kinds = [{kind for output in cell.outputs for kind in output.get("data", {})} for cell in cells]
    texts = ["".join(output.get("text", "") for output in cell.outputs) for cell in cells]
    pages = [output.get("data", {}).get("text/html", "") for output in cells[1].outputs]
    assert sum("data:image/png" in page for page in pages) == 1
    assert "epoch 1/1" not in texts[1]  # the picture is in its place
    assert all("text/plain" in kind for kind in kinds[2:4])
    assert "optimizer.lr=-1" in texts[5]
    assert "Traceback" not in texts[6]
    assert "code 2" in texts[6]
    assert all("image/png" in kind for kind in kinds[7:])


def test_a_backend_of_an_absent_package_breaks_no_command(command, tiny, tmp_path):
    done = command("train", *tiny, cwd=tmp_path, MPLBACKEND="module://absent_package.backend")
    assert done.code == 0, done.err
    assert done.out.startswith("train: loading torch ...\n")
