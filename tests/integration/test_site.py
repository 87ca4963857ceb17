"""The documentation site is built without warnings and needs no other server."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_site_is_built_with_strict_links(tmp_path):
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
    assert "A run directory, read or written." in api
    loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', start + api)
    assert loaded == []
