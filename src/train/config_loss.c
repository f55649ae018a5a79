// What the keys say about the loss.
#include "train/config_keys.h"

#include "args.h" // the folder shaders/

bool train_config_has_reference(const struct train_config *c)
{
    if (c->method == TRAIN_SFT || c->method == TRAIN_CPO) return false;
    bool has = c->loss_types == 0; // the method's own
    for (size_t i = 0; i < c->loss_types; i++)
        has = has || (c->loss_type[i] != PREF_SFT && c->loss_type[i] != PREF_SIMPO &&
                      c->loss_type[i] != PREF_ORPO && c->loss_type[i] != TRAIN_ALPHAPO);
    return has;
}

void train_config_resolve(struct train_config *c)
{
    if (c->loss_types == 0 && c->method != TRAIN_SFT) {
        c->loss_type[0] = c->method == TRAIN_KTO ? UNPAIRED_KTO : PREF_SIGMOID;
        c->loss_types = 1;
    }
    if (c->method == TRAIN_CPO && c->loss_types == 1 && c->loss_type[0] == TRAIN_ALPHAPO) {
        c->loss_type[0] = PREF_SIMPO;
        c->cpo_alpha = 0;
    }
    if (c->dtype == TRAIN_DTYPE_FLOAT32) c->dtype = TRAIN_DTYPE_FP32;
    if (c->dtype == TRAIN_DTYPE_BFLOAT16 || (c->bf16 && c->dtype == TRAIN_DTYPE_AUTO))
        c->dtype = TRAIN_DTYPE_BF16;
    if (c->dtype == TRAIN_DTYPE_FLOAT16 || (c->fp16 && c->dtype == TRAIN_DTYPE_AUTO))
        c->dtype = TRAIN_DTYPE_FP16;
    if (c->optim == TRAIN_ADAMW_TORCH || c->optim == TRAIN_ADAMW_TORCH_FUSED)
        c->optim = TRAIN_ADAMW;
    if (c->optim == TRAIN_ADAMW_BNB_8BIT) c->optim = TRAIN_ADAMW_8BIT;
    if (!c->sync_ref_model_given && !train_config_has_reference(c)) c->sync_ref_model = false;
    if (c->precompute_ref_log_probs && c->ref_offload == TRAIN_OFFLOAD_AUTO)
        c->ref_offload = TRAIN_OFFLOAD_ON;
    if (c->eval_strategy == TRAIN_EVAL_STEPS && c->eval_steps == 0)
        c->eval_steps = c->logging_steps;
}

// TRL reports the rewards of losses of mean log-probs as means.
static bool has_mean_rewards(const struct train_config *c)
{
    for (size_t i = 0; i < c->loss_types; i++)
        if (c->loss_type[i] == PREF_SIMPO || c->loss_type[i] == PREF_ORPO ||
            c->loss_type[i] == PREF_IPO)
            return true;
    return false;
}

void train_config_pref_settings(const struct train_config *config, struct pref_settings *out)
{
    struct train_config settled = *config, *c = &settled; // its strings stay the caller's
    train_config_resolve(c);
    *out = (struct pref_settings){
        .beta = (float)c->beta,
        .label_smoothing = (float)c->label_smoothing,
        .ld_alpha = (float)c->ld_alpha,
        .divergence_coef = (float)c->f_alpha_divergence_coef,
        .discopop_tau = (float)c->discopop_tau,
        .simpo_gamma = (float)c->simpo_gamma,
        .divergence = (uint32_t)c->f_divergence_type,
    };
    for (size_t i = 0; i < c->loss_types; i++) {
        out->type[out->terms] = (uint32_t)c->loss_type[i];
        out->weight[out->terms++] = (float)c->loss_weights[i];
    }
    if (c->use_weighting) out->flags |= PREF_WEIGHTED;
    if (!train_config_has_reference(c)) {
        out->flags |= PREF_REFERENCE_FREE;
        if (has_mean_rewards(c)) out->flags |= PREF_MEAN_REWARDS;
    }
    if (c->method == TRAIN_CPO) {
        out->alpha = (float)c->alpha;
        if (c->cpo_alpha != 0 && out->terms < PREF_MAX_TERMS) {
            out->type[out->terms] = PREF_SFT;
            out->weight[out->terms++] = (float)c->cpo_alpha;
        }
    }
}
