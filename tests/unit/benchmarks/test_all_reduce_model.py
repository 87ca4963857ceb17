"""The all-reduce model, compared with hand-computed times and with the tables of the document."""

from pathlib import Path

import capacity
import pytest
from all_reduce_model import (
    Bucket,
    Cluster,
    Gradients,
    Link,
    all_reduce_seconds,
    arithmetic_seconds,
    fit_link,
    gradients_of,
    ring_seconds,
    step_seconds,
)

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = Cluster("x", 4, within=Link(100.0, 0.0), between=Link(10.0, 0.0), cards_per_node=2)


def test_ring_seconds():
    assert ring_seconds(80.0, 4, Link(10.0, 0.5)) == pytest.approx(6 * (20 / 10 + 0.5))
    assert ring_seconds(80.0, 1, Link(10.0, 0.5)) == 0


def test_a_hierarchy_sends_less_between_machines():
    assert all_reduce_seconds(80.0, 4, CLUSTER, "hierarchical") == pytest.approx(6 * 20 / 100)
    # Two machines: each GPU has 20 bytes and half a card.
    found = all_reduce_seconds(80.0, 8, CLUSTER, "hierarchical")
    assert found == pytest.approx(6 * 20 / 100 + 2 * 10 / (10 * 2 / 4))
    assert all_reduce_seconds(80.0, 8, CLUSTER, "ring") == pytest.approx(14 * 10 / 10)


def test_buckets_overlap_with_the_backward():
    def gradients(*buckets):
        return Gradients(0, 0, 0, 0, tuple(Bucket(*bucket) for bucket in buckets))

    ring = ("ring",)
    # A forward of 1 s, a backward of 2 s. On two GPUs a bucket of 100 bytes takes a second.
    assert step_seconds(gradients((100.0, 0.0)), 3.0, 2, CLUSTER, *ring) == 3.0
    assert step_seconds(gradients((100.0, 1.0)), 3.0, 2, CLUSTER, *ring) == 4.0
    # The second bucket waits for the first.
    assert step_seconds(gradients((300.0, 0.0), (100.0, 0.5)), 3.0, 2, CLUSTER, *ring) == 5.0
    assert step_seconds(gradients((300.0, 1.0)), 3.0, 1, CLUSTER, *ring) == 3.0


def test_gradients_of_vgg16_match_its_parameters():
    found = gradients_of("vgg16", "imagenet", 224)
    assert found.parameters == 138_357_544
    assert found.size == 4 * found.parameters
    assert found.macs == 15_470_264_320
    assert found.head_parameters == 123_642_856
    ready = [bucket.ready for bucket in found.buckets]
    assert ready == sorted(ready)
    assert ready[-1] == 1.0
    assert found.in_bf16.size == 2 * found.parameters


def test_a_backward_is_twice_a_forward():
    assert arithmetic_seconds(macs=5, batch=4, rate=10.0) == pytest.approx(6 * 5 * 4 / 10)


def test_a_link_is_recovered_from_ring_times():
    link = Link(1e9, 2e-5)
    sizes = [1e6, 2e6, 8e6]
    found = fit_link(sizes, [ring_seconds(size, 2, link) for size in sizes])
    assert found.bandwidth == pytest.approx(1e9)
    assert found.latency == pytest.approx(2e-5)


def test_the_document_contains_the_tables_of_the_model():
    document = (ROOT / "docs/scaling.md").read_text()
    settings = [(net, head) for net in ("vgg16", "vgg19") for head in capacity.HEADS]
    tables = capacity.predictions({key: gradients_of(*key, 224) for key in settings})
    assert len(tables) == 3
    for table in tables:
        assert table in document


def test_tables_are_written_between_the_marks_of_a_document(tmp_path):
    document = tmp_path / "x.md"
    document.write_text(f"a\n{capacity.BEGIN}\nold\n{capacity.END}\nb\n")
    capacity.put_into(document, ["one\n", "two\n"])
    assert document.read_text() == f"a\n{capacity.BEGIN}\n\none\n\ntwo\n\n{capacity.END}\nb\n"
    document.write_text("a\n")
    with pytest.raises(ValueError, match="has no"):
        capacity.put_into(document, [])
