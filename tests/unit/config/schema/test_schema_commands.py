"""Values of the commands' settings at the ends of their ranges."""

import pytest

from vgg_lit.config.schema import commands


@pytest.mark.parametrize(
    ("command", "name", "allowed", "refused"),
    [
        ("Evaluate", "run", ["a", ["a", "b"], None], [[], 1]),
        ("Evaluate", "split", ["test", "val", "all", None], ["train"]),
        ("Evaluate", "scales", [[32, 64], None], [[], [0], 32]),
        ("Evaluate", "shifts", [0, 1], [-1, 0.5]),
        ("Predict", "images", ["a.png", ["a.png"]], [[], None]),
        ("Predict", "top_k", [1], [0, True]),
        ("Export", "batch_sizes", [[1]], [[], [0]]),
        ("ProcessLauncherSettings", "grace_seconds", [0, 0.5], [-1]),
        ("Reproduce", "changes", [{"trainer.devices": 2}, None], [{"+seed": 1}, [1]]),
        ("Preview", "epochs", [1], [0]),
        ("Summarize", "batch_size", [1, None], [0]),
        ("Compare", "by", ["model", ["model", "seed"], None, []], [1]),  # [] is refused later
        ("Stylize", "content_weight", [0, 2.5], [-1]),
        ("Stylize", "style_weight", [0.1], [0]),
        ("Stylize", "size", [32], [31]),
        (
            "Visualize",
            "figures",
            [["confusion"], "confusion", None],
            [[], ["confusions"], "confusions"],
        ),
        ("Visualize", "embeddings", [4], [3]),
        ("Visualize", "accelerator", ["auto", "mps"], ["tpu"]),
    ],
)
def test_values_in_the_range_are_allowed(command, name, allowed, refused, is_allowed):
    section = getattr(commands, command)
    assert [value for value in allowed if not is_allowed(section, name, value)] == []
    assert [value for value in refused if is_allowed(section, name, value)] == []


@pytest.mark.parametrize(("command", "known"), [("Export", "onnx"), ("Visualize", "pdf")])
def test_one_format_needs_no_brackets(command, known, is_allowed):
    section = getattr(commands, command)
    assert is_allowed(section, "formats", known)
    assert is_allowed(section, "formats", [known])
    assert not is_allowed(section, "formats", "docx")
    assert not is_allowed(section, "formats", [])
