#include "train/metrics.h"

#include "base/error.h"
#include "base/json.h"

#include <math.h>
#include <string.h>

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
    [METRIC_KL] = "kl",
    [METRIC_NLL] = "nll_loss",
    [METRIC_KL_REFERENCE] = "kl/reference",
    [METRIC_KL_SFT] = "kl/sft",
    [METRIC_SFT_MARGINS] = "rewards/sft_margins",
};

// ---- rules ----

static bool has_loss(const struct train_config *c, int64_t type)
{
    for (size_t i = 0; i < c->loss_types; i++)
        if (c->loss_type[i] == type) return true;
    return false;
}

struct train_metric_rules train_metric_rules_of(const struct train_config *c)
{
    static const enum train_metric_rows rows[] = {[TRAIN_DPO] = METRICS_PAIRS,
                                                  [TRAIN_CPO] = METRICS_PAIRS,
                                                  [TRAIN_SFT] = METRICS_TEXTS,
                                                  [TRAIN_KTO] = METRICS_UNPAIRED};
    struct train_metric_rules rules = {
        .rows = rows[c->method],
        .beta = c->beta,
        .reference = train_config_has_reference(c),
        .batch = (uint32_t)c->per_device_train_batch_size,
    };
    if (rules.rows != METRICS_PAIRS) return rules;
    struct pref_settings settings;
    train_config_pref_settings(c, &settings);
    rules.mean_rewards = settings.flags & PREF_MEAN_REWARDS;
    // With ld_alpha the log-probs reported are weighted: no mean over tokens can be had from them.
    rules.nll = settings.ld_alpha == 1 &&
                (c->method == TRAIN_CPO || has_loss(c, PREF_SFT) || has_loss(c, PREF_ORPO));
    return rules;
}

bool train_metric_offered(const struct train_metric_rules *rules, enum train_metric which)
{
    switch (which) {
    case METRIC_LOSS:
    case METRIC_ENTROPY:
    case METRIC_TOKEN_ACCURACY:
        return true;
    case METRIC_REWARDS_ACCURACIES:
        return rules->rows == METRICS_PAIRS;
    case METRIC_LOGPS_REF_CHOSEN:
    case METRIC_LOGPS_REF_REJECTED:
    case METRIC_KL_REFERENCE:
        return rules->reference;
    case METRIC_KL:
        return rules->rows == METRICS_UNPAIRED;
    case METRIC_NLL:
        return rules->nll;
    default:
        return rules->rows != METRICS_TEXTS && which < METRIC_COUNT;
    }
}

enum train_metric train_metric_find(const char *name)
{
    static const char prefix[] = "eval_";
    if (str_starts_with(name, prefix)) name += sizeof prefix - 1;
    int i = 0;
    while (i < METRIC_COUNT && strcmp(train_metric_names[i], name) != 0)
        i++;
    return (enum train_metric)i;
}

// ---- what rows come to ----

// Sums, and what each is to be divided by.
struct tally {
    double sum[METRIC_COUNT], weight[METRIC_COUNT];
};

static void put(struct tally *t, enum train_metric which, double sum, double weight)
{
    t->sum[which] += sum;
    t->weight[which] += weight;
}

static void tally_pair(struct tally *t, const struct train_metric_rules *rules,
                       const struct pair_metrics *p, const float *start)
{
    double w = p->logp_chosen, l = p->logp_rejected, tokens = p->chosen_tokens;
    put(t, METRIC_LOSS, p->loss, 1);
    put(t, METRIC_ENTROPY, p->entropy, p->tokens);
    put(t, METRIC_TOKEN_ACCURACY, p->accurate, tokens);
    put(t, METRIC_REWARDS_CHOSEN, p->reward_chosen, 1);
    put(t, METRIC_REWARDS_REJECTED, p->reward_rejected, 1);
    put(t, METRIC_REWARDS_ACCURACIES, p->reward_chosen > p->reward_rejected, 1);
    put(t, METRIC_REWARDS_MARGINS, (double)p->reward_chosen - (double)p->reward_rejected, 1);
    put(t, METRIC_LOGPS_CHOSEN, w, 1);
    put(t, METRIC_LOGPS_REJECTED, l, 1);
    if (rules->nll) put(t, METRIC_NLL, -w, tokens);
    if (rules->reference) {
        put(t, METRIC_LOGPS_REF_CHOSEN, p->ref_logp_chosen, 1);
        put(t, METRIC_LOGPS_REF_REJECTED, p->ref_logp_rejected, 1);
        put(t, METRIC_KL_REFERENCE,
            (w - (double)p->ref_logp_chosen + l - (double)p->ref_logp_rejected) / 2, 1);
    }
    if (!start) return;
    double over_w = w - (double)start[0], over_l = l - (double)start[1];
    put(t, METRIC_KL_SFT, (over_w + over_l) / 2, 1);
    if (rules->mean_rewards) {
        over_w /= fmax(tokens, 1);
        over_l /= fmax((double)p->tokens - tokens, 1);
    }
    put(t, METRIC_SFT_MARGINS, rules->beta * (over_w - over_l), 1);
}

static void tally_text(struct tally *t, const struct sequence_metrics *p)
{
    put(t, METRIC_LOSS, -(double)p->logp, p->tokens);
    put(t, METRIC_ENTROPY, p->entropy, p->tokens);
    put(t, METRIC_TOKEN_ACCURACY, p->accurate, p->tokens);
}

// Metrics of one class of unpaired rows: undesirable, desirable.
static const struct {
    enum train_metric reward, logp, ref_logp;
} of_class[2] = {
    {METRIC_REWARDS_REJECTED, METRIC_LOGPS_REJECTED, METRIC_LOGPS_REF_REJECTED},
    {METRIC_REWARDS_CHOSEN, METRIC_LOGPS_CHOSEN, METRIC_LOGPS_REF_CHOSEN},
};

// Rows of one batch or of several, all alike. METRIC_SFT_MARGINS gets the desirable ones' part of
// METRIC_KL_SFT, which close_margins() takes up.
static void tally_unpaired(struct tally *t, const union train_row_metrics *rows, uint32_t count,
                           const float *start)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct unpaired_metrics *p = &rows[i].unpaired;
        bool desirable = p->label > 0.5f;
        put(t, METRIC_LOSS, p->loss, 1);
        put(t, METRIC_ENTROPY, p->entropy, p->tokens);
        if (desirable) put(t, METRIC_TOKEN_ACCURACY, p->accurate, p->tokens);
        put(t, of_class[desirable].reward, p->reward, 1);
        put(t, of_class[desirable].logp, p->logp, 1);
        put(t, of_class[desirable].ref_logp, p->ref_logp, 1);
        put(t, METRIC_KL, p->kl, 1);
        put(t, METRIC_KL_REFERENCE, (double)p->logp - (double)p->ref_logp, 1);
        if (!start) continue;
        double over_start = (double)p->logp - (double)start[2 * i];
        put(t, METRIC_KL_SFT, over_start, 1);
        if (desirable) put(t, METRIC_SFT_MARGINS, over_start, 0);
    }
}

// Margins of unpaired rows: the desirable ones' mean less that of the others, where there are both.
static void close_margins(struct tally *t, double beta)
{
    double chosen = t->weight[METRIC_REWARDS_CHOSEN], rejected = t->weight[METRIC_REWARDS_REJECTED];
    double over_chosen = t->sum[METRIC_SFT_MARGINS];
    double over_rejected = t->sum[METRIC_KL_SFT] - over_chosen;
    t->sum[METRIC_SFT_MARGINS] = 0;
    if (!(chosen > 0 && rejected > 0)) return;
    put(t, METRIC_REWARDS_MARGINS,
        t->sum[METRIC_REWARDS_CHOSEN] / chosen - t->sum[METRIC_REWARDS_REJECTED] / rejected, 1);
    if (t->weight[METRIC_KL_SFT] > 0)
        put(t, METRIC_SFT_MARGINS, beta * (over_chosen / chosen - over_rejected / rejected), 1);
}

static bool row_is_finite(enum train_metric_rows kind, const union train_row_metrics *row)
{
    return isfinite(kind == METRICS_PAIRS   ? row->pair.loss
                    : kind == METRICS_TEXTS ? row->sequence.logp
                                            : row->unpaired.loss);
}

static bool tally(struct tally *t, const struct train_metric_rules *rules,
                  const union train_row_metrics *rows, uint32_t count, const float *start,
                  uint32_t *bad)
{
    for (uint32_t i = 0; i < count; i++)
        if (!row_is_finite(rules->rows, &rows[i])) return *bad = i, false;
    if (rules->rows == METRICS_UNPAIRED) return tally_unpaired(t, rows, count, start), true;
    for (uint32_t i = 0; i < count; i++)
        if (rules->rows == METRICS_PAIRS)
            tally_pair(t, rules, &rows[i].pair, start ? start + 2 * (size_t)i : NULL);
        else
            tally_text(t, &rows[i].sequence);
    return true;
}

static void add_means(struct train_metrics *m, const struct tally *t, bool of_batch, bool of_step)
{
    for (int k = 0; k < METRIC_COUNT; k++) {
        bool whole = k == METRIC_LOSS || k == METRIC_ENTROPY || k == METRIC_TOKEN_ACCURACY ||
                     k == METRIC_KL_REFERENCE || k == METRIC_KL_SFT;
        if (!(t->weight[k] > 0) || !(whole ? of_step : of_batch)) continue;
        m->sums[k] += t->sum[k] / t->weight[k];
        m->counts[k]++;
    }
}

bool train_metrics_add(struct train_metrics *m, const struct train_metric_rules *rules,
                       const union train_row_metrics *rows, uint32_t count, const float *start,
                       uint32_t *bad)
{
    struct tally step = {0};
    bool unpaired = rules->rows == METRICS_UNPAIRED;
    if (!tally(&step, rules, rows, count, start, bad)) return false;
    add_means(m, &step, !unpaired, true);
    for (uint32_t i = 0; unpaired && i < count; i += rules->batch) {
        struct tally batch = {0};
        uint32_t n = count - i < rules->batch ? count - i : rules->batch;
        tally_unpaired(&batch, rows + i, n, start ? start + 2 * (size_t)i : NULL);
        close_margins(&batch, rules->beta);
        add_means(m, &batch, true, false);
    }
    return true;
}

bool train_metrics_pool(struct train_metrics *m, const struct train_metric_rules *rules,
                        const union train_row_metrics *rows, uint32_t count, const float *start,
                        uint32_t *bad)
{
    // Row by row into the same sums, so that the means are the same bits in any grouping.
    struct tally t;
    memcpy(t.sum, m->sums, sizeof t.sum);
    memcpy(t.weight, m->counts, sizeof t.weight);
    if (!tally(&t, rules, rows, count, start, bad)) return false;
    memcpy(m->sums, t.sum, sizeof t.sum);
    memcpy(m->counts, t.weight, sizeof t.weight);
    return true;
}

void train_metrics_pool_end(struct train_metrics *m, const struct train_metric_rules *rules)
{
    struct tally t;
    if (rules->rows != METRICS_UNPAIRED) return;
    memcpy(t.sum, m->sums, sizeof t.sum);
    memcpy(t.weight, m->counts, sizeof t.weight);
    close_margins(&t, rules->beta);
    memcpy(m->sums, t.sum, sizeof t.sum);
    memcpy(m->counts, t.weight, sizeof t.weight);
}

// ---- use ----

bool train_metrics_has(const struct train_metrics *m, enum train_metric which)
{
    return m->counts[which] > 0;
}

double train_metrics_mean(const struct train_metrics *m, enum train_metric which)
{
    return m->counts[which] > 0 ? m->sums[which] / m->counts[which] : 0;
}

void train_metrics_print(const struct train_metrics *m, const char *prefix, struct str *out)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (!train_metrics_has(m, (enum train_metric)i)) continue;
        str_appendf(out, ", \"%s%s\": ", prefix, train_metric_names[i]);
        json_append_double(out, train_metrics_mean(m, (enum train_metric)i));
    }
}

cJSON *train_metrics_save(const struct train_metrics *m)
{
    cJSON *state = cJSON_CreateObject();
    cJSON *sums = cJSON_AddObjectToObject(state, "sums");
    cJSON *counts = cJSON_AddObjectToObject(state, "counts");
    for (int i = 0; i < METRIC_COUNT; i++) {
        cJSON_AddNumberToObject(sums, train_metric_names[i], m->sums[i]);
        cJSON_AddNumberToObject(counts, train_metric_names[i], m->counts[i]);
    }
    return state;
}

static bool load_values(double values[METRIC_COUNT], const cJSON *from)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        values[i] = NAN;
        if (!json_get_double(from, train_metric_names[i], &values[i])) return false;
        if (isnan(values[i])) return err_user("the sums of metrics are missing");
    }
    return true;
}

bool train_metrics_load(struct train_metrics *m, const cJSON *state)
{
    *m = (struct train_metrics){0};
    return load_values(m->sums, json_get(state, "sums")) &&
           load_values(m->counts, json_get(state, "counts"));
}
