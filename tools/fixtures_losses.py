#!/usr/bin/env python3
"""Makes tests/fixtures/losses: six optimiser steps of every loss and option, by TRL or by PyTorch.

    python tools/fixtures_losses.py tests/fixtures        (CPU only, a few minutes, no network)

A run is TRL's where TRL has the loss: then the same steps are also done in float64 with the formulas of
fixtures_formulas.py, and the two must agree. Where TRL has it not, the float64 steps are the fixture. Each
run is one batch of all rows, so that their order does not matter.

Needs the packages of fixtures.py. tests/fixtures/README.md says what each file is.
"""

import argparse
import copy
import json
import math
import os
import sys
import tempfile

import fixtures
from fixtures import TRAINING as BASE_TRAINING

MODEL = {
    # As small as a model with grouped heads gets, since the weights of each run are kept.
    "seed": 31,  # one with which the two lists that aot sorts do not come in one order
    "tokenizer": fixtures.GPT2_LIKE,
    "config": {
        "hidden_size": 12,
        "intermediate_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
}
TRAINING = {k: v for k, v in BASE_TRAINING.items() if k != "beta"}
# Adam moves an element by the sign of its gradient however small that is; with 1e-8 the few elements whose
# gradient is rounding alone (1e-5 of the others, as log-probs are sums of about 100) decide the comparison.
TRAINING["adam_epsilon"] = 1e-4
SOFT = {"sync_ref_model": True, "ref_model_mixup_alpha": 0.6, "ref_model_sync_steps": 1}
HARD = {"sync_ref_model": True, "ref_model_mixup_alpha": 1.0, "ref_model_sync_steps": 2}
# Losses of the whole batch see its rows only. TRL takes them in file order for KTO, not for pairs.
HALVES = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2}
MANY = {
    "loss_type": ["hinge", "ipo", "exo_pair", "robust", "discopop", "sigmoid_norm", "sft"],
    "loss_weights": [0.5, 2.0, 1.0, 0.25, 0.1, 3.0, 0.3],
    "beta": 0.5,
    "label_smoothing": 0.1,
    "f_divergence_type": "js_divergence",
    "ld_alpha": 0.7,
}

# beta is chosen such that pairs differ in their weight, which makes a wrong form of the loss show.
DPO_RUNS = {
    "sigmoid": {"beta": 0.5},
    "robust": {"loss_type": ["robust"], "beta": 0.5, "label_smoothing": 0.1},
    "hinge": {"loss_type": ["hinge"], "beta": 2.0},
    "ipo": {"loss_type": ["ipo"], "beta": 2.0},
    "sigmoid_norm": {"loss_type": ["sigmoid_norm"], "beta": 5.0},
    "exo_pair": {"loss_type": ["exo_pair"], "beta": 0.5, "label_smoothing": 0.05},
    "nca_pair": {"loss_type": ["nca_pair"], "beta": 0.5},
    "bco_pair": {"loss_type": ["bco_pair"], "beta": 0.5},
    "sppo_hard": {"loss_type": ["sppo_hard"], "beta": 0.5},
    "apo_zero": {"loss_type": ["apo_zero"], "beta": 0.5},
    "apo_down": {"loss_type": ["apo_down"], "beta": 0.5},
    "aot": {"loss_type": ["aot"], "beta": 0.5},
    "aot_smoothed": {"loss_type": ["aot"], "beta": 0.5, "label_smoothing": 0.2},
    "aot_unpaired": {"loss_type": ["aot_unpaired"], "beta": 0.5, "label_smoothing": 0.1},
    "discopop": {"loss_type": ["discopop"], "beta": 0.1},
    "discopop_tau": {"loss_type": ["discopop"], "beta": 0.5, "discopop_tau": 0.5},
    "sft": {"loss_type": ["sft"]},
    "list": {"loss_type": ["sigmoid", "bco_pair", "sft"], "loss_weights": [0.8, 0.2, 1.0], "beta": 0.5},
    "list_truncated": {"loss_type": ["apo_zero", "aot_unpaired", "ipo"], "beta": 0.5, "max_length": 100},
    "ld_alpha": {"beta": 0.5, "ld_alpha": 0.5},
    "ld_alpha_zero": {"loss_type": ["aot", "ipo", "nca_pair"], "beta": 0.5, "ld_alpha": 0.0},
    "forward_kl": {"beta": 0.5, "f_divergence_type": "forward_kl"},
    "js_divergence": {"beta": 1.0, "f_divergence_type": "js_divergence"},
    "alpha_divergence": {"beta": 0.5, "f_divergence_type": "alpha_divergence"},
    "alpha_divergence_coef": {
        "loss_type": ["exo_pair", "ipo"],
        "beta": 0.5,
        "label_smoothing": 0.1,
        "f_divergence_type": "alpha_divergence",
        "f_alpha_divergence_coef": 1.5,
    },
    "seven_terms": MANY,
    "wpo": {"beta": 0.5, "use_weighting": True},
    "wpo_list": {"loss_type": ["ipo", "bco_pair"], "loss_weights": [1.0, 0.5], "beta": 0.5, "use_weighting": True},
    "tr_sigmoid": {"beta": 0.5, **SOFT},
    "tr_ipo": {"loss_type": ["ipo"], "beta": 2.0, **SOFT},
    "tr_hinge_hard": {"loss_type": ["hinge"], "beta": 2.0, **HARD},
    "tr_apo_zero": {"loss_type": ["apo_zero"], "beta": 0.5, **SOFT},
    "tr_aot": {"loss_type": ["aot"], "beta": 0.5, **SOFT},
    "tr_list": {
        "loss_type": ["sppo_hard", "sigmoid_norm"],
        "loss_weights": [1.0, 0.2],
        "beta": 0.5,
        "use_weighting": True,
        "ld_alpha": 0.5,
        **SOFT,
    },
}
KTO_RUNS = {
    "kto": {"loss_type": ["kto"], "beta": 0.5},
    # The mismatched rows take completions as they were before they were cut.
    "kto_truncated": {
        "loss_type": ["kto"],
        "beta": 0.5,
        "desirable_weight": 0.8,
        "undesirable_weight": 1.5,
        "max_length": 100,
    },
    "apo_zero_unpaired": {
        "loss_type": ["apo_zero_unpaired"],
        "beta": 0.5,
        "desirable_weight": 0.8,
        "undesirable_weight": 1.5,
    },
    "kto_two_batches": {"loss_type": ["kto"], "beta": 0.5, **HALVES},
    "tr_kto": {"loss_type": ["kto"], "beta": 0.5, **SOFT},
}
CPO_RUNS = {
    "cpo_sigmoid": {"loss_type": ["sigmoid"]},
    "cpo_sigmoid_smoothed": {"loss_type": ["sigmoid"], "label_smoothing": 0.1, "cpo_alpha": 0.5},
    "cpo_hinge": {"loss_type": ["hinge"], "cpo_alpha": 0.2},
    "cpo_ipo": {"loss_type": ["ipo"], "beta": 0.5, "cpo_alpha": 0.0},
    "cpo_simpo": {"loss_type": ["simpo"], "beta": 2.0, "cpo_alpha": 0.0},
    "cpo_simpo_nll": {"loss_type": ["simpo"], "beta": 2.0, "simpo_gamma": 1.0},
    "cpo_alphapo": {"loss_type": ["simpo"], "beta": 2.0, "alpha": 0.25, "cpo_alpha": 0.0},
}
TORCH_RUNS = {
    # With label_smoothing, which in TRL does nothing to sigmoid.
    "sigmoid_smoothed": {"beta": 0.5, "label_smoothing": 0.1},
    "ipo_sum": {"loss_type": ["ipo_sum"], "beta": 0.5},
    "kto_pair": {"loss_type": ["kto_pair"], "beta": 0.5},
    "simpo": {"loss_type": ["simpo"], "beta": 2.0, "simpo_gamma": 0.3},
    "simpo_smoothed": {"loss_type": ["simpo"], "beta": 2.0, "label_smoothing": 0.1},
    # TRL takes exp() of the summed log-prob first, which is 0 below -104, and the loss NaN.
    "cpo_alphapo_sum": {"method": "cpo", "loss_type": ["sigmoid"], "alpha": 0.02, "cpo_alpha": 0.0},
    "orpo": {"loss_type": ["orpo"], "beta": 1.0},
    "list_torch": {
        "loss_type": ["ipo_sum", "kto_pair", "simpo", "orpo", "sigmoid"],
        "loss_weights": [0.01, 1.0, 0.5, 0.3, 0.7],
        "beta": 0.5,
        "label_smoothing": 0.1,
    },
    "eight_terms": {
        **MANY,
        "loss_type": ["sigmoid", "ipo_sum", "hinge", "exo_pair", "robust", "discopop", "sigmoid_norm", "sft"],
        "loss_weights": [1.0, 0.1, 0.5, 1.0, 0.25, 0.1, 3.0, 0.3],
    },
    # TRL stops with an error where sft is weighted.
    "wpo_sft": {"loss_type": ["ipo", "sft"], "loss_weights": [1.0, 0.5], "beta": 0.5, "use_weighting": True},
    "two_batches": {
        "loss_type": ["aot", "kto_pair", "sft"],
        "loss_weights": [1.0, 1.0, 0.5],
        "beta": 0.5,
        **HALVES,
    },
    "two_batches_wpo": {"loss_type": ["sigmoid", "sft"], "beta": 0.5, "use_weighting": True, **HALVES},
    "tr_kto_pair": {"loss_type": ["kto_pair"], "beta": 0.5, **SOFT},
}
for _run in KTO_RUNS.values():
    _run["method"] = "kto"
for _run in CPO_RUNS.values():
    _run["method"] = "cpo"
GROUPS = {"dpo": DPO_RUNS, "kto": KTO_RUNS, "cpo": CPO_RUNS, "torch": TORCH_RUNS}

# TRL in float32 against the same steps in float64, as a share of the change. Ours may be off by 3e-4.
ROUNDING_LIMIT = 1e-4
# Runs that differ by less could stand for each other.
APART = 0.01


def unpaired_rows(rows):
    """One completion of each pair, ten of them desirable."""
    out = []
    for i, row in enumerate(rows):
        label = i % 8 not in (1, 4, 6)
        out.append({"prompt": row["prompt"], "completion": row["chosen" if label else "rejected"], "label": label})
    return out


def tokenize_unpaired(row, tokenizer):
    text = row["completion"] if row["completion"].endswith(fixtures.END) else row["completion"] + fixtures.END
    prompt, ids = tokenizer(row["prompt"])["input_ids"], tokenizer(row["prompt"] + text)["input_ids"]
    n = 0
    while n < len(prompt) and n < len(ids) and prompt[n] == ids[n]:
        n += 1
    return {"prompt": prompt[:n], "completion": ids[n:], "label": row["label"]}


def trl_trainer(group, policy, reference, tokenizer, rows, settings, scratch):
    """The TRL trainer of a group for these settings; every step sees all rows."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    kinds = {
        "dpo": (DPOConfig, DPOTrainer),
        "kto": (KTOConfig, KTOTrainer),
        "cpo": (CPOConfig, CPOTrainer),
        "orpo": (ORPOConfig, ORPOTrainer),
    }
    config_class, trainer_class = kinds[group]
    options = {"per_device_train_batch_size": len(rows), "gradient_accumulation_steps": 1, **settings}
    options.pop("method", None)
    if group == "orpo":
        del options["loss_type"]
    elif group != "dpo":
        (options["loss_type"],) = options["loss_type"]
    args = config_class(
        output_dir=scratch,
        disable_dropout=True,
        use_cpu=True,
        bf16=False,
        fp16=False,
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        **{**TRAINING, **options},
    )
    models = {"model": policy}
    if group in ("dpo", "kto"):
        models["ref_model"] = reference
    return trainer_class(
        **models, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )


def require_same_tokens(group, trainer, tokens):
    """TRL must train on the ids that our formulas are given."""
    if group in ("cpo", "orpo"):
        for have, want in zip(trainer.train_dataset, tokens, strict=True):
            for k in ("chosen", "rejected"):
                labels = [x for x in have[f"{k}_labels"] if x != -100]
                if have[f"{k}_input_ids"] != want["prompt"] + want[k] or labels != want[k]:
                    sys.exit(f"fixtures_losses.py: {group}: TRL tokenises a row differently")
        return
    keys = ["prompt", "completion"] if group == "kto" else ["prompt", "chosen", "rejected"]
    for have, want in zip(trainer.train_dataset, tokens, strict=True):
        if any(have[f"{k}_ids"] != want[k] for k in keys):
            sys.exit(f"fixtures_losses.py: {group}: TRL tokenises a row differently")


def train_with_trl(group, policy, reference, tokenizer, rows, tokens, settings):
    policy, reference = copy.deepcopy(policy), copy.deepcopy(reference)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = trl_trainer(group, policy, reference, tokenizer, rows, settings, scratch)
        require_same_tokens(group, trainer, tokens)
        trainer.train()
        keep = ("loss", "grad_norm", "kl")
        log = [{k: e[k] for k in keep if k in e} for e in trainer.state.log_history if "loss" in e]
        return trainer.model, getattr(trainer, "ref_model", None), log


def weights_of(model):
    return {n: p.detach().float() for n, p in model.named_parameters()}


def apart(start, a, b):
    """Distance of two sets of weights as a share of the second's change."""
    diff = sum((a[n].double() - b[n].double()).pow(2).sum().item() for n in b)
    change = sum((start[n].double() - b[n].double()).pow(2).sum().item() for n in b)
    return math.sqrt(diff / change)


def make_run(group, name, models, tokenizer, rows, tokens, settings):
    """What expected.json says of a run, and its weights by 'policy' and perhaps 'reference'."""
    from fixtures_formulas import Problem

    def problem():
        return Problem(*(fixtures.in_double(m) for m in models), tokens, settings)

    loss, first = problem().first_step()
    double = problem()
    log64 = double.train(TRAINING)
    run = {"name": name, "settings": settings, "loss": loss, "rows": first, "steps": log64}
    theta, phi = double.policy, double.reference
    if group != "torch":
        theta, phi, run["steps"] = train_with_trl(group, *models, tokenizer, rows, tokens, settings)
        off = {"policy": fixtures.distance(models[0], theta, double.policy)}
        if settings.get("sync_ref_model"):
            off["reference"] = fixtures.distance(models[1], phi, double.reference)
        run["float32_against_float64"] = off
        if not all(x < ROUNDING_LIMIT for x in off.values()):
            sys.exit(f"fixtures_losses.py: {name}: TRL and the formula differ: {off}")
    weights = {"policy": weights_of(theta)}
    if settings.get("sync_ref_model"):
        weights["reference"] = weights_of(phi)
    return run, weights


def check_orpo(models, tokenizer, rows, tokens):
    """TRL's ORPOTrainer is our formula but for the NLL, which there is over prompt and completion."""
    from fixtures_formulas import Problem

    settings = {"loss_type": ["orpo"], "beta": 1.0}
    theta, _, _ = train_with_trl("orpo", *models, tokenizer, rows, tokens, settings)
    double = Problem(
        *(fixtures.in_double(m) for m in models), tokens, {**settings, "orpo_prompt_nll": True}
    )
    double.train(TRAINING)
    off = fixtures.distance(models[0], theta, double.policy)
    print(f"ORPOTrainer against the formula with the NLL of the whole text: {off:.1e}")
    if not off < ROUNDING_LIMIT:
        sys.exit("fixtures_losses.py: ORPOTrainer does something else")


def check_apart(start, weights):
    """No two runs may end alike, or one loss could pass for another."""
    names, least = list(weights), (math.inf,)
    for i, a in enumerate(names):
        for b in names[:i]:
            least = min(least, (apart(start, weights[a]["policy"], weights[b]["policy"]), a, b))
    print(f"the runs that end most alike: {least}")
    if least[0] < APART:
        sys.exit("fixtures_losses.py: two runs are too much alike")


def write_expected(path, runs):
    with open(path, "w", encoding="utf-8") as f:
        f.write('{\n "training": ' + json.dumps(TRAINING) + ',\n "runs": [\n')
        for i, run in enumerate(runs):
            rows, steps = run.pop("rows"), run.pop("steps")
            head = json.dumps(run)[:-1]
            f.write(f"  {head},\n   \"steps\": {json.dumps(steps)},\n   \"rows\": [\n    ")
            f.write(",\n    ".join(json.dumps({k: float(f"{v:.7g}") for k, v in r.items()}) for r in rows))
            f.write("]}" + ("," if i + 1 < len(runs) else "") + "\n")
        f.write(" ]\n}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", help="folder to write, for instance tests/fixtures")
    parser.add_argument("--any-version", action="store_true", help="accept other package versions")
    parser.add_argument("--only", help="names of runs, a,b: make only these, and write nothing")
    args = parser.parse_args()
    fixtures.check_versions(args.any_version)

    import torch
    import transformers
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    rows = fixtures.preference_rows()
    tokenizer = fixtures.make_tokenizer(MODEL["tokenizer"], [t for row in rows for t in row.values()])
    models = fixtures.make_models(MODEL, tokenizer, rows)
    unpaired = unpaired_rows(rows)
    data = {
        "pairs": (rows, [fixtures.tokenize(row, tokenizer) for row in rows]),
        "kto": (unpaired, [tokenize_unpaired(row, tokenizer) for row in unpaired]),
    }
    runs, ends, files = [], {}, {}
    for group, group_runs in GROUPS.items():
        group_rows, tokens = data["kto" if group == "kto" else "pairs"]
        files[group] = {}
        for name, settings in group_runs.items():
            if args.only and name not in args.only.split(","):
                continue
            run, weights = make_run(group, name, models, tokenizer, group_rows, tokens, settings)
            print(name, run["steps"][0], run["steps"][-1], run.get("float32_against_float64", ""), flush=True)
            run = {"name": name, "by": "float64" if group == "torch" else "TRL", "file": group, **run}
            runs.append(run)
            ends[name] = weights
            for kind, tensors in weights.items():
                files[group].update({f"{name}.{kind}.{n}": t for n, t in tensors.items()})
    if args.only:
        return
    check_orpo(models, tokenizer, *data["pairs"])
    check_apart(weights_of(models[0]), ends)
    folder = os.path.join(args.output, "losses")
    for model, name in zip(models, ("tiny", "tiny-ref"), strict=True):
        model.save_pretrained(os.path.join(folder, name))
    tokenizer.save_pretrained(os.path.join(folder, "tiny"))
    with open(os.path.join(folder, "unpaired.jsonl"), "w", encoding="utf-8") as f:
        for row in unpaired:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    for group, tensors in files.items():
        save_file(tensors, os.path.join(folder, f"{group}.safetensors"))
    write_expected(os.path.join(folder, "tiny", "expected.json"), runs)


if __name__ == "__main__":
    main()
