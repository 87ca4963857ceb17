"""Builds the null GPU, a CUDA runtime that runs no kernel, and runs Python on it.

    python tests/null_gpu/null_runtime.py benchmarks/launches.py
    NULL_GPU_DEVICES=2 python tests/null_gpu/null_runtime.py -m vgg_lit.train trainer=gpu

It needs Linux, g++ and PyTorch with CUDA, but no GPU and no driver. All host code for CUDA runs: device
and dtype checks, errors for operations without a deterministic form, streams, events, autograd, fused
optimisers, autocast, out of memory. Kernels do not run, so values are zeros. There is no cuDNN, whose
gradients have the strides of the weights: DDP's warning of other strides does not appear on a GPU.

NULL_GPU_DEVICES, NULL_GPU_BYTES and NULL_GPU_CAPABILITY set the number of devices (1), their memory
(80e9) and their compute capability times ten (90).
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

PATH = (HERE, HERE.parents[1], HERE.parents[1] / "benchmarks")
"""Folders that processes on the null GPU import from."""

LIBRARIES = (
    "torch_cuda",
    "c10_cuda",
    "torch_python",
    "torch_cuda_linalg",
    "torch_cpu",
    "caffe2_nvrtc",
)
"""PyTorch's libraries that call CUDA."""

CALLED = re.compile(r"(?:cuda|cublas|cudnn|cusolver|cusparse|cupti|nccl|nvrtc|cu[A-Z]|__cuda)\w+")

IS_REAL = re.compile(
    r"cuFile|cudnnGet(?:Version|CudartVersion|ErrorString|LastErrorString|Property)"
)
"""Functions that do not need a GPU."""

IS_TEXT = re.compile(r"(?:nccl|cusparse|nvrtc)Get(?:Last)?Error\w*|cudaGetErrorName")
"""Functions that return a text."""

IS_LAUNCH = re.compile(r"[gG]em[mv]|Matmul$|ncclReduce")
"""Functions of libraries that launch a kernel."""

VALUES = {
    "cudaDriverGetVersion": (1, "int", 13020),
    "cudaRuntimeGetVersion": (1, "int", 13020),
    "ncclGetVersion": (1, "int", 22900),
    "cudaDeviceCanAccessPeer": (1, "int", 1),
    "cudaOccupancyMaxActiveBlocksPerMultiprocessor": (1, "int", 8),
    "cudaEventCreate": (1, "long", 1),
    "cudaEventElapsedTime": (1, "float", 1),
    "cuDevicePrimaryCtxRetain": (1, "long", 1),
    "cuCtxGetCurrent": (1, "long", 1),
    "cuModuleLoadData": (1, "long", 1),
    "cublasGetMathMode": (2, "int", 0),
    "ncclCommGetAsyncError": (2, "int", 0),
    "nvrtcGetPTXSize": (2, "long", 1),
    "nvrtcGetCUBINSize": (2, "long", 1),
    "nvrtcGetProgramLogSize": (2, "long", 1),
}
"""Functions that set one argument: its position, type and value. Handles and sizes are long."""

VARIANT = re.compile(
    r"(?:__)?(cuda\w+?|nccl\w+?)(?:Async|Config|WithFlags|WithPriority|ByVersion|_v\d)?"
)
"""A function whose first arguments are those of the function without prefix and suffix."""

OF_DRIVER = {"cuDeviceGetAttribute", "cuDriverGetVersion", "cuStreamIsCapturing"}
"""Functions of the driver, cuX, with the arguments of cudaX."""


def missing() -> str:
    """Returns what the null GPU needs and this machine lacks; empty if nothing."""
    if sys.platform != "linux" or not shutil.which("g++") or not shutil.which("nm"):
        return "the null GPU needs Linux with g++ and nm"
    import torch

    if not torch.version.cuda:
        return "the null GPU needs PyTorch with CUDA"
    files = ("driver_types.h", "crt/host_defines.h")
    if not all(any((path / file).is_file() for path in include_folders()) for file in files):
        return f"the null GPU needs {' and '.join(files)} of the wheels of CUDA and Triton"
    return ""


def site_packages() -> Path:
    """The folder that PyTorch is installed in."""
    spec = importlib.util.find_spec("torch")
    assert spec
    assert spec.origin
    return Path(spec.origin).parents[1]


def include_folders() -> list[Path]:
    """The folders of CUDA's headers in this environment."""
    headers = site_packages().glob("nvidia/*/include/driver_types.h")
    # CUDA's wheels do not have crt/, which Triton's has
    return [*(file.parent for file in headers), site_packages() / "triton/backends/nvidia/include"]


def called() -> set[str]:
    """Returns the functions of CUDA that PyTorch and Triton call."""
    packages = site_packages()
    calls = set()
    for name in LIBRARIES:
        calls |= symbols("--undefined-only", packages / f"torch/lib/lib{name}.so", "--dynamic")
    driver = packages / "triton/backends/nvidia/driver.c"
    if driver.is_file():
        calls |= set(re.findall(r"\bcu[A-Z]\w+", driver.read_text()))
    return {name for name in calls if CALLED.fullmatch(name) and not IS_REAL.match(name)}


def same_as(name: str, defined: set[str]) -> str | None:
    """Returns the function that a variant is the same as; None if there is none."""
    if name in OF_DRIVER:
        return name.replace("cu", "cuda", 1)
    base = VARIANT.fullmatch(name)
    return base[1] if base and base[1] in defined - {name} else None


def generated(names: set[str]) -> str:
    """Returns C functions that only succeed, set an argument, return a text or count a launch."""
    lines = ["int null_gpu_launch(const char*);"]
    for name in sorted(names):
        if name in VALUES:
            position, kind, value = VALUES[name]
            handle = "void* handle, " * (position - 1)
            lines.append(f"int {name}({handle}{kind}* result) {{ *result = {value}; return 0; }}")
        elif IS_TEXT.fullmatch(name):
            lines.append(f'const char* {name}() {{ return "error of the null GPU"; }}')
        elif IS_LAUNCH.search(name):
            lines.append(f'int {name}() {{ return null_gpu_launch("{name}"); }}')
        else:  # without CUPTI the profiler leaves the device out
            lines.append(f"int {name}() {{ return {int(name.startswith('cupti'))}; }}")
    return "\n".join([*lines, ""])


def symbols(which: str, library: Path, *options: str) -> set[str]:
    """The names of the undefined or defined symbols of a library."""
    command = ["nm", "--format=posix", *options, which, library]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {line.split()[0].split("@")[0] for line in listed.splitlines() if line}


def build(folder: Path) -> dict[str, str]:
    """Builds the runtime in a folder; returns the environment variables of a process that uses it."""
    own, rest, library = folder / "own.o", folder / "rest.c", folder / "libcuda.so.1"
    gxx = ["g++", "-std=c++17", "-O1", "-fPIC", *(f"-I{path}" for path in include_folders())]
    subprocess.run([*gxx, "-c", HERE / "null_runtime.cpp", "-o", own], check=True)
    defined = symbols("--defined-only", own)
    names = called() - defined
    same = {name: base for name in names if (base := same_as(name, defined | VALUES.keys()))}
    rest.write_text(generated((names | VALUES.keys()) - same.keys()))
    options = [f"-Wl,-soname,{library.name}"]
    options += [f"-Wl,--defsym={name}={base}" for name, base in same.items()]
    subprocess.run(
        [*gxx, "-shared", *options, own, "-x", "c", "-w", rest, "-o", library], check=True
    )
    # Python imports a module of this name when it starts
    (folder / "sitecustomize.py").write_text("import adapted_modules\n")
    return {
        "NULL_GPU_LIBRARY": str(library),
        "NULL_GPU_FOLDER": str(folder),
        "LD_PRELOAD": str(library),
        "LD_LIBRARY_PATH": str(folder),
        "PYTHONPATH": os.pathsep.join(map(str, [folder, *PATH])),
        "OMP_NUM_THREADS": "1",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        # what is compiled here is of no use on a GPU
        "USE_PYTORCH_KERNEL_CACHE": "0",
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled"),
        "TRITON_CACHE_DIR": str(folder / "compiled"),
        # each tensor gets new memory, so that all values are zeros
        "PYTORCH_NO_CUDA_MEMORY_CACHING": "1",
    }


def main() -> None:
    """Builds the runtime and runs Python on it with the arguments of the command line."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | build(Path(folder))
        sys.exit(subprocess.run([sys.executable, *sys.argv[1:]], env=environment).returncode)


if __name__ == "__main__":
    main()
