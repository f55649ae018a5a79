#!/usr/bin/env python3
"""A TR-DPO epoch of trdpo-vk beside TRL's DPOTrainer with sync_ref_model, on the same cores.

Both train the same model on the same pairs in fp32 with the same settings, each in a process of its
own, in turn, several times. The fastest run of each counts, since other processes slow the two down
unevenly. Told are pairs per second of the steps alone, without loading and without the scores of the
start that trdpo-vk takes before the first step (told apart); of the whole process seconds, processor
time, most memory, and what others took of the cores meanwhile. The order of pairs is each side's own.
Before that both take two steps on one batch of a few pairs, where order is nothing: loss, log-probs,
margins and gradient norm must agree.

Meant for software devices such as lavapipe, where both use the same cores; with a GPU it compares
the GPU with the processor, and says so.

    tools/bench_trl.py --model MODEL --dataset train.jsonl.gz
    tools/bench_trl.py --model MODEL --dataset train.jsonl.gz --all --repeat 1 --json

Needs torch, transformers, datasets and trl (1.16) in the Python that runs it.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from bench_machine import Load, driver_of, processor_name, told, usable_cores

NEEDS = """bench_trl: %s for %s. In a virtual environment:
    python3 -m venv venv
    venv/bin/pip install torch transformers datasets trl==1.16.0
    venv/bin/python tools/bench_trl.py ..."""

HUMAN, ASSISTANT = "Human:", "\n\nAssistant:"

# What both sides are told, by the names that both give it.
SETTINGS = {
    "beta": 0.5,
    "learning_rate": 1e-4,
    "lr_scheduler_type": "linear",
    "warmup_steps": 0,
    "max_grad_norm": 1.0,
    "weight_decay": 0.0,
    "ref_model_mixup_alpha": 0.6,
    "ref_model_sync_steps": 16,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 1,
    "seed": 42,
    "logging_steps": 1,
}

CHECKED_PAIRS = 16  # of the two steps that both must agree on
COMPARED = ("loss", "logps/chosen", "logps/rejected", "rewards/margins", "grad_norm")
TOLERANCE = 1e-4  # relative, and absolute below 1

# How messages of `trdpo-vk train --verbose` begin: the device's name, the scores of the start, and
# what comes when they are there.
DEVICE, SCORING, SCORED = "device: ", "scoring ", "example: "


# ---- the pairs ----


def split(record):
    """A pair with its prompt apart, so that both sides see the same one."""
    if "prompt" in record:
        return {key: record[key] for key in ("prompt", "chosen", "rejected")}
    chosen, rejected = record["chosen"], record["rejected"]
    common = os.path.commonprefix([chosen, rejected])
    end = common.rfind(ASSISTANT)
    if end < 0 or not common.lstrip("\n ").startswith(HUMAN):
        sys.exit("bench_trl: a record has no prompt and no HH turns: give records with prompt, "
                 "chosen and rejected")
    end += len(ASSISTANT)
    return {"prompt": chosen[:end], "chosen": chosen[end:], "rejected": rejected[end:]}


def read_pairs(path, limit):
    """Pairs whose completions differ (trdpo-vk leaves the others out), `limit` at most."""
    pairs = []
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if not line.strip():
                continue
            pair = split(json.loads(line))
            if pair["chosen"] != pair["rejected"]:
                pairs.append(pair)
            if len(pairs) == limit:
                break
    return pairs


def fitting(pairs, model, max_length):
    """Pairs that neither side drops: the prompt leaves room, and truncation leaves a difference."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = [tokenizer([p["prompt"], p["prompt"] + p["chosen"],
                      p["prompt"] + p["rejected"]])["input_ids"] for p in pairs]
    return [pair for pair, (prompt, chosen, rejected) in zip(pairs, ids)
            if len(prompt) < max_length and chosen[:max_length] != rejected[:max_length]]


# ---- processes ----


def run_process(command):
    """Runs it; returns its use of the machine, stdout, and stderr's lines as (when, text)."""
    begin, load = time.perf_counter(), Load()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True)
        messages = [(time.perf_counter(), line) for line in process.stderr]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begin
        process.stderr.close()
        if process.returncode != 0:
            sys.stderr.write("".join(line for _, line in messages[-40:]))
            sys.exit(f"bench_trl: {command[0]} failed (exit code {process.returncode})")
        use = {"process_seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime,
               "peak_mib": usage.ru_maxrss / 1024, "others": load.others()}
        out.seek(0)
        return use, out.read(), messages


def find_message(messages, beginning):
    """When the message that begins so came, and the rest of its line."""
    for when, line in messages:
        if line.startswith(beginning):
            return when, line[len(beginning):].strip()
    sys.exit(f"bench_trl: trdpo-vk did not say '{beginning}...'")


def ours(args, job):
    """One run of `trdpo-vk train`: (steps' metrics, seconds of the steps, use of the machine)."""
    output = os.path.join(job["scratch"], "ours")
    command = [args.binary, "train", "--output_dir", output, "--overwrite_output_dir", "true",
               "--model_name_or_path", job["model"], "--dataset_name", job["dataset"],
               "--max_length", str(job["max_length"]),
               "--per_device_train_batch_size", str(job["batch"]),
               "--sync_ref_model", "true", "--save_steps", "0", "--verbose"]
    for key, value in job["settings"].items():
        command += [f"--{key}", str(value)]
    if args.device:
        command += ["--device", args.device]
    use, _, messages = run_process(command)
    use["device"] = find_message(messages, DEVICE)[1]
    use["start_seconds"] = find_message(messages, SCORED)[0] - find_message(messages, SCORING)[0]
    with open(os.path.join(output, "metrics.jsonl"), encoding="utf-8") as lines:
        steps = [json.loads(line) for line in lines]
    # Every step is logged, so that the seconds of each are its tokens over its rate. The first
    # begins after the start has been scored, the last ends before the checkpoint is written.
    seconds, tokens = 0.0, 0
    for step in steps:
        seconds += (step["num_tokens"] - tokens) / step["tokens_per_second"]
        tokens = step["num_tokens"]
    return steps, seconds, use


def theirs(_args, job):
    """The same of TRL."""
    path = os.path.join(job["scratch"], "job.json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump(job, out)
    use, text, _ = run_process([sys.executable, os.path.abspath(__file__), "--trl", path])
    result = json.loads(text.splitlines()[-1])
    return result["steps"], result["seconds"], use


def train_with_trl(path):
    """The other process: one run of TRL's trainer by the job in `path`, told as JSON on stdout."""
    with open(path, encoding="utf-8") as file:
        job = json.load(file)
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    torch.set_num_threads(job["threads"])

    class Clock(TrainerCallback):
        """Time from before the first step's batch is made to after the last step."""

        begin = end = 0.0

        def on_train_begin(self, *_, **__):
            self.begin = time.perf_counter()

        def on_step_end(self, *_, **__):
            self.end = time.perf_counter()

    def load():
        return AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)

    with open(job["dataset"], encoding="utf-8") as lines:
        dataset = Dataset.from_list([json.loads(line) for line in lines])
    clock = Clock()
    trainer = DPOTrainer(
        model=load(),
        ref_model=load(),
        args=DPOConfig(
            output_dir=os.path.join(job["scratch"], "trl"),
            max_length=job["max_length"],
            per_device_train_batch_size=job["batch"],
            sync_ref_model=True,
            loss_type=["sigmoid"],
            use_cpu=True,
            bf16=False,
            fp16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            **job["settings"],
        ),
        train_dataset=dataset,
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
        callbacks=[clock],
    )
    trainer.train()
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    print(json.dumps({"steps": steps, "seconds": clock.end - clock.begin}))


# ---- comparison ----


def write_pairs(pairs, path):
    with open(path, "w", encoding="utf-8") as out:
        for pair in pairs:
            out.write(json.dumps(pair) + "\n")


def check(args, job, pairs):
    """Two steps of both on one batch, the reference moving after each; ends the program if they
    differ."""
    path = os.path.join(job["scratch"], "checked.jsonl")
    write_pairs(pairs, path)
    settings = dict(job["settings"], num_train_epochs=2, ref_model_sync_steps=1)
    job = dict(job, dataset=path, batch=len(pairs), settings=settings)
    mine, peer = ours(args, job)[0], theirs(args, job)[0]
    worst = 0.0
    for step, (a, b) in enumerate(zip(mine, peer, strict=True), 1):
        for name in COMPARED:
            off = abs(a[name] - b[name]) / max(1.0, abs(b[name]))
            worst = max(worst, off)
            if not off <= TOLERANCE:
                sys.exit(f"bench_trl: the two do not compute the same: {name} of step {step} is "
                         f"{a[name]:.6f} here, {b[name]:.6f} in TRL")
    return {"loss": [step["loss"] for step in mine], "trl_loss": [step["loss"] for step in peer],
            "worst": worst}


def summary(pairs, runs):
    """The fastest of a side's runs, with the seconds of all."""
    steps, seconds, use = min(runs, key=lambda run: run[1])
    return {
        "pairs_per_second": pairs / seconds,
        "seconds": [run[1] for run in runs],
        **use,
        "loss": statistics.fmean(step["loss"] for step in steps),
    }


def compare(args, scratch):
    import torch

    pairs = read_pairs(args.dataset, None)
    pairs = fitting(pairs, args.model, args.max_length)
    if not args.all:
        pairs = pairs[:args.pairs]
    dataset = os.path.join(scratch, "pairs.jsonl")
    write_pairs(pairs, dataset)
    job = {"scratch": scratch, "dataset": dataset, "model": args.model, "batch": args.batch,
           "max_length": args.max_length, "threads": usable_cores(), "settings": SETTINGS}
    checked = check(args, job, pairs[:CHECKED_PAIRS])
    mine, peer = [], []
    for turn in range(args.repeat):
        mine.append(ours(args, job))
        peer.append(theirs(args, job))
        if not args.json:
            print(f"turn {turn + 1}: steps {mine[-1][1]:.1f} s, TRL {peer[-1][1]:.1f} s",
                  flush=True)
    ratios = sorted(b[1] / a[1] for a, b in zip(mine, peer))
    return {
        "pairs": len(pairs),
        "steps": len(mine[0][0]),
        "checked": checked,
        "ours": summary(len(pairs), mine),
        "trl": summary(len(pairs), peer),
        "ratios": ratios,
        "ratio": min(run[1] for run in peer) / min(run[1] for run in mine),
        "device": mine[0][2]["device"],
        "cpu": processor_name(),
        "cores": usable_cores(),
        "torch": torch.__version__,
    }


def show(args, r):
    print(f"{r['device']}, {driver_of(args.binary, r['device'])}")
    print(f"PyTorch {r['torch']}, {r['cores']} threads; {r['cpu']}")
    if "llvmpipe" not in r["device"]:
        print("This device is no software device: the two do not share their cores.")
    c = r["checked"]
    print(f"checked on {CHECKED_PAIRS} pairs, two steps: loss "
          + ", ".join(f"{a:.6f} (TRL {b:.6f})" for a, b in zip(c["loss"], c["trl_loss"]))
          + f"; all metrics within {c['worst']:.1e}")
    print(f"{r['pairs']} pairs, {r['steps']} steps of {args.batch}, "
          f"max_length {args.max_length}, fp32")
    print(f"{'':10} {'pairs/s':>8} {'steps s':>8} {'process s':>10} {'cpu s':>7} "
          f"{'peak MiB':>9} {'mean loss':>10}")
    for name, side in (("trdpo-vk", r["ours"]), ("TRL", r["trl"])):
        print(f"{name:10} {side['pairs_per_second']:8.2f} {min(side['seconds']):8.1f} "
              f"{side['process_seconds']:10.1f} {side['cpu_seconds']:7.1f} "
              f"{side['peak_mib']:9.0f} {side['loss']:10.4f}   {told(side['others'])}".rstrip())
    print(f"of trdpo-vk's process: {r['ours']['start_seconds']:.1f} s for the scores of the start, "
          "before the steps")
    spread = ", ".join(f"{ratio:.2f}" for ratio in r["ratios"])
    print(f"ratio of pairs/s: {r['ratio']:.2f} of each side's fastest run; by turns {spread}")


def parse_arguments():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--binary", default=os.path.join(root, "build", "trdpo-vk"),
                        help="the program (default: build/trdpo-vk)")
    parser.add_argument("--device", help="device of trdpo-vk, by number or name")
    parser.add_argument("--model", required=True, help="folder of the starting model")
    parser.add_argument("--dataset", required=True,
                        help="preference pairs: JSON lines, plain or gzip")
    parser.add_argument("--pairs", type=int, default=240, metavar="N",
                        help="train on the first N pairs (default: 240)")
    parser.add_argument("--all", action="store_true", help="train on all pairs")
    parser.add_argument("--batch", type=int, default=8, metavar="N",
                        help="pairs of a step (default: 8)")
    parser.add_argument("--max_length", type=int, default=512, metavar="N",
                        help="tokens of prompt and completion (default: 512)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N",
                        help="turns of each (default: 3)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    args = parser.parse_args()
    for name in ("pairs", "batch", "max_length", "repeat"):
        if getattr(args, name) < 1:
            parser.error(f"--{name}: expected a positive number")
    if not os.access(args.binary, os.X_OK):
        parser.error(f"--binary: {args.binary} is not a program; build it first, "
                     "or say where it is")
    return args


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--trl":
        train_with_trl(sys.argv[2])
        return
    args = parse_arguments()
    try:
        import datasets  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
        import trl
    except ImportError as e:
        sys.exit(NEEDS % (e, sys.executable))
    if not trl.__version__.startswith("1.16"):
        print(f"bench_trl: TRL {trl.__version__} is not the 1.16 that this was written for",
              file=sys.stderr)
    with tempfile.TemporaryDirectory() as scratch:
        result = compare(args, scratch)
    if args.json:
        print(json.dumps(result))
    else:
        show(args, result)


if __name__ == "__main__":
    main()
