"""Every network trains with deterministic algorithms on CUDA."""

from vgg_lit.models import HEADS, VARIANTS


def test_no_network_has_an_operation_without_a_deterministic_form(null_gpu):
    done = null_gpu("tests/null_gpu/deterministic_networks.py", CUBLAS_WORKSPACE_CONFIG=":4096:8")
    *networks, control = done.out.splitlines()
    assert [line for line in networks if not line.endswith(" ok")] == []
    assert len(networks) == len(VARIANTS) * len(HEADS)
    assert "does not have a deterministic implementation" in control
