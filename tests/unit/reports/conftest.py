import pytest

from vgg_lit.evaluation.trained import find_trained
from vgg_lit.reports.inspection import Inspection
from vgg_lit.reports.picture import Choice


@pytest.fixture(scope="session")
def trained(tiny_run):
    return find_trained([tiny_run], "best")[0]


@pytest.fixture(scope="module")
def inspection(trained):
    return Inspection(trained, accelerator="cpu")


@pytest.fixture(scope="session")
def choice():
    """Options of the figures: few images of the split, and the default layers."""
    return Choice(images=6, image=None, layers=None, embeddings=20)
