// The commands of a stepper, recorded once for packs of any content.
#include "train/stepper_state.h"

#include "ops/loss.h"
#include "ops/rows.h"
#include "ops/update.h"

// Evaluation has no gradient to keep, but the loss is one dispatch that always makes it.
static vk_addr dlogp_of(const struct train_stepper *st)
{
    return st->training ? st->act.dlogp : st->act.lse;
}

static void record_pair_sums(struct vk_seq *s, const struct train_stepper *st)
{
    const struct model_batch *b = &st->batch;
    op_pair_sums(s, &(struct op_pair_sums){.out = st->batch_sums,
                                           .logp = st->act.logp,
                                           .ref_logp = st->reference_free ? 0 : st->ref_logp,
                                           .collision = st->act.collision,
                                           .sequence_first = b->sequence_first,
                                           .counts = b->counts,
                                           .settings = st->settings_at,
                                           .max_pairs = b->sequences / 2,
                                           .scored = b->scored,
                                           .out_count = st->p.rows});
}

static void record_pair_loss(struct vk_seq *s, const struct train_stepper *st)
{
    const struct model_batch *b = &st->batch;
    const struct model_activations *a = &st->act;
    if (st->batch_wide) record_pair_sums(s, st);
    op_pref_loss(s, &(struct op_pref_loss){.logp = a->logp,
                                           .ref_logp = st->reference_free ? 0 : st->ref_logp,
                                           .entropy = a->entropy,
                                           .is_argmax = a->is_argmax,
                                           .collision = a->collision,
                                           .sequence_first = b->sequence_first,
                                           .dlogp = dlogp_of(st),
                                           .pairs_out = st->rows_out,
                                           .counts = b->counts,
                                           .step = st->values,
                                           .settings = st->settings_at,
                                           .batch = st->batch_sums,
                                           .max_pairs = b->sequences / 2,
                                           .scored = b->scored,
                                           .pairs_out_count = st->p.rows,
                                           .batch_count = st->batch_wide ? st->p.rows : 0});
}

static void record_unpaired_loss(struct vk_seq *s, const struct train_stepper *st)
{
    const struct model_batch *b = &st->batch;
    const struct model_activations *a = &st->act;
    const struct train_config *c = st->p.config;
    op_unpaired_loss(
        s, &(struct op_unpaired_loss){.logp = a->logp,
                                      .ref_logp = st->ref_logp,
                                      .entropy = a->entropy,
                                      .is_argmax = a->is_argmax,
                                      .sequence_first = b->sequence_first,
                                      .labels = b->labels,
                                      .dlogp = dlogp_of(st),
                                      .out = st->rows_out,
                                      .kl_ratios = st->kl_ratios,
                                      .counts = b->counts,
                                      .step = st->values,
                                      .max_sequences = b->sequences,
                                      .scored = b->scored,
                                      .out_count = st->p.rows,
                                      .type = st->unpaired_type,
                                      .beta = (float)c->beta,
                                      .desirable_weight = (float)c->desirable_weight,
                                      .undesirable_weight = (float)c->undesirable_weight});
}

static void record_next_token_loss(struct vk_seq *s, const struct train_stepper *st)
{
    const struct model_batch *b = &st->batch;
    const struct model_activations *a = &st->act;
    op_sft_loss(s, &(struct op_sft_loss){.logp = a->logp,
                                         .entropy = a->entropy,
                                         .is_argmax = a->is_argmax,
                                         .sequence_first = b->sequence_first,
                                         .dlogp = dlogp_of(st),
                                         .sequences_out = st->rows_out,
                                         .counts = b->counts,
                                         .step = st->values,
                                         .max_sequences = b->sequences,
                                         .scored = b->scored,
                                         .sequences_out_count = st->p.rows});
}

static void record_loss(struct vk_seq *s, const struct train_stepper *st)
{
    switch (st->kind) {
    case DATA_PAIRS:
        record_pair_loss(s, st);
        break;
    case DATA_UNPAIRED:
        record_unpaired_loss(s, st);
        break;
    case DATA_TEXTS:
        record_next_token_loss(s, st);
        break;
    }
}

static void record_ref_forward(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    model_forward(s, &st->pass, st->p.ref);
    op_copy(s, st->ref_logp, st->act.logp, st->batch.scored);
}

// The policy's forward pass of a pack whose reference log-probs are there already. An evaluation
// without a reference takes the policy for it: no need to run it twice.
static void record_forward(struct vk_seq *s, const struct train_stepper *st,
                           const struct model_pass *pass)
{
    model_forward(s, pass, st->p.policy);
    if (st->has_ref && !st->p.ref) op_copy(s, st->ref_logp, st->act.logp, st->batch.scored);
}

static void record_sums_pass(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    record_forward(s, st, &st->pass);
    record_pair_sums(s, st);
}

static void record_kl_pass(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    const struct model_batch *b = &st->batch;
    record_forward(s, st, &st->pass);
    op_ratio_sums(s, &(struct op_ratio_sums){.out = st->kl_ratios,
                                             .logp = st->act.logp,
                                             .ref_logp = st->ref_logp,
                                             .sequence_first = b->sequence_first,
                                             .counts = b->counts,
                                             .max_sequences = b->sequences,
                                             .scored = b->scored,
                                             .out_count = st->p.rows});
}

static void record_train_pass(struct vk_seq *s, void *ctx)
{
    const struct train_stepper *st = ctx;
    struct model_pass pass = st->pass;
    pass.frozen_head = st->p.config->freeze_head;
    record_forward(s, st, &pass);
    record_loss(s, st);
    if (st->p.precision.loss_scale)
        op_scale_by_loss(s, &(struct op_scale_by_loss){.y = st->act.dlogp,
                                                       .results = st->results,
                                                       .count = st->batch.scored,
                                                       .live = st->batch.live_scored});
    model_backward(s, &pass, st->p.policy, st->p.grad);
}

static void record_eval_pass(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    record_forward(s, st, &st->pass);
    record_loss(s, st);
}

static void record_score_pass(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    model_forward(s, &st->pass, st->p.policy);
    op_sequence_sums(s, st->sums, st->act.logp, st->batch.sequence_first, st->batch.counts,
                     st->batch.sequences, st->batch.scored);
}

static void record_adamw_8bit(struct vk_seq *s, const struct train_stepper *st,
                              struct op_arena grad)
{
    const struct train_config *c = st->p.config;
    op_adamw_8bit(s, &(struct op_adamw_8bit){.weight = model_weights_op(st->p.policy),
                                             .grad = grad,
                                             .m = op_code_arena_of(&st->p.codes->m),
                                             .v = op_code_arena_of(&st->p.codes->v),
                                             .scales = st->p.codes->scales_at,
                                             .step = st->values,
                                             .results = st->results,
                                             .decay = st->decay,
                                             .beta1 = c->adam_beta1,
                                             .beta2 = c->adam_beta2,
                                             .epsilon = (float)c->adam_epsilon,
                                             .weight_decay = (float)c->weight_decay});
}

static void record_optimise(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    const struct train_config *c = st->p.config;
    struct op_arena grad = model_weights_op(st->p.grad);
    op_grad_norm(s, &(struct op_grad_norm){.grad = grad,
                                           .results = st->results,
                                           .partial = st->partial,
                                           .max_norm = (float)c->max_grad_norm});
    if (st->p.codes)
        record_adamw_8bit(s, st, grad);
    else
        op_adamw(s, &(struct op_adamw){.weight = model_weights_op(st->p.policy),
                                       .grad = grad,
                                       .m = model_weights_op(st->p.m),
                                       .v = model_weights_op(st->p.v),
                                       .step = st->values,
                                       .results = st->results,
                                       .decay = st->decay,
                                       .beta1 = c->adam_beta1,
                                       .beta2 = c->adam_beta2,
                                       .epsilon = (float)c->adam_epsilon,
                                       .weight_decay = (float)c->weight_decay});
}

static void record_ref_update(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    op_ref_update(s, &(struct op_ref_update){.ref = model_weights_op(st->p.ref),
                                             .policy = model_weights_op(st->p.policy),
                                             .results = st->results,
                                             .alpha = (float)st->p.config->ref_model_mixup_alpha});
}

static void record_finish(struct vk_seq *s, void *ctx)
{
    struct stepper_finish *f = ctx;
    vk_copy(s, f->st->readback_slot[f->slot], f->st->results, stepper_results_bytes(f->st));
}

void stepper_create_sequences(struct train_stepper *st)
{
    struct vk_device *d = st->p.device;
    if (st->p.ref) st->ref_forward = vk_seq_create(d, "reference forward", record_ref_forward, st);
    if (st->batch_wide) st->sums_pass = vk_seq_create(d, "sums of pairs", record_sums_pass, st);
    if (st->kl) st->kl_pass = vk_seq_create(d, "mismatched rows", record_kl_pass, st);
    st->eval_pass = vk_seq_create(d, "evaluation", record_eval_pass, st);
    st->score_pass = vk_seq_create(d, "scoring", record_score_pass, st);
    if (st->training) {
        st->train_pass = vk_seq_create(d, "forward and backward", record_train_pass, st);
        st->optimise = vk_seq_create(d, "optimiser", record_optimise, st);
        if (st->p.ref) st->ref_update = vk_seq_create(d, "reference update", record_ref_update, st);
    }
    for (int i = 0; i < STEPPER_SLOTS; i++) {
        st->finish_ctx[i] = (struct stepper_finish){st, i};
        st->finish[i] = vk_seq_create(d, "results", record_finish, &st->finish_ctx[i]);
    }
}

void stepper_destroy_sequences(struct train_stepper *st)
{
    struct vk_seq *all[] = {st->ref_forward, st->sums_pass,  st->kl_pass,  st->train_pass,
                            st->eval_pass,   st->score_pass, st->optimise, st->ref_update,
                            st->finish[0],   st->finish[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        vk_seq_destroy(all[i]);
}
