import pytest
from omegaconf import OmegaConf

from vgg_lit.evaluation.trained import find_trained
from vgg_lit.reports.inspection import Inspection
from vgg_lit.reports.picture import Choice
from vgg_lit.runs import Run


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


def finish(run, metrics, history):
    """Writes the results of a run."""
    if metrics:
        run.write_metrics(metrics)
        run.set_status("done")
    if history:
        run.metrics_file.write_text(history)
    return run


@pytest.fixture
def make_run(tmp_path, compose):
    """`make_run("a", {"val/acc": 0.5}, "seed=1")`: writes the files of a finished run."""

    def make_run(name, metrics, *overrides, history=""):
        config = OmegaConf.to_container(compose("model.width=0.03125", *overrides), resolve=True)
        run = Run.start(tmp_path / name, config, overrides)
        return finish(run, metrics, history)

    return make_run


@pytest.fixture
def write_run(tmp_path):
    """`write_run("a", {"val/acc": 0.5}, seed=1)`: writes a finished run with a few settings."""

    def write_run(place, metrics, *, model="vgg11_bn", lr=0.1, history="", **settings):
        net = {"_target_": f"vgg_lit.models.{model}", "num_classes": 10, "in_channels": 1}
        config = {
            "model": {**net, "image_size": 32, "head": "gap", "width": 0.03125},
            "optimizer": {"_target_": "torch.optim.SGD", "lr": lr},
            "data": {"num_classes": 10, "fold": settings.pop("fold", None)},
            "seed": 0,
            **settings,
        }
        path = tmp_path / place
        path.mkdir(parents=True)
        OmegaConf.save(OmegaConf.create(config), path / "config.yaml")
        run = Run(path)
        return finish(run, metrics, history)

    return write_run


@pytest.fixture
def write_predictions():
    """`write_predictions(run, "ab", "ba")`: writes true and predicted classes of images 0, 1, ..."""

    def write_predictions(run, true, predicted, split="test"):
        lines = [
            f"{i},{t},{p},0.5,0.7,1\n" for i, (t, p) in enumerate(zip(true, predicted, strict=True))
        ]
        header = "image,true,predicted,probability,loss,rank\n"
        (run.path / f"predictions_{split}.csv").write_text(header + "".join(lines))

    return write_predictions
