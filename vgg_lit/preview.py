"""Draws what an augmentation does to training images, epoch by epoch.

python -m vgg_lit.preview augment=trivial_erasing output=preview.png
python -m vgg_lit.preview augment=cutmix data=cifar10 images=4 epochs=8
"""

from pathlib import Path

from omegaconf import DictConfig

from vgg_lit.command import run_verb
from vgg_lit.config import check, check_source, to_plain
from vgg_lit.errors import InputError
from vgg_lit.files import replacing
from vgg_lit.schema import Data, Preview
from vgg_lit.tables import print_facts
from vgg_lit.targets import instantiate, trust

FORMATS = (".png", ".pdf", ".svg")


def preview(config: DictConfig) -> None:
    """Writes a picture of training images: as they are, and augmented in each of the first epochs.

    Raises:
        InputError: the data or the augmentation cannot be used, or there is no such picture format.
    """
    plain = to_plain(config)
    settings = check(plain, Preview)
    trust(settings.trusted_targets)
    check(settings.data, Data, "data")
    output = Path(settings.output)
    if output.suffix not in FORMATS:
        raise InputError(f"output={output}: the name of a picture ends in {', '.join(FORMATS)}")
    augment = instantiate(settings.augment, key="augment")
    check_source(settings.data)
    spec = {name: value for name, value in settings.data.items() if name != "root"}
    spec |= {"augment": augment, "batch_size": settings.images}

    from vgg_lit.visualizing.augmented_images import draw

    datamodule = instantiate(spec, key="data")
    datamodule.prepare_data()
    datamodule.setup("fit")
    if settings.images > datamodule.sizes["train"]:
        raise InputError(
            f"images={settings.images}: there are only {datamodule.sizes['train']} training images"
        )

    from vgg_lit.analysis.style import DPI

    figure = draw(datamodule, settings.epochs)
    with replacing(output) as temporary:
        figure.savefig(temporary, format=output.suffix[1:], dpi=DPI)
    print_facts({"written": str(output)})


def main() -> None:
    """The console script `vgg-preview`."""
    run_verb(preview, "preview")


if __name__ == "__main__":
    main()
