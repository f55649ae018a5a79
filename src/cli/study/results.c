#include "base/error.h"
#include "base/json.h"
#include "cli/study/study.h"

#include <math.h>
#include <string.h>

const char *const study_method_names[STUDY_METHODS] = {"dpo", "tr-dpo-soft", "tr-dpo-hard"};

#define COUNT(a) (sizeof(a) / sizeof *(a))

void study_results_finish(struct study_results *r)
{
    ARRAY_FREE(&r->settings);
    ARRAY_FREE(&r->runs);
    mem_free(r->points);
    *r = (struct study_results){0};
}

// ---- settings ----

// A curve: a method at the betas given, up to 0.
static void add_curve(struct study_results *r, struct study_setting setting, const double *betas)
{
    for (; *betas > 0; betas++) {
        setting.beta = *betas;
        ARRAY_PUSH(&r->settings, setting);
    }
}

void study_make_settings(struct study_results *r, bool quick)
{
    // Plain DPO has one curve and twice the betas. The faster a reference follows, the further a
    // beta lets go: those of the fast curves are larger, so that all cover about the same KL.
    static const double every[] = {4, 2, 1, 0.5, 0.25, 0.12, 0.06, 0.03, 0};
    static const double slow[] = {4, 1, 0.25, 0.06, 0}, fast[] = {16, 4, 1, 0.25, 0};
    static const double two[] = {1, 0.1, 0};
    if (quick) {
        add_curve(r, (struct study_setting){.method = STUDY_DPO}, two);
        add_curve(r, (struct study_setting){.method = STUDY_SOFT, .alpha = 0.1, .tau = 1}, two);
        add_curve(r, (struct study_setting){.method = STUDY_HARD, .alpha = 1, .tau = 4}, two);
        return;
    }
    add_curve(r, (struct study_setting){.method = STUDY_DPO}, every);
    add_curve(r, (struct study_setting){.method = STUDY_SOFT, .alpha = 0.02, .tau = 1}, slow);
    add_curve(r, (struct study_setting){.method = STUDY_SOFT, .alpha = 0.2, .tau = 1}, fast);
    add_curve(r, (struct study_setting){.method = STUDY_HARD, .alpha = 1, .tau = 32}, slow);
    add_curve(r, (struct study_setting){.method = STUDY_HARD, .alpha = 1, .tau = 8}, fast);
}

char *study_setting_name(const struct study_setting *s)
{
    const char *method = study_method_names[s->method];
    if (s->method == STUDY_SOFT) return str_format("%s-a%g-b%g", method, s->alpha, s->beta);
    if (s->method == STUDY_HARD) return str_format("%s-t%d-b%g", method, s->tau, s->beta);
    return str_format("%s-b%g", method, s->beta);
}

// ---- spreads ----

struct study_spread study_spread_of(const double *values, size_t count)
{
    struct study_spread s = {0};
    for (size_t i = 0; i < count; i++)
        s.mean += values[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        s.deviation += (values[i] - s.mean) * (values[i] - s.mean);
    s.deviation = count > 1 ? sqrt(s.deviation / (double)(count - 1)) : 0;
    return s;
}

// Spread of the double at `offset` of the measures, over the runs of a setting.
static struct study_spread spread(const struct study_results *r, size_t setting, size_t offset)
{
    double *values = MEM_ARRAY(double, r->runs.count);
    size_t count = 0;
    for (size_t i = 0; i < r->runs.count; i++)
        if (r->runs.items[i].setting == setting)
            memcpy(&values[count++], (const char *)&r->runs.items[i].m + offset, sizeof *values);
    struct study_spread s = study_spread_of(values, count);
    mem_free(values);
    return s;
}

void study_summarise(struct study_results *r)
{
    mem_free(r->points);
    r->points = MEM_ARRAY(struct study_point, r->settings.count);
    for (size_t i = 0; i < r->settings.count; i++)
        r->points[i] = (struct study_point){
            .reward = spread(r, i, offsetof(struct study_measures, reward)),
            .kl = spread(r, i, offsetof(struct study_measures, kl)),
            .accuracy = spread(r, i, offsetof(struct study_measures, accuracy)),
            .things = spread(r, i, offsetof(struct study_measures, things)),
            .whole = spread(r, i, offsetof(struct study_measures, whole)),
        };
}

// ---- curves ----

size_t study_curve_end(const struct study_results *r, size_t first)
{
    const struct study_setting *s = &r->settings.items[first];
    size_t end = first + 1;
    while (end < r->settings.count && r->settings.items[end].method == s->method &&
           r->settings.items[end].alpha == s->alpha && r->settings.items[end].tau == s->tau)
        end++;
    return end;
}

static const struct study_measures *find(const struct study_results *r, size_t setting,
                                         uint64_t seed)
{
    for (size_t i = 0; i < r->runs.count; i++)
        if (r->runs.items[i].setting == setting && r->runs.items[i].seed == seed)
            return &r->runs.items[i].m;
    return NULL;
}

// The reward at a KL where a seed's curve first comes to it.
static bool reach(const struct study_results *r, size_t first, uint64_t seed, double kl,
                  double *reward)
{
    const struct study_measures *before = &r->start;
    size_t end = study_curve_end(r, first);
    for (size_t i = first; i < end; i++) {
        const struct study_measures *m = find(r, i, seed);
        if (!m) return false;
        if (m->kl >= kl) {
            double share = m->kl > before->kl ? (kl - before->kl) / (m->kl - before->kl) : 1;
            *reward = before->reward + share * (m->reward - before->reward);
            return true;
        }
        before = m;
    }
    return false;
}

bool study_reward_at(const struct study_results *r, size_t first, double kl,
                     struct study_spread *reward)
{
    double *values = MEM_ARRAY(double, r->seeds);
    bool all = true;
    for (uint32_t i = 0; all && i < r->seeds; i++)
        all = reach(r, first, i + 1, kl, &values[i]);
    if (all) *reward = study_spread_of(values, r->seeds);
    mem_free(values);
    return all;
}

int study_best(const struct study_results *r, enum study_method method, double kl)
{
    int best = -1;
    for (size_t i = 0; i < r->settings.count; i++) {
        if (r->settings.items[i].method != method || r->points[i].kl.mean > kl) continue;
        if (best < 0 || r->points[i].reward.mean > r->points[best].reward.mean) best = (int)i;
    }
    return best;
}

struct study_spread study_difference(const struct study_results *r, size_t a, size_t b)
{
    double *values = MEM_ARRAY(double, r->seeds);
    for (uint32_t i = 0; i < r->seeds; i++) {
        const struct study_measures *x = find(r, a, i + 1), *y = find(r, b, i + 1);
        CHECK(x && y);
        values[i] = x->reward - y->reward;
    }
    struct study_spread s = study_spread_of(values, r->seeds);
    mem_free(values);
    return s;
}

// ---- results.jsonl ----

void study_run_print(const struct study_results *r, const struct study_run *run, struct str *out)
{
    const struct study_setting *s = &r->settings.items[run->setting];
    const struct {
        const char *name;
        double value;
    } values[] = {{"beta", s->beta},
                  {"alpha", s->alpha},
                  {"tau", s->tau},
                  {"seed", (double)run->seed},
                  {"reward", run->m.reward},
                  {"kl", run->m.kl},
                  {"accuracy", run->m.accuracy},
                  {"length", run->m.things},
                  {"whole", run->m.whole}};
    str_appendf(out, "{\"method\": \"%s\"", study_method_names[s->method]);
    for (size_t i = 0; i < COUNT(values); i++) {
        str_appendf(out, ", \"%s\": ", values[i].name);
        json_append_double(out, values[i].value);
    }
    str_append_char(out, '}');
}
