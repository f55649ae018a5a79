#!/usr/bin/env python3
"""Matrix products of trdpo-vk beside PyTorch's on the same processor cores.

Runs `trdpo-vk bench matmul --json` and the same products in PyTorch (fp32, CPU, as many threads as
there are usable cores) in turn, several times, so that both meet the same machine, and keeps the
best of each. Meant for software devices such as lavapipe, where both use the same cores; with a GPU
it compares the GPU with the CPU, and says so.

    tools/bench_peers.py
    tools/bench_peers.py --shapes 1024,1024,1024 2048,1536,512 --repeat 10 --json
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time

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


def usable_cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def driver_of(binary, device):
    """Driver and version of the device that the benchmark ran on."""
    run = subprocess.run([binary, "devices", "--json"], capture_output=True, text=True)
    if run.returncode != 0:
        return ""
    text = run.stdout.strip()
    try:
        found = json.loads(text)
    except ValueError:
        found = [json.loads(line) for line in text.splitlines()]
    if isinstance(found, dict):
        found = found.get("devices", [found])
    for entry in found:
        if entry.get("name") == device:
            return " ".join(str(entry[key]) for key in ("driver", "driver_info") if key in entry)
    return ""


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


def compare(torch, args, shape):
    m, n, k = shape
    operands = {name: make(torch, m, n, k) for name, make in PRODUCTS.items()}
    out = torch.empty(m, n)
    best, peer = {}, {}
    for _ in range(args.repeat):
        for name, result in ours(args.binary, shape).items():
            if name not in best or result["seconds"] < best[name]["seconds"]:
                best[name] = result
            peer[name] = min(peer.get(name, float("inf")), theirs(torch, operands[name], out))
    for name, result in best.items():
        flops = 2.0 * m * n * k
        yield {
            "name": name,
            "shape": list(shape),
            "dtype": result["dtype"],
            "tier": result.get("tier", ""),
            "gflops": flops / result["seconds"] * 1e-9,
            "torch_gflops": flops / peer[name] * 1e-9,
            "ratio": peer[name] / result["seconds"],
            "device": result["device"],
        }


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
                print(f"{row['device']}, {driver_of(args.binary, row['device'])}")
                print(f"PyTorch {torch.__version__}, {cores} threads; {processor_name()}")
                if "llvmpipe" not in row["device"]:
                    print("This device is no software device: the two do not share their cores.")
                print(f"{'product':18} {'m x n x k':>20} {'tier':>7} {'trdpo-vk':>10} "
                      f"{'PyTorch':>10} GFLOP/s  ratio")
                headed = True
            size = " x ".join(map(str, row["shape"]))
            print(f"{row['name']:18} {size:>20} {row['tier']:>7} {row['gflops']:10.1f} "
                  f"{row['torch_gflops']:10.1f}          {row['ratio']:.2f}", flush=True)


if __name__ == "__main__":
    main()
