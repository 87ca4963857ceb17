"""Draws augmented training images.

python -m vgg_lit.preview augment=trivial_erasing output=preview.png
python -m vgg_lit.preview augment=cutmix data=cifar10 images=4 epochs=8
"""

from pathlib import Path

from omegaconf import DictConfig

from vgg_lit.config.checks import check_section, check_source, to_plain
from vgg_lit.config.command import run_verb
from vgg_lit.config.schema import Data, Preview
from vgg_lit.data.custom_groups import is_custom
from vgg_lit.errors import InputError
from vgg_lit.system.files import check_writable_file
from vgg_lit.tables import print_facts
from vgg_lit.targets import instantiate, trust

FIGURE_FORMATS = (".png", ".pdf", ".svg")


def preview(config: DictConfig) -> None:
    """Writes a picture of training images: originals, and augmented in each of the first epochs.

    Raises:
        InputError: the data or the augmentation cannot be used, or the picture format is unknown.
    """
    plain = to_plain(config)
    settings = check_section(plain, Preview)
    trust(settings.trusted_targets)
    if is_custom(settings.data):
        raise InputError(f"data._target_={settings.data['_target_']}: augments its images itself")
    check_section(settings.data, Data, "data")
    output = Path(settings.output)
    if output.suffix not in FIGURE_FORMATS:
        raise InputError(f"output={output}: unknown format; allowed: {', '.join(FIGURE_FORMATS)}")
    check_writable_file(output, f"output={output}")
    augment = instantiate(settings.augment, key="augment")
    check_source(settings.data)
    from vgg_lit.analysis.augmented_images import augmented_images
    from vgg_lit.analysis.style import save_figure
    from vgg_lit.data.sources import build_datamodule

    datamodule = build_datamodule(settings.data, augment=augment, batch_size=settings.images)
    datamodule.prepare_data()
    datamodule.setup("fit")
    if settings.images > datamodule.sizes["train"]:
        raise InputError(
            f"images={settings.images}: more than the {datamodule.sizes['train']} training images"
        )

    save_figure(augmented_images(datamodule, settings.epochs), output)
    print_facts({"written": str(output)})


def main() -> None:
    """Runs the console script `vgg-preview`."""
    run_verb(preview, "preview")


if __name__ == "__main__":
    main()
