"""Adapts a Python process to the null GPU, whose kernels do not run: imported when Python starts."""

import importlib.util
import sys


def _torch(torch):
    torch.backends.cudnn.enabled = False  # it finds no engine without a GPU


def _distributed(distributed):
    # objects are sent through the CPU, because the sum of their sizes is a kernel
    initialise = distributed.init_process_group
    both = {"nccl": "cpu:gloo,cuda:nccl"}
    distributed.init_process_group = lambda backend=None, *args, **kwargs: initialise(
        both.get(backend, backend), *args, **kwargs
    )


def _metrics(distributed):
    # states of one shape, since shapes are compared by a kernel
    def gather(result, group=None):
        group = group or distributed.torch.distributed.group.WORLD
        size = distributed.torch.distributed.get_world_size(group)
        return distributed._simple_gather_all_tensors(result.contiguous(), group, size)

    distributed.gather_all_tensors = gather


def _guards(guards):
    # reads the value, which is 0 on the null GPU and would mean the first batch
    guards.FiniteLoss._end_if_bad = lambda self, trainer, first_bad, step=None: first_bad.cpu()


def _storage(storage):
    all_finite = storage.all_finite

    def read_finite(content):
        on_gpu = any(tensor.is_cuda for tensor in storage._tensors(content))
        return all_finite(content) or on_gpu

    storage.all_finite = read_finite


ADAPTED = {
    "torch": _torch,
    "torch.distributed": _distributed,
    "torchmetrics.utilities.distributed": _metrics,
    "vgg_lit.callbacks.guards": _guards,
    "vgg_lit.checkpoints.storage": _storage,
}


class Adapting:
    """A finder that changes a module after its import."""

    def find_spec(self, name, path=None, target=None):
        if name not in ADAPTED:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        execute = spec.loader.exec_module

        def execute_and_adapt(module):
            execute(module)
            ADAPTED[name](module)

        spec.loader.exec_module = execute_and_adapt
        return spec


sys.meta_path.insert(0, Adapting())
