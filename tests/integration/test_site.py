"""The documentation site is built without warnings and needs no other server."""

import importlib.util
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vgg_lit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site_pages():
    """The hook of mkdocs.yml."""
    place = ROOT / "scripts/site_pages.py"
    spec = importlib.util.spec_from_file_location("site_pages", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_api_page_has_the_names_of_the_package(site_pages):
    names = {name for names in site_pages.API.values() for name in names}
    public = {f"vgg_lit.{name}" for name in vgg_lit.__all__} - {"vgg_lit.__version__"}
    assert public <= names
    for name, documented in site_pages.API["Train and use runs"].items():
        if name not in ("vgg_lit.train", "vgg_lit.compare"):  # modules, which can be called
            assert pydoc.locate(name) is pydoc.locate(documented)


def test_each_trained_network_has_a_page(site_pages):
    cards = {card.relative_to(ROOT).as_posix() for card in ROOT.glob("vgg_lit/trained/*/README.md")}
    assert cards
    assert cards <= set(site_pages.PAGES)


def test_the_site_is_built_with_strict_links(tmp_path, site_pages):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "docs").glob("*.md"):
        assert (tmp_path / page.name).with_suffix(".html").is_file()
    start = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'href="training.html"' in start
    assert 'href="benchmarks.html#measured"' in start
    api = (tmp_path / "api.html").read_text(encoding="utf-8")
    anchors = set(re.findall(r'id="(vgg_lit[\w.]*)"', api))
    for documented in (one for names in site_pages.API.values() for one in names.values()):
        assert documented in anchors
    run = site_pages.API["Train and use runs"]["vgg_lit.Run"]
    for name in ("evaluate", "predict", "draw", "export", "history", "metrics", "load_classifier"):
        assert f"{run}.{name}" in anchors
    evaluation = (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    assert 'href="weights-cifar10.html"' in evaluation
    assert 'href="weights-fashion-mnist.html"' in evaluation
    loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', start + api)
    assert loaded == []
