#!/usr/bin/env python3
"""Matrix products of trdpo-vk beside PyTorch's on the same processor cores, and beside ggml's.

Runs `trdpo-vk bench matmul --json` and the same products in PyTorch (fp32, CPU, as many threads as
there are usable cores) in turn, several times, so that both meet the same machine, keeps the best of
each, and tells what other processes took of the cores meanwhile. Meant for software devices such as
lavapipe, where both use the same cores; with a GPU it compares the GPU with the CPU, and says so.

With --ggml, y = x w^T of ggml's Vulkan backend on the same device takes its turn too (bench_ggml.py):
PYTHON is a Python that finds libggml there, as words of a command. ggml keeps the weights of the
other two products in another order than a training step has them, and has no such products.

    tools/bench_peers.py
    tools/bench_peers.py --ggml python3
    tools/bench_peers.py --shapes 1024,1024,1024 2048,1536,512 --repeat 10 --json
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time

from bench_machine import Load, driver_of, processor_name, told, usable_cores

NO_TORCH = """bench_peers: PyTorch is not installed for %s. In a virtual environment:
    python3 -m venv venv
    venv/bin/pip install torch
    venv/bin/python tools/bench_peers.py"""

# By the names that `bench matmul` gives them: operands of an m x n x k product, from its sizes.
PRODUCTS = {
    "matmul": lambda torch, m, n, k: (torch.randn(m, k), torch.randn(n, k).t()),
    "matmul_bwd_input": lambda torch, m, n, k: (torch.randn(m, k), torch.randn(k, n)),
    "matmul_bwd_weight": lambda torch, m, n, k: (torch.randn(k, m).t(), torch.randn(k, n)),
}


def parse_arguments():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--binary", default=os.path.join(root, "build", "trdpo-vk"),
                        help="the program (default: build/trdpo-vk)")
    parser.add_argument("--shapes", nargs="+", metavar="M,N,K", default=["1024,1024,1024"],
                        help="products to time (default: 1024,1024,1024)")
    parser.add_argument("--repeat", type=int, default=5, metavar="N",
                        help="turns of each (default: 5)")
    parser.add_argument("--ggml", metavar="PYTHON", type=shlex.split,
                        help="run ggml's Vulkan backend too, by this Python")
    parser.add_argument("--ggml_device", metavar="INDEX", default="0",
                        help="number of its device, as Vulkan counts (default: 0)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    args = parser.parse_args()
    args.shapes = [parse_shape(parser, text) for text in args.shapes]
    if args.repeat < 1:
        parser.error("--repeat: expected a positive number")
    if not os.access(args.binary, os.X_OK):
        parser.error(f"--binary: {args.binary} is not a program; build it first, "
                     "or say where it is")
    return args


def parse_shape(parser, text):
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if len(shape) != 3 or min(shape) < 1:
        parser.error(f"--shapes: expected M,N,K, not '{text}'")
    return shape


def ours(binary, shape):
    """Results of one run of `bench matmul`: {name: result}."""
    command = [binary, "bench", "matmul", "--json", "--shape", ",".join(map(str, shape))]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit(f"bench_peers: {' '.join(command)} failed (exit code {run.returncode})")
    results = [json.loads(line) for line in run.stdout.splitlines() if line.strip()]
    return {r["name"]: r for r in results if r["name"] in PRODUCTS}


def theirs(torch, operands, out):
    """Seconds of the fastest of a few products, after one that does not count."""
    best = float("inf")
    torch.mm(*operands, out=out)
    for _ in range(5):
        begin = time.perf_counter()
        torch.mm(*operands, out=out)
        best = min(best, time.perf_counter() - begin)
    return best


def ggml(args, shape):
    """What bench_ggml.py tells of one run of the product on ggml's Vulkan backend."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench_ggml.py")
    command = [*args.ggml, script, "--shape", ",".join(map(str, shape)),
               "--device", args.ggml_device]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.stderr.write(run.stderr)
        sys.exit(f"bench_peers: {shlex.join(command)} failed (exit code {run.returncode})")
    return json.loads(run.stdout.splitlines()[-1])


def same_device(a, b):
    """Whether two names are one device's: lavapipe's tells its vectors' width, in parentheses."""
    return a.split(" (")[0] == b.split(" (")[0]


def compare(torch, args, shape):
    m, n, k = shape
    operands = {name: make(torch, m, n, k) for name, make in PRODUCTS.items()}
    out = torch.empty(m, n)
    best, peer, other, load = {}, {}, None, Load()
    for _ in range(args.repeat):
        for name, result in ours(args.binary, shape).items():
            if name not in best or result["seconds"] < best[name]["seconds"]:
                best[name] = result
            peer[name] = min(peer.get(name, float("inf")), theirs(torch, operands[name], out))
        if args.ggml:
            run = ggml(args, shape)
            if other is None or run["seconds"] < other["seconds"]:
                other = run
    flops = 2.0e-9 * m * n * k
    others = load.others()
    for name, result in best.items():
        row = {
            "name": name,
            "shape": list(shape),
            "dtype": result["dtype"],
            "tier": result.get("tier", ""),
            "gflops": flops / result["seconds"],
            "torch_gflops": flops / peer[name],
            "ratio": peer[name] / result["seconds"],
            "device": result["device"],
            "others": others,
        }
        if other and name == "matmul":
            if not same_device(other["device"], result["device"]):
                sys.exit(f"bench_peers: ggml ran on {other['device']}, trdpo-vk on "
                         f"{result['device']}: say with --ggml_device which to take")
            row.update(ggml_gflops=flops / other["seconds"],
                       ggml_ratio=other["seconds"] / result["seconds"],
                       ggml_device=other["device"], ggml=other["version"])
        yield row


def show_head(args, torch, row):
    print(f"{row['device']}, {driver_of(args.binary, row['device'])}")
    print(f"PyTorch {torch.__version__}, {usable_cores()} threads; {processor_name()}")
    if "ggml" in row:
        print(f"ggml {row['ggml']}, Vulkan: {row['ggml_device']}")
    if "llvmpipe" not in row["device"]:
        print("This device is no software device: PyTorch and it do not share their cores.")
    print(f"{'GFLOP/s of':18} {'m x n x k':>20} {'tier':>7} {'trdpo-vk':>9} {'PyTorch':>9} "
          f"{'ratio':>6}" + (f" {'ggml':>9} {'ratio':>6}" if args.ggml else ""))


def show(row):
    size = " x ".join(map(str, row["shape"]))
    line = (f"{row['name']:18} {size:>20} {row['tier']:>7} {row['gflops']:9.1f} "
            f"{row['torch_gflops']:9.1f} {row['ratio']:6.2f}")
    if "ggml" in row:
        line += f" {row['ggml_gflops']:9.1f} {row['ggml_ratio']:6.1f}"
    print(line, flush=True)


def main():
    args = parse_arguments()
    try:
        import torch
    except ImportError:
        sys.exit(NO_TORCH % sys.executable)
    cores = usable_cores()
    torch.set_num_threads(cores)
    torch.manual_seed(1)
    headed = False
    for shape in args.shapes:
        for row in compare(torch, args, shape):
            if args.json:
                row.update(cpu=processor_name(), cores=cores, torch=torch.__version__)
                print(json.dumps(row), flush=True)
                continue
            if not headed:
                show_head(args, torch, row)
                headed = True
            show(row)
        if not args.json:
            print(told(row["others"]), flush=True)


if __name__ == "__main__":
    main()
