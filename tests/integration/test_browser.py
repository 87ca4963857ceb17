"""Renders the report of a run and TensorBoard's tabs in Chromium; skipped without it."""

import json
import shutil
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium to render pages")


@pytest.fixture
def look(tmp_path):
    """`look(address)`: the pixels and console messages of a loaded page."""

    def look(address):
        picture = tmp_path / "page.png"
        done = subprocess.run(
            [
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--use-angle=swiftshader",  # the projector draws with WebGL
                "--enable-unsafe-swiftshader",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--window-size=1400,2000",
                "--virtual-time-budget=30000",
                "--enable-logging=stderr",
                f"--screenshot={picture}",
                address,
            ],
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert picture.is_file(), done.stderr
        said = [line for line in done.stderr.splitlines() if ":CONSOLE:" in line]
        return np.asarray(Image.open(picture).convert("RGB")).astype(int), said

    return look


def colours(pixels):
    """The number of distinct colours."""
    return len(np.unique(pixels.reshape(-1, 3), axis=0))


def test_the_report_shows_its_figures_without_console_errors(verb, tiny_run, tmp_path, look):
    copy = tmp_path / "run"
    shutil.copytree(tiny_run.path, copy)
    done = verb("visualize", f"run={copy}", "figures=[confusion,galleries]", "accelerator=cpu")
    assert done.code == 0, done.err
    pixels, said = look((copy / "report.html").as_uri())
    assert said == []
    assert colours(pixels) > 100  # from the figures: text has only shades of grey
    margins = np.concatenate([pixels[:, :100], pixels[:, -160:-40]], axis=1)  # not the scroll bar
    assert margins.min() > 250  # no content overflows the page


def has_read_the_graph(address):
    """Returns True once the server has read its event files; its pages report errors before that."""
    try:
        return json.load(urlopen(f"{address}data/plugin/graphs/info")) != {}
    except URLError:
        return False


@pytest.fixture(scope="module")
def tensorboard(train, tmp_path_factory):
    """The address of a TensorBoard server for a run with every kind of summary."""
    path = tmp_path_factory.mktemp("tensorboard")
    each_epoch = ("callbacks.tensorboard.histograms=1", "callbacks.tensorboard.max_share=1")
    train(path / "run", "callbacks=[default,tensorboard]", "trainer.max_epochs=2", *each_epoch)
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "tensorboard.main", "--logdir", str(path), "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://localhost:{port}/"
    try:
        for _ in range(120):
            if has_read_the_graph(address):
                break
            time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait()


TABS = (
    "timeseries",
    "scalars",
    "custom_scalars",
    "images",
    "graphs",
    "distributions",
    "histograms",
    "text",
    "pr_curves",
    "hparams",
    "projector",
)


OF_ALL_GRAPHS = "Cannot read properties of undefined (reading '0')"
"""The error that TensorBoard 2.21 logs for any graph of `SummaryWriter.add_graph`, in a large window."""


@pytest.mark.slow
@pytest.mark.parametrize("tab", TABS)
def test_every_tensorboard_tab_shows_content(tab, tensorboard, look):
    pixels, said = look(f"{tensorboard}#{tab}")
    errors = [line for line in said if "rror:" in line]
    if tab == "graphs":
        errors = [line for line in errors if OF_ALL_GRAPHS not in line]
    assert errors == []
    assert colours(pixels[200:]) > 50
