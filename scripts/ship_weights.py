"""Writes the last checkpoint of a run as shipped weights: a folder of `vgg_lit/trained/`.

    python scripts/ship_weights.py <run> cifar10 "94.0 % of the 10,000 test images with views"

Prints the SHA-256 for `SHIPPED` in `vgg_lit/models/shipped.py`. The weights are in half precision.
"""

import json
import sys

import torch
from omegaconf import OmegaConf

from vgg_lit.checkpoints.portable import write_portable
from vgg_lit.checkpoints.weights import read_trained
from vgg_lit.models.shipped import FILE, FOLDER
from vgg_lit.runs import Run
from vgg_lit.system.files import sha256, write_json, write_text

CARD = """\
# {name}: `fast_vgg`, trained on {data}

Maps {kind} images of {side} x {side} pixels to {count} classes: {classes}.

- Accuracy: {accuracy}.
- Trained with `python -m vgg_lit.train {overrides}` on {hardware}, by vgg_lit {version} and torch {torch},
  precision {precision}; the weights of the last epoch, stored in half precision.
- Images are normalised with mean {mean} and standard deviation {std}, for pixels in 0..1.
- The test images were used only after training. No setting was selected on them.
- Licence of the weights: MIT, as the package. {data} has separate terms of use.

```bash
python -m vgg_lit.predict weights={name} images=photo.png
python -m vgg_lit.evaluate weights={name} flip=true shifts=1
python -m vgg_lit.train data=image_folder data.root=photos init.from={name}
```

```python
from vgg_lit.models import fast_vgg

net = fast_vgg(weights="{name}")
```
"""

PRIVATE = ("data_root=", "hydra.", "name=", "trainer.max_epochs=")
"""Beginnings of overrides that the card does not show."""


def main() -> None:
    """Writes the folder."""
    path, name, accuracy = sys.argv[1:]
    run, folder = Run(path), FOLDER / name
    checkpoint = read_trained(run.checkpoint("last"))
    hyperparameters = checkpoint["hyper_parameters"]
    shape = hyperparameters["preprocessing"]
    write_portable(checkpoint, folder / FILE, torch.float16)
    overrides = [o for o in run.overrides.begun_with if not o.startswith((*PRIVATE, "seed="))]
    overrides.append(f"seed={run.config['seed']}")
    config = run.config
    for holder, key in ((config, "data_root"), (config["data"], "root")):
        holder[key] = "data"
    config["data"]["source"]["root"] = "data"
    config["name"] = None
    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
    write_json(folder / "metrics.json", run.metrics)
    write_text(
        folder / "README.md",
        CARD.format(
            name=name,
            data=config["data"]["source"]["_target_"].rpartition(".")[2],
            kind="grey" if shape["in_channels"] == 1 else "colour",
            side=shape["image_size"],
            count=len(hyperparameters["classes"]),
            classes=", ".join(hyperparameters["classes"]),
            accuracy=accuracy,
            overrides=" ".join(overrides),
            hardware=run.environment["processor"],
            version=checkpoint["vgg_lit"]["version"],
            torch=run.environment["packages"]["torch"],
            precision=config["trainer"]["precision"],
            mean=[round(value, 4) for value in shape["mean"]],
            std=[round(value, 4) for value in shape["std"]],
        ),
    )
    print(json.dumps({name: sha256(folder / FILE)}))


if __name__ == "__main__":
    main()
