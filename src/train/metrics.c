#include "train/metrics.h"

#include "base/error.h"
#include "base/json.h"

#include <math.h>

const char *const train_metric_names[METRIC_COUNT] = {
    [METRIC_LOSS] = "loss",
    [METRIC_ENTROPY] = "entropy",
    [METRIC_TOKEN_ACCURACY] = "mean_token_accuracy",
    [METRIC_REWARDS_CHOSEN] = "rewards/chosen",
    [METRIC_REWARDS_REJECTED] = "rewards/rejected",
    [METRIC_REWARDS_ACCURACIES] = "rewards/accuracies",
    [METRIC_REWARDS_MARGINS] = "rewards/margins",
    [METRIC_LOGPS_CHOSEN] = "logps/chosen",
    [METRIC_LOGPS_REJECTED] = "logps/rejected",
    [METRIC_LOGPS_REF_CHOSEN] = "logps/ref_chosen",
    [METRIC_LOGPS_REF_REJECTED] = "logps/ref_rejected",
    [METRIC_KL_REFERENCE] = "kl/reference",
    [METRIC_KL_SFT] = "kl/sft",
    [METRIC_SFT_MARGINS] = "rewards/sft_margins",
};

bool train_metrics_add_pairs(struct train_metrics *m, const union train_row_metrics *rows,
                             uint32_t count, const float *start, double beta, uint32_t *bad)
{
    double sum[METRIC_COUNT] = {0}, tokens = 0, entropy = 0, accurate = 0, chosen_tokens = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct pair_metrics *p = &rows[i].pair;
        if (!isfinite(p->loss)) return *bad = i, false;
        double w = p->logp_chosen, l = p->logp_rejected;
        double over_start_w = w - (double)start[2 * i], over_start_l = l - (double)start[2 * i + 1];
        sum[METRIC_LOSS] += p->loss;
        sum[METRIC_REWARDS_CHOSEN] += p->reward_chosen;
        sum[METRIC_REWARDS_REJECTED] += p->reward_rejected;
        sum[METRIC_REWARDS_ACCURACIES] += p->reward_chosen > p->reward_rejected;
        sum[METRIC_REWARDS_MARGINS] += (double)p->reward_chosen - (double)p->reward_rejected;
        sum[METRIC_LOGPS_CHOSEN] += w;
        sum[METRIC_LOGPS_REJECTED] += l;
        sum[METRIC_LOGPS_REF_CHOSEN] += p->ref_logp_chosen;
        sum[METRIC_LOGPS_REF_REJECTED] += p->ref_logp_rejected;
        sum[METRIC_KL_REFERENCE] +=
            (w - (double)p->ref_logp_chosen + l - (double)p->ref_logp_rejected) / 2;
        sum[METRIC_KL_SFT] += (over_start_w + over_start_l) / 2;
        sum[METRIC_SFT_MARGINS] += beta * (over_start_w - over_start_l);
        tokens += p->tokens;
        entropy += p->entropy;
        accurate += p->accurate;
        chosen_tokens += p->chosen_tokens;
    }
    for (int i = 0; i < METRIC_COUNT; i++)
        m->sums[i] += sum[i] / count;
    if (tokens > 0) m->sums[METRIC_ENTROPY] += entropy / tokens;
    if (chosen_tokens > 0) m->sums[METRIC_TOKEN_ACCURACY] += accurate / chosen_tokens;
    m->steps++;
    return true;
}

bool train_metrics_add_sequences(struct train_metrics *m, const union train_row_metrics *rows,
                                 uint32_t count, uint32_t *bad)
{
    double logp = 0, tokens = 0, entropy = 0, accurate = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct sequence_metrics *p = &rows[i].sequence;
        if (!isfinite(p->logp)) return *bad = i, false;
        logp += p->logp;
        tokens += p->tokens;
        entropy += p->entropy;
        accurate += p->accurate;
    }
    if (tokens > 0) {
        m->sums[METRIC_LOSS] -= logp / tokens;
        m->sums[METRIC_ENTROPY] += entropy / tokens;
        m->sums[METRIC_TOKEN_ACCURACY] += accurate / tokens;
    }
    m->steps++;
    return true;
}

double train_metrics_mean(const struct train_metrics *m, enum train_metric which)
{
    return m->steps > 0 ? m->sums[which] / m->steps : 0;
}

void train_metrics_print(const struct train_metrics *m, bool pairs, const char *prefix,
                         struct str *out)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (!pairs && i > METRIC_TOKEN_ACCURACY) break;
        str_appendf(out, ", \"%s%s\": ", prefix, train_metric_names[i]);
        json_append_double(out, train_metrics_mean(m, (enum train_metric)i));
    }
}

cJSON *train_metrics_save(const struct train_metrics *m)
{
    cJSON *state = cJSON_CreateObject();
    cJSON_AddNumberToObject(state, "steps", m->steps);
    for (int i = 0; i < METRIC_COUNT; i++)
        cJSON_AddNumberToObject(state, train_metric_names[i], m->sums[i]);
    return state;
}

bool train_metrics_load(struct train_metrics *m, const cJSON *state)
{
    *m = (struct train_metrics){.steps = NAN};
    bool ok = json_get_double(state, "steps", &m->steps), whole = !isnan(m->steps);
    for (int i = 0; ok && i < METRIC_COUNT; i++) {
        m->sums[i] = NAN;
        ok = json_get_double(state, train_metric_names[i], &m->sums[i]);
        whole = whole && !isnan(m->sums[i]);
    }
    return ok && (whole || err_user("the sums of metrics are missing"));
}
