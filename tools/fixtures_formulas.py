"""Every loss of the method written out in PyTorch, and optimiser steps with it in float64.

The formulas are those of TRL 1.16 where it has the loss, so that fixtures_losses.py can hold TRL against
them, and those of the papers where it has not. Settings are dictionaries with the names and defaults of
trdpo-vk's configuration.
"""

import math

import torch
from torch.nn.functional import logsigmoid

DEFAULTS = {
    "method": "dpo",
    "loss_type": ["sigmoid"],
    "loss_weights": None,
    "beta": 0.1,
    "label_smoothing": 0.0,
    "ld_alpha": None,
    "f_divergence_type": "reverse_kl",
    "f_alpha_divergence_coef": 0.5,
    "use_weighting": False,
    "discopop_tau": 0.05,
    "simpo_gamma": 0.5,
    "cpo_alpha": 1.0,
    "alpha": 0.0,
    "desirable_weight": 1.0,
    "undesirable_weight": 1.0,
    "max_length": 1024,
    "sync_ref_model": False,
    "ref_model_mixup_alpha": 0.6,
    "ref_model_sync_steps": 512,
    "orpo_prompt_nll": False,  # not a setting of ours: the NLL of TRL's ORPOTrainer, to hold it against
}


class Scores:
    """Log-probs [sequences, slots] of a model for (prompt ids, completion ids) pairs; 0 outside `mask`."""

    def __init__(self, model, sequences):
        longest = max(len(p) + len(c) for p, c in sequences)
        ids = torch.zeros(len(sequences), longest, dtype=torch.long)
        mask = torch.zeros(len(sequences), longest, dtype=torch.bool)
        text = torch.zeros(len(sequences), longest, dtype=torch.bool)
        for i, (prompt, completion) in enumerate(sequences):
            end = len(prompt) + len(completion)
            ids[i, :end] = torch.tensor(prompt + completion)
            mask[i, len(prompt) : end] = True
            text[i, :end] = True
        # Padding follows the text, which does not see it: no attention mask is needed.
        logp = torch.log_softmax(model(input_ids=ids, use_cache=False).logits[:, :-1], dim=-1)
        target = ids[:, 1:]
        self.mask, self.text = mask[:, 1:], text[:, 1:]
        every = logp.gather(2, target[..., None])[..., 0]
        self.logp = every * self.mask
        self.whole_text = every * self.text
        self.log_collision = torch.logsumexp(2 * logp, dim=-1).detach() * self.mask

    def lengths(self):
        return self.mask.sum(1)


def pair_log_probs(scores, ld_alpha):
    """Summed log-probs of chosen and rejected ([chosen..., rejected...] in `scores`)."""
    weight = scores.mask.double()
    if ld_alpha is not None:
        n_w, n_l = scores.lengths().chunk(2)
        shared = torch.minimum(n_w, n_l).repeat(2)
        position = scores.mask.cumsum(1)
        weight = torch.where(position > shared[:, None], ld_alpha, 1.0) * weight
    return (scores.logp * weight).sum(1).chunk(2)


def divergence_score(u, s):
    """What stands for the log ratio u in losses of the difference."""
    kind = s["f_divergence_type"]
    if kind == "forward_kl":
        return 1 - torch.exp(-u)
    if kind == "js_divergence":
        return math.log(2) + logsigmoid(u)
    if kind == "alpha_divergence" and abs(s["f_alpha_divergence_coef"] - 1) >= 1e-6:
        a = s["f_alpha_divergence_coef"] - 1
        return (torch.exp((a * u).clamp(max=80)) - 1) / a
    return u


class Pairs:
    """What the pair losses are made of; `d` is the difference of scores, `u` are log ratios."""

    def __init__(self, policy, reference, s):
        self.s, self.policy = s, policy
        self.beta, self.smoothing = s["beta"], s["label_smoothing"]
        self.logp_w, self.logp_l = pair_log_probs(policy, s["ld_alpha"])
        zero = torch.zeros_like(self.logp_w)
        self.ref_w, self.ref_l = pair_log_probs(reference, s["ld_alpha"]) if reference else (zero, zero)
        self.u_w, self.u_l = self.logp_w - self.ref_w, self.logp_l - self.ref_l
        self.n_w, self.n_l = policy.lengths().chunk(2)
        self.score_w, self.score_l = divergence_score(self.u_w, s), divergence_score(self.u_l, s)
        self.d = self.score_w - self.score_l
        self.mean_d = self.score_w / self.n_w - self.score_l / self.n_l

    def smooth(self, x):
        return -(1 - self.smoothing) * logsigmoid(x) - self.smoothing * logsigmoid(-x)

    def chosen_nll(self, whole_text=False):
        """Mean negative log-prob of all chosen tokens of the batch, as each pair's share of it (their mean)."""
        table = self.policy.whole_text if whole_text else self.policy.logp
        mask = self.policy.text if whole_text else self.policy.mask
        n = len(self.u_w)
        return -table[:n].sum(1) * n / mask[:n].sum()

    def sigmoid(self):
        return self.smooth(self.beta * self.d)

    def robust(self):
        x, e = self.beta * self.d, self.smoothing
        return (-(1 - e) * logsigmoid(x) + e * logsigmoid(-x)) / (1 - 2 * e)

    def hinge(self):
        return torch.relu(1 - self.beta * self.d)

    def ipo(self):
        return (self.mean_d - 1 / (2 * self.beta)) ** 2

    def ipo_sum(self):
        return (self.d - 1 / (2 * self.beta)) ** 2

    def sigmoid_norm(self):
        return -logsigmoid(self.beta * self.mean_d)

    def exo_pair(self):
        x, e = self.beta * self.d, self.smoothing
        return torch.sigmoid(x) * (logsigmoid(x) - math.log1p(-e)) + torch.sigmoid(-x) * (logsigmoid(-x) - math.log(e))

    def nca_pair(self):
        w, rejected = self.beta * self.u_w, self.beta * self.u_l
        return -logsigmoid(w) - 0.5 * logsigmoid(-w) - 0.5 * logsigmoid(-rejected)

    def bco_pair(self):
        return -logsigmoid(self.beta * self.u_w) - logsigmoid(-self.beta * self.u_l)

    def sppo_hard(self):
        return (self.u_w - 1 / (2 * self.beta)) ** 2 + (self.u_l + 1 / (2 * self.beta)) ** 2

    def apo_zero(self):
        return 1 - torch.sigmoid(self.beta * self.u_w) + torch.sigmoid(self.beta * self.u_l)

    def apo_down(self):
        return torch.sigmoid(self.beta * self.u_w) + 1 - torch.sigmoid(self.beta * (self.u_w - self.u_l))

    def ranked(self, own, other):
        """The loss of elements of one rank, for each pair that of its `own`."""
        order = own.argsort()
        return self.smooth(self.beta * (own[order] - other.sort()[0]))[order.argsort()]

    def aot(self):
        return self.ranked(self.logp_w - self.logp_l, self.ref_w - self.ref_l)

    def aot_unpaired(self):
        return self.ranked(self.u_w, self.u_l)

    def discopop(self):
        x = self.beta * self.d
        m = torch.sigmoid(x / self.s["discopop_tau"])
        return -logsigmoid(x) * (1 - m) + torch.exp(-x) * m

    def sft(self):
        return self.chosen_nll()

    def kto_pair(self):
        kl_w, kl_l = (u.mean().clamp(min=0).detach() for u in (self.u_w, self.u_l))
        chosen = 1 - torch.sigmoid(self.beta * (self.u_w - kl_l))
        return chosen + 1 - torch.sigmoid(self.beta * (kl_w - self.u_l))

    def simpo(self):
        return self.smooth(self.beta * (self.logp_w / self.n_w - self.logp_l / self.n_l) - self.s["simpo_gamma"])

    def orpo(self):
        m_w, m_l = self.logp_w / self.n_w, self.logp_l / self.n_l
        odds = m_w - torch.log1p(-m_w.exp()) - m_l + torch.log1p(-m_l.exp())
        return self.chosen_nll(self.s["orpo_prompt_nll"]) - self.beta * logsigmoid(odds)

    def wpo_weights(self):
        ratio = (self.policy.logp - self.policy.log_collision).detach().sum(1) / self.policy.lengths()
        w, rejected = ratio.exp().chunk(2)
        return w * rejected


def dpo_loss(policy, reference, s):
    """Loss of each pair; the step's loss is the mean."""
    pairs, total = Pairs(policy, reference, s), 0
    weights = s["loss_weights"] or [1.0] * len(s["loss_type"])
    for kind, weight in zip(s["loss_type"], weights, strict=True):
        loss = getattr(pairs, kind)()
        if s["use_weighting"]:
            # TRL weighs the batch's one NLL by every pair's weight and takes the mean.
            wpo = pairs.wpo_weights()
            loss = loss * (wpo.mean() if kind == "sft" else wpo)
        total = total + weight * loss
    return total


def cpo_loss(policy, s):
    """The losses of CPOTrainer: no reference, and the NLL of the chosen beside them."""
    pairs = Pairs(policy, None, s)
    (kind,) = s["loss_type"]
    w, rejected = pairs.logp_w, pairs.logp_l
    if kind in ("ipo", "simpo"):
        w, rejected = w / pairs.n_w, rejected / pairs.n_l
    if s["alpha"]:
        w, rejected = ((1 - torch.exp(-s["alpha"] * r)) / s["alpha"] for r in (w, rejected))
    d, beta = w - rejected, s["beta"]
    loss = {
        "sigmoid": lambda: pairs.smooth(beta * d),
        "hinge": lambda: torch.relu(1 - beta * d),
        "ipo": lambda: (d - 1 / (2 * beta)) ** 2,
        "simpo": lambda: pairs.smooth(beta * d - s["simpo_gamma"]),
    }[kind]()
    return loss + s["cpo_alpha"] * pairs.chosen_nll() if s["cpo_alpha"] else loss


def mismatched_kl(policy, reference):
    """Mean log ratio of completions behind other rows' prompts, not below 0."""
    return (policy.logp - reference.logp).sum(1).mean().clamp(min=0).detach()


def kto_loss(policy, reference, labels, kl, s):
    """Loss of each row; labels: True where desirable."""
    u = (policy.logp - reference.logp).sum(1)
    good = s["desirable_weight"] * (1 - torch.sigmoid(s["beta"] * (u - kl)))
    bad = s["undesirable_weight"] * (1 - torch.sigmoid(s["beta"] * (kl - u)))
    return torch.where(labels, good, bad)


class Batch:
    """Rows that losses of a whole batch see together: the (prompt, completion) ids of their sequences."""

    def __init__(self, tokens, kto, max_length):
        def cut(prompt, completion):
            return prompt, completion[: max_length - len(prompt)]

        if not kto:
            self.sequences = [cut(t["prompt"], t[k]) for k in ("chosen", "rejected") for t in tokens]
            return
        self.sequences = [cut(t["prompt"], t["completion"]) for t in tokens]
        completions = [t["completion"] for t in tokens]
        turned = completions[-1:] + completions[:-1]
        self.mismatched = [cut(t["prompt"], c) for t, c in zip(tokens, turned, strict=True)]
        self.labels = torch.tensor([t["label"] for t in tokens])


class Problem:
    """A model, its reference and all rows as one step of one batch or several, in float64."""

    def __init__(self, policy, reference, tokens, settings):
        self.policy, self.reference = policy, reference
        self.s = {**DEFAULTS, **settings}
        self.kto = self.s["method"] == "kto"
        size = self.s.get("per_device_train_batch_size", len(tokens))
        self.batches = [
            Batch(tokens[i : i + size], self.kto, self.s["max_length"]) for i in range(0, len(tokens), size)
        ]
        self.reference_free = self.s["method"] == "cpo" or set(self.s["loss_type"]) <= {"sft", "simpo", "orpo"}

    def batch_losses(self, batch):
        """Loss of each row of a batch, the policy's scores with a graph behind them, and the KL."""
        policy = Scores(self.policy, batch.sequences)
        if self.s["method"] == "cpo":
            return cpo_loss(policy, self.s), policy, None
        with torch.no_grad():
            reference = None if self.reference_free else Scores(self.reference, batch.sequences)
        if not self.kto:
            return dpo_loss(policy, reference, self.s), policy, None
        kl = torch.zeros(())
        if self.s["loss_type"] == ["kto"]:
            with torch.no_grad():
                kl = mismatched_kl(Scores(self.policy, batch.mismatched), Scores(self.reference, batch.mismatched))
        return kto_loss(policy, reference, batch.labels, kl, self.s), policy, kl

    def losses(self):
        """The same of all batches, which have one size: losses joined, lists of scores and KL."""
        losses, policies, kls = zip(*(self.batch_losses(b) for b in self.batches), strict=True)
        return torch.cat(losses), policies, kls

    def first_step(self):
        """For each row: its loss, and the derivative of the step's loss by the log-prob of each completion.

        That is the derivative by the first token's, which has weight 1 in every sum.
        """
        losses, policies, _ = self.losses()
        for policy in policies:
            policy.logp.retain_grad()
        losses.mean().backward()
        rows = [{"loss": x.item()} for x in losses]
        at = 0
        for policy in policies:
            first = policy.mask.int().argmax(1, keepdim=True)
            by_logp = policy.logp.grad.gather(1, first)[:, 0]
            sides = {"": by_logp} if self.kto else dict(zip(("/chosen", "/rejected"), by_logp.chunk(2), strict=True))
            for side, values in sides.items():
                for i, value in enumerate(values):
                    rows[at + i]["dloss_dlogp" + side] = value.item()
            at += len(values)
        return losses.mean().item(), rows

    def train(self, training):
        """Optimiser steps with a linear schedule and clipping; returns loss, norm and KL of each."""
        opt = torch.optim.AdamW(
            self.policy.parameters(),
            lr=training["learning_rate"],
            betas=(training["adam_beta1"], training["adam_beta2"]),
            eps=training["adam_epsilon"],
            weight_decay=training["weight_decay"],
            foreach=False,
        )
        log, steps = [], training["max_steps"]
        for step in range(steps):
            opt.param_groups[0]["lr"] = training["learning_rate"] * (1 - step / steps)
            opt.zero_grad()
            losses, _, kls = self.losses()
            loss = losses.mean()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), training["max_grad_norm"])
            opt.step()
            log.append({"loss": loss.item(), "grad_norm": norm.item()})
            if self.kto:
                log[-1]["kl"] = sum(k.item() for k in kls) / len(kls)
            if self.s["sync_ref_model"] and (step + 1) % self.s["ref_model_sync_steps"] == 0:
                a = self.s["ref_model_mixup_alpha"]
                with torch.no_grad():
                    for phi, theta in zip(self.reference.parameters(), self.policy.parameters(), strict=True):
                        phi.copy_(a * theta + (1 - a) * phi)
        return log
