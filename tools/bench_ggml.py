#!/usr/bin/env python3
"""One matrix product on ggml's Vulkan backend: the peer that bench_peers.py runs beside ours.

Makes y = x w^T (fp32, m x n from rows of k) as a graph of one node on the first Vulkan device that
ggml tells of, checks some of its values against sums in double precision, times whole runs of the
graph from the call to its end, and prints one JSON object. The first run, which makes the pipelines,
does not count.

    tools/bench_ggml.py --shape 1024,1024,1024 --runs 5

Needs libggml with its Vulkan backend (Debian 13 with backports: libggml0-backend-vulkan) and nothing
else. ggml leaves CPU devices such as lavapipe alone unless --device names one by its number.
"""

import argparse
import array
import ctypes
import ctypes.util
import json
import math
import os
import random
import sys
import time

# The library's own numbers (ggml.h of version 0.27).
TYPE_F32, PREC_F32, STATUS_SUCCESS = 0, 10, 0
CHECKED_VALUES = 32
# Of operands in (-1, 1), as a part of sqrt(k), which is about the size of a value: wide enough for
# fp16 operands, far too narrow for a wrong product.
TOLERANCE = 1e-2


class InitParams(ctypes.Structure):
    """struct ggml_init_params"""

    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p),
                ("no_alloc", ctypes.c_bool)]


POINTER, TEXT, SIZE, WIDE, INT = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64,
                                  ctypes.c_int)
# name: (result, arguments...)
FUNCTIONS = {
    "ggml_version": (TEXT,),
    "ggml_backend_load_all": (None,),
    "ggml_backend_dev_count": (SIZE,),
    "ggml_backend_dev_get": (POINTER, SIZE),
    "ggml_backend_dev_name": (TEXT, POINTER),
    "ggml_backend_dev_description": (TEXT, POINTER),
    "ggml_backend_dev_init": (POINTER, POINTER, TEXT),
    "ggml_init": (POINTER, InitParams),
    "ggml_new_tensor_2d": (POINTER, POINTER, INT, WIDE, WIDE),
    "ggml_mul_mat": (POINTER, POINTER, POINTER, POINTER),
    "ggml_mul_mat_set_prec": (None, POINTER, INT),
    "ggml_new_graph": (POINTER, POINTER),
    "ggml_build_forward_expand": (None, POINTER, POINTER),
    "ggml_backend_alloc_ctx_tensors": (POINTER, POINTER, POINTER),
    "ggml_backend_tensor_set": (None, POINTER, POINTER, SIZE, SIZE),
    "ggml_backend_tensor_get": (None, POINTER, POINTER, SIZE, SIZE),
    "ggml_backend_graph_compute": (INT, POINTER, POINTER),
}


class Library:
    """Functions of libggml and libggml-base by their names."""

    def __init__(self):
        loaded = []
        for name in ("ggml-base", "ggml"):
            path = ctypes.util.find_library(name) or f"lib{name}.so.0"
            try:
                loaded.append(ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL))
            except OSError as e:
                sys.exit(f"bench_ggml: {e}: install libggml with its Vulkan backend "
                         "(Debian: libggml0-backend-vulkan), or run where it is installed")
        for name, (result, *arguments) in FUNCTIONS.items():
            function = next((getattr(library, name) for library in loaded
                             if hasattr(library, name)), None)
            if function is None:
                sys.exit(f"bench_ggml: this libggml has no {name}: it was written for version 0.27")
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)


def vulkan_device(ggml):
    """The first Vulkan device that ggml takes, with its description."""
    ggml.ggml_backend_load_all()
    for i in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(i)
        if ggml.ggml_backend_dev_name(device).decode().startswith("Vulkan"):
            return device, ggml.ggml_backend_dev_description(device).decode()
    sys.exit("bench_ggml: ggml takes no Vulkan device: its Vulkan backend is not installed, or "
             "--device has to name a CPU device (--device 0)")


def numbers(count, generator):
    return array.array("f", (generator.uniform(-1.0, 1.0) for _ in range(count)))


def check(x, w, y, shape, generator):
    """Ends the program if values of y are not those of x w^T."""
    m, n, k = shape
    for _ in range(CHECKED_VALUES):
        i, j = generator.randrange(m), generator.randrange(n)
        right = math.fsum(a * b for a, b in zip(x[i * k:(i + 1) * k], w[j * k:(j + 1) * k]))
        if not abs(y[i * n + j] - right) <= TOLERANCE * math.sqrt(k):
            sys.exit(f"bench_ggml: ggml computes {y[i * n + j]:g} for element {i}, {j} of the "
                     f"product, where {right:g} is right")


def measure(ggml, shape, runs):
    m, n, k = shape
    device, description = vulkan_device(ggml)
    backend = ggml.ggml_backend_dev_init(device, None)
    if not backend:
        sys.exit(f"bench_ggml: ggml cannot use {description}")
    context = ggml.ggml_init(InitParams(16 << 20, None, True))
    w = ggml.ggml_new_tensor_2d(context, TYPE_F32, k, n)
    x = ggml.ggml_new_tensor_2d(context, TYPE_F32, k, m)
    y = ggml.ggml_mul_mat(context, w, x)
    # What trdpo-vk computes too: products and sums in fp32.
    ggml.ggml_mul_mat_set_prec(y, PREC_F32)
    graph = ggml.ggml_new_graph(context)
    ggml.ggml_build_forward_expand(graph, y)
    if not ggml.ggml_backend_alloc_ctx_tensors(context, backend):
        sys.exit(f"bench_ggml: no room for the product on {description}")
    generator = random.Random(1)
    operands = numbers(m * k, generator), numbers(n * k, generator)
    for tensor, values in zip((x, w), operands):
        ggml.ggml_backend_tensor_set(tensor, values.buffer_info()[0], 0, len(values) * 4)
    seconds = []
    for _ in range(1 + runs):
        begin = time.perf_counter()
        status = ggml.ggml_backend_graph_compute(backend, graph)
        seconds.append(time.perf_counter() - begin)
        if status != STATUS_SUCCESS:
            sys.exit(f"bench_ggml: the product failed on {description} (status {status})")
    result = array.array("f", bytes(4 * m * n))
    ggml.ggml_backend_tensor_get(y, result.buffer_info()[0], 0, 4 * m * n)
    check(*operands, result, shape, generator)
    return {"device": description, "version": ggml.ggml_version().decode(),
            "seconds": min(seconds[1:]), "runs": seconds[1:]}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", metavar="M,N,K", default="1024,1024,1024",
                        help="the product (default: 1024,1024,1024)")
    parser.add_argument("--device", metavar="INDEX",
                        help="number of the device, as Vulkan counts (default: ggml's choice)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="timed runs (default: 5)")
    args = parser.parse_args()
    try:
        shape = tuple(int(part) for part in args.shape.split(","))
    except ValueError:
        shape = ()
    if len(shape) != 3 or min(shape) < 1:
        parser.error(f"--shape: expected M,N,K, not '{args.shape}'")
    if args.runs < 1:
        parser.error("--runs: expected a positive number")
    if args.device is not None:
        os.environ["GGML_VK_VISIBLE_DEVICES"] = args.device
    result = measure(Library(), shape, args.runs)
    print(json.dumps(result), flush=True)
    # Without the library's destructors, which take the device down while its threads still run.
    os._exit(0)


if __name__ == "__main__":
    main()
