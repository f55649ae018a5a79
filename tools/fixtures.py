#!/usr/bin/env python3
"""Makes tests/fixtures: tiny Llama models with what PyTorch, transformers and TRL compute for them.

    python tools/fixtures.py OUTPUT_DIR        (CPU only, a minute or two, no network)

Needs torch, transformers, trl, tokenizers, datasets and safetensors; the versions of the committed
files are in VERSIONS below, and others are refused unless --any-version is given, since the files
would differ. Everything is seeded: run twice, it writes the same bytes.

tests/fixtures/README.md says what each file is.
"""

import argparse
import importlib.metadata
import json
import math
import os
import random
import sys
import tempfile

VERSIONS = {
    "torch": "2.15.0",
    "transformers": "5.23.0",
    "trl": "1.16.0",
    "tokenizers": "0.23.3",
    "datasets": "5.2.0",
    "safetensors": "0.8.0",
}

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

BETA = 0.1
SMOOTHING = 0.1
WARM_STEPS = 20
END, PAD, BEGIN = "<|end|>", "<|pad|>", "<|begin|>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + "
    "message['content'] | trim + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
GPT2_LIKE, LLAMA3_LIKE = "gpt2", "llama3"
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

MODELS = {
    # Grouped key/value heads, tied head, a head size that is not hidden / heads, no biases, no BOS.
    "tiny-gqa": {
        "seed": 11,
        "tokenizer": GPT2_LIKE,
        "config": {
            "hidden_size": 48,
            "intermediate_size": 56,
            "num_hidden_layers": 2,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "head_dim": 12,
            "max_position_embeddings": 256,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
    },
    # One key/value head for each head, untied head, biases, llama3 RoPE whose three bands are all in
    # use (wavelengths 6.3, 30, 141, 665 against 64 / 4 and 64 / 1), BOS and a chat template.
    "tiny-llama3": {
        "seed": 22,
        "tokenizer": LLAMA3_LIKE,
        "config": {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 512,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": False,
            "attention_bias": True,
            "mlp_bias": True,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        },
    },
}

# Two settings of TRL's moving reference; everything else is shared.
RUNS = {
    "soft": {"ref_model_mixup_alpha": 0.6, "ref_model_sync_steps": 1},
    "hard": {"ref_model_mixup_alpha": 1.0, "ref_model_sync_steps": 2},
}
TRAINING = {
    "max_steps": 6,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "linear",
    "warmup_steps": 0,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "max_length": 1024,
    "beta": BETA,
    "seed": 42,
}


def preference_rows():
    """Sixteen rows of varied length, among them the awkward ones named below."""
    rng = random.Random(7)
    things = ["the river", "a small boat", "the old clock", "my garden", "the night train", "a blue kite"]
    verbs = ["moves", "sings", "waits", "turns", "shines", "drifts"]
    places = ["by the harbour", "under the bridge", "in the rain", "near the mill", "on the hill"]

    def sentence():
        return f"{rng.choice(things)} {rng.choice(verbs)} {rng.choice(places)}"

    rows = []
    for i in range(11):
        prompt = "Question: what about " + ", and ".join(sentence() for _ in range(1 + i % 3)) + "?\nAnswer:"
        chosen = " " + " then ".join(sentence() for _ in range(1 + (i * 2) % 3)) + "."
        rejected = " " + " or ".join(sentence() for _ in range(1 + i % 2)) + ("!" * (1 + i % 4))
        rows.append((prompt, chosen, rejected))
    rows.append(("Say one word:", " yes", " no"))  # the shortest
    rows.append(("Count to three: ", "the first, the second, the third.", "the end."))  # a token merges
    rows.append(("Ends already:", " the end." + END, " no end"))  # the end token is there
    rows.append(("Caf\u00e9, na\u00efve, \u6771\u4eac \U0001f600:", " d\u00e9j\u00e0 vu 123456", " \u00fcber\n\n  it's 42"))
    rows.append(("Go", " on then, and on, and on, until the old clock turns.", " away"))
    return [{"prompt": p, "chosen": c, "rejected": r} for p, c, r in rows]


def make_tokenizer(kind, texts):
    """A byte-level BPE of 256 bytes, a few specials and 28 merges learnt from `texts`."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    specials = [END, PAD] if kind == GPT2_LIKE else [BEGIN, END, PAD, "<|user|>", "<|assistant|>"]
    tok = Tokenizer(models.BPE())
    if kind == GPT2_LIKE:
        tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tok.post_processor = processors.ByteLevel(trim_offsets=False)
    else:
        tok.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(LLAMA3_PATTERN), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=288,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(texts, trainer)
    extra = {}
    if kind == LLAMA3_LIKE:
        begin_id = tok.token_to_id(BEGIN)
        tok.post_processor = processors.Sequence(
            [
                processors.ByteLevel(trim_offsets=False),
                processors.TemplateProcessing(
                    single=f"{BEGIN} $A", pair=f"{BEGIN} $A {BEGIN}:1 $B:1", special_tokens=[(BEGIN, begin_id)]
                ),
            ]
        )
        extra = {"bos_token": BEGIN, "chat_template": CHAT_TEMPLATE}
    return PreTrainedTokenizerFast(tokenizer_object=tok, eos_token=END, pad_token=PAD, **extra)


def make_models(spec, tokenizer, rows):
    """The policy, and the reference: the policy's weights with seeded noise on them.

    The policy starts from weights large enough for gradients well above rounding, and learns the rows
    for a few steps, so that some of its arg-max tokens are right.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attention_dropout=0.0,
        **spec["config"],
    )
    gen = torch.Generator().manual_seed(spec["seed"])
    policy, reference = LlamaForCausalLM(config), LlamaForCausalLM(config)
    with torch.no_grad():
        for name, p in policy.named_parameters():
            noise = torch.randn(p.shape, generator=gen)
            if name.endswith("norm.weight"):
                p.copy_(1.0 + 0.2 * noise)
            elif name.endswith("bias"):
                p.copy_(0.1 * noise)
            else:
                p.copy_(0.2 * noise)
    texts = [
        torch.tensor([tokenizer(row["prompt"] + row[k] + END)["input_ids"]])
        for row in rows
        for k in ("chosen", "rejected")
    ]
    opt = torch.optim.Adam(policy.parameters(), lr=1e-2, foreach=False)
    for _ in range(WARM_STEPS):
        opt.zero_grad()
        sum(policy(input_ids=ids, labels=ids, use_cache=False).loss for ids in texts).div(len(texts)).backward()
        opt.step()
    with torch.no_grad():
        for p, r in zip(policy.parameters(), reference.parameters(), strict=True):
            r.copy_(p + 0.02 * torch.randn(p.shape, generator=gen))
    policy.generation_config.do_sample = reference.generation_config.do_sample = False
    return policy.eval(), reference.eval()


def tokenize(row, tokenizer):
    """Token ids of prompt, chosen and rejected by the rules that TRL applies too."""
    ends = {k: row[k] if row[k].endswith(END) else row[k] + END for k in ("chosen", "rejected")}
    ids = {k: tokenizer(row["prompt"] + ends[k])["input_ids"] for k in ends}
    prompt = tokenizer(row["prompt"])["input_ids"]
    n = 0
    while n < len(prompt) and all(n < len(x) and x[n] == prompt[n] for x in ids.values()):
        n += 1
    return {"prompt": prompt[:n], "chosen": ids["chosen"][n:], "rejected": ids["rejected"][n:], "cut": len(prompt) - n}


def in_double(model):
    """A copy in float64 throughout: transformers computes norms and rotary angles in float32."""
    import copy

    import torch

    model = copy.deepcopy(model).double()
    config = model.config
    rope = config.rope_parameters
    half = config.head_dim // 2
    inv_freq = rope["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
    if rope["rope_type"] == "llama3":
        wave = 2 * math.pi / inv_freq
        old, low, high = (rope[k] for k in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor"))
        keep = ((old / wave - low) / (high - low)).clamp(0, 1)  # 0: divided by factor, 1: as it is
        inv_freq = (1 - keep) * inv_freq / rope["factor"] + keep * inv_freq

    def rotary(x, position_ids):
        angle = position_ids[..., None].double() * inv_freq
        angle = torch.cat((angle, angle), dim=-1)
        return angle.cos(), angle.sin()

    def rms_norm(norm):
        return lambda x: norm.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon)

    model.model.rotary_emb.forward = rotary
    for module in model.modules():
        if type(module).__name__ == "LlamaRMSNorm":
            module.forward = rms_norm(module)
    return model


def completion_stats(model, prompt, completion):
    """Log-prob, entropy and arg-max agreement of every completion token."""
    import torch

    ids = torch.tensor([prompt + completion])
    logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    logp = torch.log_softmax(logits, dim=-1)
    target = torch.tensor(completion)
    return {
        "logp": logp.gather(1, target[:, None])[:, 0],
        "entropy": -(logp.exp() * logp).sum(-1),
        "top1": logits.argmax(-1) == target,
    }


def row_stats(model, tokens):
    return [{k: completion_stats(model, t["prompt"], t[k]) for k in ("chosen", "rejected")} for t in tokens]


def pair_sums(stats):
    import torch

    return tuple(torch.stack([s[k]["logp"].sum() for s in stats]) for k in ("chosen", "rejected"))


def dpo_losses(policy_sums, reference_sums, smoothing):
    from torch.nn.functional import logsigmoid

    u_w, u_l = (p - r for p, r in zip(policy_sums, reference_sums, strict=True))
    delta = BETA * (u_w - u_l)
    return -(1 - smoothing) * logsigmoid(delta) - smoothing * logsigmoid(-delta)


def gradients(model, loss):
    import torch

    model.zero_grad()
    loss.backward()
    return {
        n: (torch.zeros_like(p) if p.grad is None else p.grad).detach().clone() for n, p in model.named_parameters()
    }


def save_tensors(path, tensors):
    from safetensors.torch import save_file

    save_file({k: v.detach().float().contiguous() for k, v in tensors.items()}, path)


def write_json(path, value):
    """An object with a member a line, and a line for each object of a list."""
    with open(path, "w", encoding="utf-8") as f:
        lines = []
        for key, item in value.items():
            if isinstance(item, list) and item and isinstance(item[0], dict):
                text = "[\n" + ",\n".join("  " + json.dumps(x) for x in item) + "\n ]"
            else:
                text = json.dumps(item)
            lines.append(f" {json.dumps(key)}: {text}")
        f.write("{\n" + ",\n".join(lines) + "\n}\n")


def write_expected(out, name, policy, reference, tokens):
    """NAME/expected.json, grads_dpo.safetensors and grads_sft.safetensors, all from float64."""
    import torch

    policy64, reference64 = in_double(policy), in_double(reference)
    stats = row_stats(policy64, tokens)
    with torch.no_grad():
        ref_stats = row_stats(reference64, tokens)
    sums, ref_sums = pair_sums(stats), pair_sums(ref_stats)
    leaves = [s.detach().requires_grad_() for s in sums]
    losses, derivatives = {}, {}
    for key, smoothing in (("plain", 0.0), ("smoothed", SMOOTHING)):
        losses[key] = dpo_losses(leaves, ref_sums, smoothing)
        derivatives[key] = torch.autograd.grad(losses[key].mean(), leaves)

    rows = []
    for i, t in enumerate(tokens):
        row = {"row": i, "prompt_cut": t["cut"]}
        for k, which in enumerate(("chosen", "rejected")):
            row[f"{which}_tokens"] = len(t[which])
            row[f"logps/{which}"] = sums[k][i].item()
            row[f"logps/ref_{which}"] = ref_sums[k][i].item()
            row[f"rewards/{which}"] = BETA * (sums[k][i] - ref_sums[k][i]).item()
            row[f"entropy/{which}"] = stats[i][which]["entropy"].mean().item()
            row[f"top1/{which}"] = int(stats[i][which]["top1"].sum())
            row[f"dloss_dlogp/{which}"] = derivatives["plain"][k][i].item()
            row[f"dloss_dlogp_smoothed/{which}"] = derivatives["smoothed"][k][i].item()
        row["prompt_tokens"] = len(t["prompt"])
        row["loss"] = losses["plain"][i].item()
        row["loss_smoothed"] = losses["smoothed"][i].item()
        row["ids"] = {k: t[k] for k in ("prompt", "chosen", "rejected")}
        rows.append(row)

    per_token = [
        {
            "row": i,
            **{k: stats[i][k]["logp"].tolist() for k in ("chosen", "rejected")},
            **{"ref_" + k: ref_stats[i][k]["logp"].tolist() for k in ("chosen", "rejected")},
            **{"entropy_" + k: stats[i][k]["entropy"].tolist() for k in ("chosen", "rejected")},
        }
        for i in (0, 5, 12, 14)
    ]
    entropy = torch.cat([s[k]["entropy"] for s in stats for k in ("chosen", "rejected")])
    chosen_logp = torch.cat([s["chosen"]["logp"] for s in stats])
    sft_loss = -chosen_logp.mean()
    grads = gradients(policy64, dpo_losses(sums, ref_sums, 0.0).mean())
    sft_stats = row_stats(policy64, tokens)
    sft_grads = gradients(policy64, -torch.cat([s["chosen"]["logp"] for s in sft_stats]).mean())
    save_tensors(os.path.join(out, name, "grads_dpo.safetensors"), grads)
    save_tensors(os.path.join(out, name, "grads_sft.safetensors"), sft_grads)

    def norm(g):
        return math.sqrt(sum(v.pow(2).sum().item() for v in g.values()))

    rewards = [BETA * (p - r) for p, r in zip(sums, ref_sums, strict=True)]
    write_json(
        os.path.join(out, name, "expected.json"),
        {
            "beta": BETA,
            "label_smoothing": SMOOTHING,
            "dpo": {
                "loss": losses["plain"].mean().item(),
                "loss_smoothed": losses["smoothed"].mean().item(),
                "rewards/chosen": rewards[0].mean().item(),
                "rewards/rejected": rewards[1].mean().item(),
                "rewards/margins": (rewards[0] - rewards[1]).mean().item(),
                "rewards/accuracies": (rewards[0] > rewards[1]).double().mean().item(),
                "logps/chosen": sums[0].mean().item(),
                "logps/rejected": sums[1].mean().item(),
                "entropy": entropy.mean().item(),
                "mean_token_accuracy": torch.cat([s["chosen"]["top1"] for s in stats]).double().mean().item(),
                "grad_norm": norm(grads),
            },
            "sft": {"loss": sft_loss.item(), "tokens": len(chosen_logp), "grad_norm": norm(sft_grads)},
            "rows": rows,
            "per_token": per_token,
        },
    )


def train_with_trl(policy, reference, tokenizer, rows, run):
    """Six steps of TRL's DPOTrainer; every step sees all rows."""
    import copy

    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    policy, reference = copy.deepcopy(policy), copy.deepcopy(reference)
    with tempfile.TemporaryDirectory() as scratch:
        args = DPOConfig(
            output_dir=scratch,
            per_device_train_batch_size=len(rows),
            gradient_accumulation_steps=1,
            sync_ref_model=True,
            loss_type=["sigmoid"],
            disable_dropout=True,
            use_cpu=True,
            bf16=False,
            fp16=False,
            gradient_checkpointing=False,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            **TRAINING,
            **run,
        )
        trainer = DPOTrainer(
            model=policy,
            ref_model=reference,
            args=args,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        trainer.train()
        log = [entry for entry in trainer.state.log_history if "loss" in entry]
        return trainer.model, trainer.ref_model, log


def train_in_double(policy, reference, tokens, run):
    """The same steps written out in float64: tells how far float32 alone moves the result."""
    import torch

    policy, reference = in_double(policy), in_double(reference)
    opt = torch.optim.AdamW(
        policy.parameters(),
        lr=TRAINING["learning_rate"],
        betas=(TRAINING["adam_beta1"], TRAINING["adam_beta2"]),
        eps=TRAINING["adam_epsilon"],
        weight_decay=0.0,
        foreach=False,
    )
    for step in range(TRAINING["max_steps"]):
        opt.param_groups[0]["lr"] = TRAINING["learning_rate"] * (1 - step / TRAINING["max_steps"])
        with torch.no_grad():
            ref_sums = pair_sums(row_stats(reference, tokens))
        opt.zero_grad()
        dpo_losses(pair_sums(row_stats(policy, tokens)), ref_sums, 0.0).mean().backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), TRAINING["max_grad_norm"])
        opt.step()
        if (step + 1) % run["ref_model_sync_steps"] == 0:
            alpha = run["ref_model_mixup_alpha"]
            with torch.no_grad():
                for phi, theta in zip(reference.parameters(), policy.parameters(), strict=True):
                    phi.copy_(alpha * theta + (1 - alpha) * phi)
    return policy, reference


def distance(start, a, b):
    """Norm of the difference of `a` and `b` over the norm of the change from `start` to `b`."""
    pairs = list(zip(start.parameters(), a.parameters(), b.parameters(), strict=True))
    diff = sum((x.double() - y.double()).pow(2).sum().item() for _, x, y in pairs)
    change = sum((s.double() - y.double()).pow(2).sum().item() for s, _, y in pairs)
    return math.sqrt(diff / change)


def write_trl(out, name, policy, reference, tokenizer, rows, tokens):
    """NAME/trl_RUN.json, trl_RUN_policy.safetensors and trl_RUN_reference.safetensors."""
    for key, run in RUNS.items():
        theta, phi, log = train_with_trl(policy, reference, tokenizer, rows, run)
        theta64, phi64 = train_in_double(policy, reference, tokens, run)
        rounding = {"policy": distance(policy, theta, theta64), "reference": distance(reference, phi, phi64)}
        print(f"{name} {key}: float32 against float64, of the weight change: {rounding}")
        save_tensors(os.path.join(out, name, f"trl_{key}_policy.safetensors"), dict(theta.named_parameters()))
        save_tensors(os.path.join(out, name, f"trl_{key}_reference.safetensors"), dict(phi.named_parameters()))
        settings = {**TRAINING, **run, "per_device_train_batch_size": len(rows), "loss_type": "sigmoid"}
        write_json(
            os.path.join(out, name, f"trl_{key}.json"),
            {"settings": settings, "float32_against_float64": rounding, "steps": log},
        )


def check_versions(any_version):
    for package, want in VERSIONS.items():
        try:
            have = importlib.metadata.version(package).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            sys.exit(f"fixtures.py: needs {package} {want}: pip install " + " ".join(
                f"{p}=={v}" for p, v in VERSIONS.items()))
        if have != want and not any_version:
            sys.exit(f"fixtures.py: needs {package} {want}, found {have} (--any-version carries on)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", help="folder to write, for instance tests/fixtures")
    parser.add_argument("--any-version", action="store_true", help="accept other package versions")
    parser.add_argument("--skip-trl", action="store_true", help="leave the training runs out")
    args = parser.parse_args()
    check_versions(args.any_version)

    import torch
    import transformers

    torch.set_num_threads(1)  # one order of summation
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    rows = preference_rows()
    os.makedirs(args.output, exist_ok=True)
    with open(os.path.join(args.output, "prefs.jsonl"), "w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    for name, spec in MODELS.items():
        tokenizer = make_tokenizer(spec["tokenizer"], [t for row in rows for t in row.values()])
        policy, reference = make_models(spec, tokenizer, rows)
        for model, folder in ((policy, name), (reference, name + "-ref")):
            model.save_pretrained(os.path.join(args.output, folder))
        tokenizer.save_pretrained(os.path.join(args.output, name))
        tokens = [tokenize(row, tokenizer) for row in rows]
        write_expected(args.output, name, policy, reference, tokens)
        if not args.skip_trl:
            write_trl(args.output, name, policy, reference, tokenizer, rows, tokens)


if __name__ == "__main__":
    main()
