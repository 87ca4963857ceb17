"""Adds the documents outside docs/ and the API to the documentation site; a hook of mkdocs.yml.

Links between documents of the repository become links between pages. A link to another file of the
repository becomes plain text.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "vgg_lit/trained/cifar10/README.md": "weights-cifar10.md",
    "vgg_lit/trained/fashion_mnist/README.md": "weights-fashion-mnist.md",
}
"""Document of the repository -> page of the site. Files of docs/ keep their names."""

API = {
    "Train and use runs": {
        "vgg_lit.train": "vgg_lit.interactive.train_run",
        "vgg_lit.compose": "vgg_lit.config.composing.compose",
        "vgg_lit.Run": "vgg_lit.interactive_run.InteractiveRun",
        "vgg_lit.Sweep": "vgg_lit.interactive.InteractiveSweep",
        "vgg_lit.compare": "vgg_lit.interactive.compare_runs",
    },
    "Results": {
        "Prediction": "vgg_lit.evaluation.prediction.Prediction",
        "Picture": "vgg_lit.reports.picture.Picture",
        "ComparisonReport": "vgg_lit.reports.comparison_report.ComparisonReport",
    },
    "Errors": {
        "vgg_lit.InputError": "vgg_lit.errors.InputError",
        "vgg_lit.TrainingError": "vgg_lit.errors.TrainingError",
        "vgg_lit.errors.OutOfMemory": "vgg_lit.errors.OutOfMemory",
    },
    "Learning and data": {
        "vgg_lit.Classifier": "vgg_lit.classifier.Classifier",
        "vgg_lit.ImageDataModule": "vgg_lit.data.datamodule.ImageDataModule",
        "vgg_lit.data.Preprocessing": "vgg_lit.data.preprocessing.Preprocessing",
        "vgg_lit.data.read_image": "vgg_lit.data.images.read_image",
        "vgg_lit.data.Source": "vgg_lit.data.sources.Source",
        "vgg_lit.data.sources.ResidentImages": "vgg_lit.data.sources.ResidentImages",
    },
    "Networks": {
        "vgg_lit.models.build": "vgg_lit.models.vgg.build",
        "vgg_lit.models.VGG": "vgg_lit.models.vgg.VGG",
        "vgg_lit.models.Head": "vgg_lit.models.variants.Head",
        "vgg_lit.models.fast_vgg": "vgg_lit.models.shipped.fast_vgg",
        "vgg_lit.models.faster_rcnn": "vgg_lit.models.detection.faster_rcnn",
        "vgg_lit.models.functional.forward": "vgg_lit.models.functional.forward",
        "vgg_lit.models.dense.DenseVGG": "vgg_lit.models.dense.DenseVGG",
    },
    "Numbers, features and pictures": {
        name: name
        for name in (
            "vgg_lit.analysis.complexity",
            "vgg_lit.analysis.receptive_field",
            "vgg_lit.analysis.features",
            "vgg_lit.analysis.style_transfer",
            "vgg_lit.analysis.augmented_images",
            "vgg_lit.analysis.figures",
        )
    },
}
"""Heading of the API page -> public names and the objects that document them, see docs/python-api.md."""

ENTRY = """\
::: {documented}
    options:
      heading: {name}
      toc_label: {name}
      heading_level: 3
      inherited_members: true

"""
"""An entry of the API page; members of classes of other packages are not loaded."""

LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!\w+:|#)([^)\s]+)\)")

BADGES = re.compile(r"^\[!\[.*\n", re.MULTILINE)
"""Lines of images from another server, which the site leaves out."""


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that have no file in docs/."""
    for document, page in PAGES.items():
        text = BADGES.sub("", (ROOT / document).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=with_page_links(text, document)))
    sections = (
        f"## {heading}\n\n"
        + "".join(ENTRY.format(name=name, documented=one) for name, one in names.items())
        for heading, names in API.items()
    )
    files.append(File.generated(config, "api.md", content="# API\n\n" + "\n".join(sections)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Converts the links of a page of docs/."""
    if page.file.generated_by:
        return markdown
    return with_page_links(markdown, f"docs/{page.file.src_uri}")


def with_page_links(text: str, document: str) -> str:
    """Returns the text of a document with links between pages.

    Args:
        text: Markdown.
        document: path in the repository.
    """
    here = PurePosixPath(document).parent

    def link(match: re.Match[str]) -> str:
        shown, target = match.groups()
        path, hash_sign, anchor = target.partition("#")
        file = os.path.normpath(here / path)
        if file in PAGES:
            return f"[{shown}]({PAGES[file]}{hash_sign}{anchor})"
        if file.startswith("docs/"):
            return f"[{shown}]({file.removeprefix('docs/')}{hash_sign}{anchor})"
        return shown

    return LINK.sub(link, text)
