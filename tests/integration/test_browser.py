"""Pages as a browser shows them: the report of a run, and TensorBoard's tabs. Skipped without Chromium."""

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
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium to look at pages")


@pytest.fixture
def look(tmp_path):
    """`look(address)`: the pixels of a page and what its console says, after it has settled."""

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
    """How many different colours there are."""
    return len(np.unique(pixels.reshape(-1, 3), axis=0))


def test_the_report_shows_its_pictures_and_complains_of_nothing(verb, tiny_run, tmp_path, look):
    copy = tmp_path / "run"
    shutil.copytree(tiny_run.path, copy)
    done = verb("visualize", f"run={copy}", "figures=[confusion,galleries]", "accelerator=cpu")
    assert done.code == 0, done.err
    pixels, said = look((copy / "report.html").as_uri())
    assert said == []
    assert colours(pixels) > 100  # those of the pictures: text alone has shades of grey
    margins = np.concatenate([pixels[:, :100], pixels[:, -160:-40]], axis=1)  # not the scroll bar
    assert margins.min() > 250  # nothing runs out of the page


def has_read_the_graph(address):
    """Whether the server is up and through its files; before, its own pages stumble."""
    try:
        return json.load(urlopen(f"{address}data/plugin/graphs/info")) != {}
    except URLError:
        return False


@pytest.fixture(scope="module")
def tensorboard(train, tmp_path_factory):
    """The address of a server that shows a run with everything in it."""
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


@pytest.mark.slow
@pytest.mark.parametrize("tab", TABS)
def test_every_tab_of_tensorboard_has_something_to_show(tab, tensorboard, look):
    # TensorBoard 2.21 shows the graph of any network with an error of its own, about every third time
    for _ in range(4 if tab == "graphs" else 1):
        pixels, said = look(f"{tensorboard}#{tab}")
        errors = [line for line in said if "rror:" in line]
        if not errors:
            break
    assert errors == []
    assert colours(pixels[200:]) > 50
