"""Weight files of other projects: the layouts, the wrappers, and files that are refused.

The networks have the layers and names of each project, with fewer channels.
"""

import argparse
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from vgg_lit.errors import InputError
from vgg_lit.models import VARIANTS, build, resnet18
from vgg_lit.models.variants import scale
from vgg_lit.weights.conventions import without_prefixes
from vgg_lit.weights.fine_tuning import copy_weights
from vgg_lit.weights.formats import load_origin, trained_vgg

WIDTH = 1 / 16
CHANNELS = scale(512, WIDTH)  # after the last block
NETWORKS = [
    f"{name}{norm}" for name in ("vgg11", "vgg13", "vgg16", "vgg19") for norm in ("_bn", "")
]


def features(variant: str, *end: nn.Module) -> nn.Sequential:
    """The convolutions as all projects number them: convolution, batch norm, ReLU; pool."""
    layers: list[nn.Module] = []
    channels = 3
    for block in VARIANTS[variant].plan:
        for conv in block:
            layers.append(
                nn.Conv2d(channels, channels := scale(conv.channels, WIDTH), 3, padding=1)
            )
            layers += [nn.BatchNorm2d(channels)] if VARIANTS[variant].batch_norm else []
            layers.append(nn.ReLU(inplace=True))
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers, *end)


class Peer(nn.Module):
    """`features`, flattened, then `classifier`."""

    def __init__(self, features: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.features, self.classifier = features, classifier

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def kuangliu(variant):
    return Peer(features(variant, nn.AvgPool2d(1, 1)), nn.Linear(CHANNELS, 10))


def weiaicunzai(variant):
    return Peer(features(variant), nn.Sequential(*_hidden(CHANNELS, 8 * CHANNELS, 8 * CHANNELS), nn.Linear(8 * CHANNELS, 100)))  # fmt: skip


def weiaicunzai_earlier(variant):
    head = _hidden(CHANNELS, 8 * CHANNELS, 8 * CHANNELS)[:-1]  # no second dropout
    return Peer(features(variant), nn.Sequential(*head, nn.Linear(8 * CHANNELS, 100)))


def chenyaofo(variant):
    return Peer(features(variant), nn.Sequential(*_hidden(CHANNELS, CHANNELS, CHANNELS), nn.Linear(CHANNELS, 10)))  # fmt: skip


def chengyangfu(variant):
    head = [
        layer
        for _ in range(2)
        for layer in (nn.Dropout(), nn.Linear(CHANNELS, CHANNELS), nn.ReLU(True))
    ]
    return Peer(nn.DataParallel(features(variant)), nn.Sequential(*head, nn.Linear(CHANNELS, 10)))


def _hidden(taken, *sizes):
    layers = []
    for size in sizes:
        layers += [nn.Linear(taken, size), nn.ReLU(True), nn.Dropout()]
        taken = size
    return layers


class Timm(nn.Module):
    """timm's VGG: hidden layers as convolutions of 7x7 maps, then a pool and `head.fc`."""

    def __init__(self, variant, hidden=16, classes=10):
        super().__init__()
        self.features = features(variant)
        self.pre_logits = nn.Sequential(
            OrderedDict(
                fc1=nn.Conv2d(CHANNELS, hidden, 7),
                act1=nn.ReLU(True),
                drop=nn.Dropout(0.2),
                fc2=nn.Conv2d(hidden, hidden, 1),
                act2=nn.ReLU(True),
            )
        )
        self.head = nn.Sequential(
            OrderedDict(
                global_pool=nn.AdaptiveAvgPool2d(1),
                flat=nn.Flatten(),
                fc=nn.Linear(hidden, classes),
            )
        )

    def forward(self, x, as_products=False):
        maps = functional.adaptive_avg_pool2d(self.features(x), 7)
        if not as_products:
            return self.head(self.pre_logits(maps))
        features = maps.flatten(1)
        for conv in (self.pre_logits.fc1, self.pre_logits.fc2):
            features = functional.linear(features, conv.weight.flatten(1), conv.bias).relu()
        return self.head.fc(features)


def _checkpoint(net):
    return {"net": net.state_dict(), "acc": np.float64(93.1), "epoch": 199}


def _parallel(net):
    return {"net": nn.DataParallel(net).state_dict(), "acc": 93.1, "epoch": 199}


def _epoch(net):
    return {"epoch": 300, "state_dict": net.state_dict(), "best_prec1": torch.tensor(92.8)}


def _timms(net):
    args = argparse.Namespace(model="vgg", lr=np.float32(0.1), opt=None, size=(3, 224, 224))
    state = net.state_dict()
    return {"epoch": 3, "arch": "vgg", "state_dict": state, "args": args, "metric": np.float64(0.7)}


# project: network, content of its file, head here, classes, layout
PEERS = {
    "kuangliu": (kuangliu, _checkpoint, "linear", 10, "kuangliu's layout (features.N, classifier), in the entry 'net'"),
    "kuangliu in parallel": (kuangliu, _parallel, "linear", 10, "kuangliu's layout (features.N, classifier), in the entry 'net'"),
    "weiaicunzai": (weiaicunzai, nn.Module.state_dict, {"hidden": [4096, 4096]}, 100, "weiaicunzai's layout (features.N, classifier.0|3|6)"),
    "weiaicunzai, earlier": (weiaicunzai_earlier, nn.Module.state_dict, {"hidden": [4096, 4096]}, 100, "weiaicunzai's earlier layout (features.N, classifier.0|3|5)"),
    "chenyaofo": (chenyaofo, nn.Module.state_dict, {"hidden": [512, 512]}, 10, "chenyaofo's and weiaicunzai's layout (features.N, classifier.0|3|6)"),
    "chengyangfu": (chengyangfu, _epoch, {"hidden": [512, 512]}, 10, "chengyangfu's layout (features.N, classifier.1|4|6), in the entry 'state_dict'"),
    "timm": (Timm, _timms, {"hidden": [256, 256], "pool": 7}, 10, "timm's layout (features.N, pre_logits.fc1|fc2, head.fc), in the entry 'state_dict'"),
}  # fmt: skip


def randomised(net, seed=1):
    """The network in evaluation mode; all its tensors, including statistics, depend on the seed."""
    torch.manual_seed(seed)
    for name, tensor in net.state_dict().items():
        if tensor.ndim > 1:
            nn.init.kaiming_normal_(tensor)
        elif tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5 if name.endswith(("weight", "var")) else -0.1, 1.0)
    return net.eval()


def settings(variant, head="linear", classes=10, **options):
    return {
        **{"_target_": "vgg_lit.models.build", "variant": variant, "head": head, "width": WIDTH},
        **{"num_classes": classes, "image_size": 32, "in_channels": 3, **options},
    }


def config(file, model, layers=None):
    return {"init": {"from": str(file), "layers": layers}, "model": model}


def built(model):
    options = {name: value for name, value in model.items() if name not in ("_target_", "variant")}
    return randomised(build(model["variant"], **options), seed=2)


@pytest.mark.parametrize("variant", NETWORKS)
@pytest.mark.parametrize("peer", PEERS)
def test_logits_of_another_projects_network_are_equal(peer, variant, tmp_path):
    make, content, head, classes, layout = PEERS[peer]
    theirs, model = randomised(make(variant)), settings(variant, head, classes)
    torch.save(content(theirs), tmp_path / "ckpt.pth")
    ours, last = built(model), "fc6" if head == "linear" else "fc8"

    note = copy_weights(config(tmp_path / "ckpt.pth", model), ours, ["some", "names"]).note
    assert note.startswith(
        f"{last}: the source has no class names; to copy it, set init.layers=[block1,"
    )

    layers = note.partition("init.layers=[")[2].rstrip("]").split(",")
    transfer = copy_weights(config(tmp_path / "ckpt.pth", model, layers), ours)
    assert (transfer.fresh, transfer.note) == ((), "")
    assert transfer.layout.endswith(layout)
    x = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        expected = theirs(x, as_products=True) if peer == "timm" else theirs(x)
        assert expected.std() > 0.1
        assert (ours(x) - expected).abs().max() == 0.0
        if peer == "timm":  # its convolutions of the whole map round differently
            found, expected = ours.double()(x.double()), theirs.double()(x.double())
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", ["vgg11", "vgg11_bn", "vgg11_lrn", "vgg16_1x1", "vgg19_bn"])
@pytest.mark.parametrize(
    "head", ["imagenet", "cifar", "linear", "gap", {"hidden": [24]}, {"hidden": [8, 8, 8], "batch_norm": True}]
)  # fmt: skip
def test_our_own_bare_state_dicts_load_with_any_head_and_width(variant, head, tmp_path):
    size = {"image_size": 64, "in_channels": 1, "classes": 7}
    model = settings(variant, head, **size)
    theirs, ours = randomised(built(model)), built(model)
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    transfer = copy_weights(config(tmp_path / "weights.pt", model), ours)
    assert transfer.fresh == (transfer.withheld,)
    names = ["block1", "block2", "block3", "block4", "block5", *transfer.note.split("block5,")[1][:-1].split(",")]  # fmt: skip
    copy_weights(config(tmp_path / "weights.pt", model, names), ours)
    assert_equal(ours.state_dict(), theirs.state_dict())


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def saved(folder, content, name="file.pth", **options):
    torch.save(content, folder / name, **options)
    return folder / name


def read(file, variant="vgg11_bn"):
    return load_origin(str(file), settings(variant))


WRAPPERS = {
    "compiled": lambda state: {f"_orig_mod.{name}": w for name, w in state.items()},
    "compiled part": lambda state: {n.replace("features.", "features._orig_mod."): w for n, w in state.items()},
    "compiled in parallel": lambda state: {f"module._orig_mod.{name}": w for name, w in state.items()},
    "lightning": lambda state: {"state_dict": {f"model.{name}": w for name, w in state.items()}, "epoch": 1},
    "net": lambda state: {f"net.{name}": w for name, w in state.items()},
    "model_state_dict": lambda state: {"model_state_dict": state, "optimizer_state_dict": {"state": {}}},
    "weights": lambda state: {"weights": state},
    "nested": lambda state: {"model": {"state_dict": state, "seed": 1}},
    "average": lambda state: {"ema": {"n_averaged": torch.tensor(3), **{f"module.{n}": w for n, w in state.items()}}},
    "beside an average": lambda state: {"state_dict": state, "state_dict_ema": {"other": torch.zeros(1)}},
    "ordered": lambda state: OrderedDict(state=1, net=OrderedDict(state), acc=np.float32(0.5), when=np.int64(3)),
    "arrays": lambda state: {"net": state, "mean": np.zeros(3), "args": argparse.Namespace(a=argparse.Namespace())},
}  # fmt: skip


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_wrapped_weights_are_found(wrapper, legacy, tmp_path):
    state = randomised(kuangliu("vgg11_bn")).state_dict()
    file = saved(tmp_path, WRAPPERS[wrapper](state), _use_new_zipfile_serialization=not legacy)
    origin = read(file)
    assert origin.layout.startswith("kuangliu's layout")
    assert torch.equal(origin.net.classifier[0].weight, state["classifier.weight"])
    assert torch.equal(origin.net.features[1].running_var, state["features.1.running_var"])
    assert load_origin(str(file), settings("vgg11_bn"), "meta").net.classifier[0].weight.is_meta


def test_a_checkpoint_of_lightning_by_another_project_loads(tmp_path):
    state = randomised(kuangliu("vgg11_bn")).state_dict()
    content = {"state_dict": {f"net.{name}": w for name, w in state.items()}, "global_step": 3}
    assert "entry 'state_dict'" in read(saved(tmp_path, content, "epoch_003.ckpt")).layout


def test_features_without_a_head_are_copied_and_paint(tmp_path):
    state = randomised(features("vgg13_bn")).state_dict()
    file = saved(tmp_path, {f"features.{name}": w for name, w in state.items()})
    model = settings("vgg13_bn")
    transfer = copy_weights(config(file, model), net := built(model), ["a"])
    assert (transfer.fresh, transfer.withheld) == (("fc6",), None)
    assert transfer.layout == "headless layout (features.N)"
    assert_equal(net.features.state_dict(), state)
    assert trained_vgg(str(file), "vgg13_bn")[0].features[0].out_channels == 4


def test_files_without_batch_counts_load(tmp_path):
    state = randomised(kuangliu("vgg11_bn")).state_dict()
    old = {name: w for name, w in state.items() if "num_batches" not in name}
    assert read(saved(tmp_path, old)).net.features[1].num_batches_tracked == 0


def test_a_shallower_file_gives_the_papers_layers(tmp_path):
    file = saved(tmp_path, randomised(chenyaofo("vgg11_bn")).state_dict())
    model = settings("vgg16_bn", {"hidden": [512, 512]})
    transfer = copy_weights(config(file, model), built(model), ["a"])
    assert list(transfer.copied) == ["block1_conv1", "block2_conv1", "block3_conv1", "block3_conv2", "fc6", "fc7"]  # fmt: skip
    assert (
        "init.layers=[block1_conv1,block2_conv1,block3_conv1,block3_conv2,fc6,fc7,fc8]"
        in transfer.note
    )


def test_networks_other_than_vggs_load_by_their_own_names(tmp_path):
    model = {"_target_": "vgg_lit.models.resnet18", "image_size": 32, "num_classes": None}
    theirs = randomised(resnet18(image_size=32, num_classes=4, in_channels=1))
    file = saved(tmp_path, {"model": {f"module.{n}": w for n, w in theirs.state_dict().items()}})
    ours = resnet18(image_size=32, num_classes=4, in_channels=1)
    transfer = copy_weights(config(file, model), ours, list("abcd"))
    assert transfer.layout == "state dict of a ResNet, in the entry 'model'"
    assert transfer.fresh == ("fc",)
    assert "init.layers=[conv1,bn1,layer1,layer2,layer3,layer4,fc]" in transfer.note
    copy_weights(config(file, model, ["fc"]), ours)
    assert_equal(ours.state_dict(), theirs.state_dict())


def test_prefixes_that_belong_to_a_network_stay():
    weights = {"net.0.weight": torch.zeros(1), "net.2.weight": torch.zeros(1)}
    wrapped = {f"module.{name}": weight for name, weight in weights.items()}
    assert without_prefixes(wrapped, list(weights)).keys() == weights.keys()


@pytest.mark.parametrize(
    ("beside", "classes", "copied"),
    [
        ({}, ["benign", "malignant"], False),
        ({"classes": ["cat", "dog"]}, ["benign", "malignant"], False),
        ({"classes": ["cat", "dog"]}, ["dog", "cat"], False),
        ({"classes": ["cat", "dog"]}, ["cat", "dog"], True),
        ({"class_names": ("cat", "dog")}, ["cat", "dog"], True),
        ({"class_to_idx": {"dog": 1, "cat": 0}}, ["cat", "dog"], True),
        ({"class_to_idx": {"dog": 2, "cat": 0}}, ["cat", "dog"], False),
        ({"classes": ["cat", "dog", "cow"]}, ["cat", "dog"], False),
        ({"classes": 2}, ["cat", "dog"], False),
    ],
)
def test_the_last_layer_is_copied_only_for_the_same_classes(beside, classes, copied, tmp_path):
    model = settings("vgg11", classes=2)
    theirs, ours = randomised(built(model)), built(model)
    file = saved(tmp_path, {"state_dict": theirs.state_dict(), **beside})
    transfer = copy_weights(config(file, model), ours, classes)
    assert ("fc6" in transfer.copied) == copied
    assert torch.equal(ours.classifier[0].weight, theirs.classifier[0].weight) == copied
    assert (transfer.note == "") == copied
    if beside.get("classes") == ["cat", "dog"] and not copied:
        assert f"its classes differ: cat in the source, {classes[0]} here" in transfer.note


def test_a_run_of_other_classes_keeps_its_last_layer(tiny_run, compose):
    from vgg_lit.config.checks import to_plain
    from vgg_lit.targets import instantiate

    plain = to_plain(compose("model.width=0.03125", f"init.from={tiny_run.path}"))
    net = instantiate(plain["model"], key="model")
    names = list(tiny_run.load_classifier().hparams["classes"])
    assert copy_weights(plain, net, names).fresh == ()
    transfer = copy_weights(plain, net, [*names[:-1], "Clog"])
    assert transfer.fresh == ("fc6",)
    assert "its classes differ: Ankle boot in the source, Clog here" in str(transfer)


def test_an_exported_safetensors_file_brings_its_classes(tiny_run, tmp_path, verb):
    pytest.importorskip("safetensors")
    done = verb("export", f"run={tiny_run.path}", "formats=[safetensors]", f"output={tmp_path / 'out'}")  # fmt: skip
    assert done.code == 0, done.err
    (file,) = tmp_path.rglob("*.safetensors")
    origin = load_origin(str(file), settings("vgg13_bn"))
    trained = tiny_run.load_classifier()
    assert list(origin.classes) == trained.hparams["classes"]
    assert_equal(origin.net.state_dict(), trained.net.state_dict())
    assert trained_vgg(str(file), "vgg13_bn")[1] == trained.preprocessing["mean"]


def test_a_safetensors_file_of_another_project_loads(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    state = randomised(Timm("vgg11")).state_dict()
    safetensors.save_file(state, tmp_path / "model.safetensors")
    origin = load_origin(str(tmp_path / "model.safetensors"), settings("vgg11"))
    assert origin.layout.startswith("timm's layout")
    assert origin.classes is None
    (tmp_path / "bad.safetensors").write_bytes(b"bad")
    assert_refused(tmp_path / "bad.safetensors", "damaged, or not a safetensors file")


def assert_refused(file, complaint, variant="vgg11_bn"):
    with pytest.raises(InputError, match=complaint) as refused:
        read(file, variant)
    message = str(refused.value)
    assert "\n" not in message
    assert len(message) < 700
    assert file.name in message


class Payload:
    """An object that writes a file when it is unpickled."""

    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


def _os_system(mark):
    import os

    return Payload((os.system, (f"touch {mark}",)))


HOSTILE = {
    "os.system": _os_system,
    "exec": lambda mark: Payload((exec, (f"open({str(mark)!r}, 'w')",))),
    "a whole network": lambda mark: kuangliu("vgg11"),
    "a path": lambda mark: mark,
    "a function of numpy": lambda mark: Payload((np.fromfile, (str(mark),))),
    "getattr": lambda mark: Payload((getattr, (np.float64, "mro"))),
    "a tebibyte": lambda mark: Payload((bytearray, (2**40,))),
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line(name, legacy, tmp_path):
    mark = tmp_path / "mark"
    state = kuangliu("vgg11_bn").state_dict()
    for content in (HOSTILE[name](mark), {"net": state, "args": HOSTILE[name](mark)}):
        file = saved(tmp_path, content, _use_new_zipfile_serialization=not legacy)
        assert_refused(
            file, "contains .* can execute code; save the weights alone|holds a bytearray"
        )
        assert not mark.exists()


def test_numpy_is_not_called_by_a_file(tmp_path):
    """A dtype of a tebibyte and its scalar would be allocated by numpy."""
    scalar = np.float64(0).__reduce__()[0]  # its module depends on the version of numpy
    huge = Payload((scalar, (np.dtype(f"V{2**30}"),)))
    state = randomised(kuangliu("vgg11_bn")).state_dict()
    file = saved(
        tmp_path, {"net": state, "acc": huge, "names": Payload((scalar, (np.dtype("O"), 3)))}
    )
    assert read(file).layout.startswith("kuangliu's layout")


def state_of(change=lambda state: None, make=kuangliu, variant="vgg11_bn"):
    state = dict(randomised(make(variant)).state_dict())
    change(state)
    return state


def _change(**changes):
    def change(state):
        for name, value in changes.items():
            key = name.replace("__", ".")
            state.pop(key, None)
            if value is not None:
                state[key] = value

    return change


MISFITS = {
    "an unknown key": (_change(normalize__mean=torch.zeros(3)), r"the file has other layers \(classifier, normalize\); rename"),
    "a missing bias": (_change(features__0__bias=None), "a VGG: missing: features.0.bias; select the network"),
    "a missing batch norm": (_change(**{f"features__1__{n}": None for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}), "7 of 8 convolutions have batch norm"),
    "an unknown tensor": (_change(features__0__scale=torch.zeros(4)), "a VGG: unknown: features.0.scale"),
    "a convolution of one dimension": (_change(features__0__weight=torch.zeros(4, 3, 3)), "features.0 is not a convolution"),
    "an even kernel": (_change(features__0__weight=torch.zeros(4, 3, 2, 2)), "features.0 is not a convolution"),
    "another chain": (_change(features__4__weight=torch.zeros(8, 5, 3, 3)), "of other shapes than their layers: features.4.weight"),
    "a gap": (_change(features__99__weight=torch.zeros(8, 5, 3, 3)), "features.99 is not a convolution"),
    "no channels": (_change(features__0__weight=torch.zeros(0, 3, 3, 3)), "features.0 is not a convolution"),
    "a rectangular map": (_change(classifier__weight=torch.zeros(10, 2 * CHANNELS)), "not square maps of 32 channels"),
    "a head of one dimension": (_change(classifier__weight=torch.zeros(10)), "classifier is not a fully connected"),
    "a short bias": (_change(classifier__bias=torch.zeros(3)), "of other shapes than their layers: classifier.bias"),
    "expanded weights": (_change(features__4__weight=torch.zeros(1).expand(9999, 9999, 3, 3)), "expanded to many times the size of the file"),
    "sparse weights": (_change(classifier__weight=torch.zeros(10, 32).to_sparse()), "classifier.weight is sparse"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_weights_that_do_not_fit_are_named_in_one_line(name, tmp_path):
    change, complaint = MISFITS[name]
    assert_refused(saved(tmp_path, state_of(change)), complaint)


@pytest.mark.parametrize(
    ("make", "key", "complaint"),
    [
        (chenyaofo, "classifier.3", "missing: classifier.3.weight, classifier.3.bias; unknown: classifier.6.weight"),
        (weiaicunzai, "classifier.3", "missing: classifier.3"),
        (weiaicunzai, "classifier.0", "not square maps|a layer is missing|missing"),
        (Timm, "head.fc", r"has other layers \(pre_logits.fc1, pre_logits.fc2\)"),
    ],
)  # fmt: skip
def test_a_missing_layer_of_the_head_is_reported(make, key, complaint, tmp_path):
    change = _change(**{f"{key}.{leaf}".replace(".", "__"): None for leaf in ("weight", "bias")})
    assert_refused(saved(tmp_path, state_of(change, make)), complaint)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({}, "is not a state dict"),
        ({"net": {}}, "is not a state dict"),
        ({"net": {"features.0.weight": 3}}, "its entry net is not a state dict"),
        ({"model": {"net": [1]}}, "its entry model is not a state dict"),
        ({3: torch.zeros(1)}, "is not a state dict"),
        (torch.zeros(3), "is not a state dict"),
        (
            {"weight": torch.zeros(3)},
            r"the file has other layers \(\)|has no features.N|other layers",
        ),
        (
            {"classifier.weight": torch.zeros(3, 4)},
            r"the file has no features.N \(classifier.weight\)",
        ),
    ],
    ids=str,
)
def test_other_content_is_one_line(content, complaint, tmp_path):
    assert_refused(saved(tmp_path, content), complaint)


def test_a_truncated_file_is_one_line(tmp_path):
    for legacy in (False, True):
        file = saved(tmp_path, state_of(), _use_new_zipfile_serialization=not legacy)
        whole = file.read_bytes()
        for size in (0, 10, len(whole) // 2, len(whole) - 10):
            file.write_bytes(whole[:size])
            assert_refused(file, "damaged, or not a file of weights")


def test_another_width_is_one_line_with_the_remedy(tmp_path):
    file = saved(tmp_path, state_of())
    model = settings("vgg11_bn", width=1 / 8)
    with pytest.raises(InputError) as refused:
        copy_weights(config(file, model), built({**model, "width": 1 / 8}), ["a"])
    message = str(refused.value)
    assert "block1_conv1 is 8x3x3x3 here, but the source's block1_conv1 is 4x3x3x3" in message
    assert message.endswith("or name the layers to copy with init.layers")
    assert "\n" not in message


def test_a_run_prints_the_layout_of_its_weights(train, tmp_path, capsys):
    state = randomised(
        build("vgg11_bn", width=1 / 32, head="linear", in_channels=1, num_classes=10)
    ).state_dict()
    names = {"classifier.0.weight": "classifier.weight", "classifier.0.bias": "classifier.bias"}
    file = saved(tmp_path, {"net": {f"module.{names.get(n, n)}": w for n, w in state.items()}})
    run = train(tmp_path / "run", "model=vgg11_bn", f"init.from={file}", "logger=none")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("init ")]
    assert f"from {file} (kuangliu's layout (features.N, classifier), in the entry 'net'): " in line
    assert (
        "not copied: fc6 (fc6: the source has no class names; to copy it, set init.layers=" in line
    )
    assert '"layout": "kuangliu' in (run.path / "init.json").read_text()
