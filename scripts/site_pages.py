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
}
"""Document of the repository -> page of the site. Files of docs/ keep their names."""

API = {
    "Runs and training": ["vgg_lit.runs.Run", "vgg_lit.sweeps.Sweep"],
    "Learning and data": [
        "vgg_lit.classifier.Classifier",
        "vgg_lit.data.datamodule.ImageDataModule",
    ],
    "Networks": [
        "vgg_lit.models.vgg.build",
        "vgg_lit.models.vgg.VGG",
        "vgg_lit.models.variants.Head",
        "vgg_lit.models.dense.DenseVGG",
    ],
    "Numbers and features": [
        "vgg_lit.analysis.complexity",
        "vgg_lit.analysis.features",
        "vgg_lit.analysis.receptive_field",
    ],
}
"""Heading -> objects of the API page."""

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
        + "".join(f"::: {name}\n    options:\n      heading_level: 3\n\n" for name in names)
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
