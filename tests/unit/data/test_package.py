import subprocess
import sys

import vgg_lit.data


def test_every_public_name_can_be_imported():
    assert vgg_lit.data.__all__
    for name in vgg_lit.data.__all__:
        assert getattr(vgg_lit.data, name).__module__.startswith("vgg_lit.data.")
    assert not hasattr(vgg_lit.data, "nonsense")
    assert dir(vgg_lit.data) == sorted(vgg_lit.data.__all__)


def test_import_does_not_load_torch_or_pillow():
    code = "import sys, vgg_lit.data; sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
