"""Tells as one JSON line what this Python has of torch, CUDA and vLLM. Imports torch, but not vLLM, which takes long."""

import ctypes
import glob
import importlib.metadata
import json
import os
import sys

found = {"python": sys.version.split()[0]}

try:
    found["vllm"] = importlib.metadata.version("vllm")
except importlib.metadata.PackageNotFoundError:
    found["vllm"] = None

try:
    import torch

    found["torch"] = str(torch.__version__)
    found["cuda"] = torch.version.cuda
    found["usable"] = bool(torch.cuda.is_available())
except Exception as error:  # A broken native library raises other errors than ImportError.
    found["torch"] = None
    found["error"] = str(error).splitlines()[0] if str(error) else type(error).__name__


def nvrtc(major):
    """The library that compiles kernels at run time: in a pip package beside torch, or of the system."""
    name = "libnvrtc.so.%s" % major
    for folder in sys.path:
        for path in glob.glob(os.path.join(folder, "nvidia", "*", "lib", name)):
            return path
    try:
        ctypes.CDLL(name)
        return name
    except OSError:
        return None


if found.get("cuda"):
    found["nvrtc"] = nvrtc(found["cuda"].split(".")[0])

print(json.dumps(found))
