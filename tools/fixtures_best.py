#!/usr/bin/env python3
"""Which evaluation is the best, and where early stopping ends a run: tests/fixtures/best.json.

The judgements are those of transformers' own Trainer._determine_best_metric and
EarlyStoppingCallback, asked in the order in which the trainer asks them: the callback after the
evaluation, with the best metric of those before it, then the trainer.
"""

import json
import pathlib
import types

from transformers import EarlyStoppingCallback, Trainer, TrainerControl, TrainerState, TrainingArguments

LOSSES = [0.7, 0.6, 0.65, 0.6, 0.59, 0.595, 0.58, 0.61, 0.62, 0.57]
MARGINS = [0.0, 0.1, 0.1, 0.05, 0.3, 0.35, 0.36, 0.2, 0.4, 0.4]
CASES = [
    # metric, greater_is_better (None: as transformers decides), patience, threshold, values
    ("loss", None, 2, 0.0, LOSSES),
    ("eval_loss", None, 2, 0.02, LOSSES),
    ("loss", None, 3, 0.05, LOSSES),
    ("loss", True, 2, 0.0, LOSSES),
    ("rewards/margins", None, 2, 0.0, MARGINS),
    ("eval_rewards/margins", None, 2, 0.1, MARGINS),
    ("rewards/margins", False, 4, 0.0, MARGINS),
    ("nll_loss", None, 1, 0.0, [3, 2, 1, 1, 0]),
    ("kl/sft", None, 3, 0.25, [-1.0, -0.75, -0.5, -0.25, 0.0, 0.5]),
    ("loss", None, 2, 0.0, [1.0, 1.0, 1.0, 0.5]),
    ("loss", None, 1, 0.0, [0.5]),
]


def judge(metric, greater, patience, threshold, values):
    args = TrainingArguments("unused", metric_for_best_model=metric, greater_is_better=greater, save_strategy="steps",
                             eval_strategy="steps", eval_steps=1, load_best_model_at_end=True, save_steps=1)
    state, control = TrainerState(), TrainerControl()
    callback = EarlyStoppingCallback(patience, threshold)
    trainer = types.SimpleNamespace(args=args, state=state)
    name = metric if metric.startswith("eval_") else "eval_" + metric
    steps = []
    for i, value in enumerate(values):
        state.global_step = 10 * (i + 1)
        callback.on_evaluate(args, state, control, {name: value})
        best = Trainer._determine_best_metric(trainer, {name: value}, None)
        steps.append({
            "value": value,
            "best": bool(best),
            "best_metric": state.best_metric,
            "best_global_step": state.best_global_step,
            "waiting": callback.early_stopping_patience_counter,
            "stop": control.should_training_stop,
        })
        if control.should_training_stop:
            break
    return {
        "metric_for_best_model": metric,
        "greater_is_better": "auto" if greater is None else str(greater).lower(),
        "early_stopping_patience": patience,
        "early_stopping_threshold": threshold,
        "evaluations": steps,
    }


def main():
    path = pathlib.Path(__file__).parent.parent / "tests/fixtures/best.json"
    cases = [judge(*case) for case in CASES]
    lines = ",\n".join(
        json.dumps({k: v for k, v in case.items() if k != "evaluations"})[:-1] + ', "evaluations": [\n  '
        + ",\n  ".join(json.dumps(e) for e in case["evaluations"]) + "]}" for case in cases)
    path.write_text("[" + lines + "]\n")


if __name__ == "__main__":
    main()
