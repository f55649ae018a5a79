#include "cli/output.h"
#include "cli/study/study.h"

static void spread_cell(struct cli_table *t, const struct study_spread *s, int digits)
{
    cli_cell(t, "%.*f +- %.*f", digits, s->mean, digits, s->deviation);
}

// Method, alpha, tau.
static void setting_cells(struct cli_table *t, const struct study_setting *s)
{
    cli_cell(t, "%s", study_method_names[s->method]);
    if (s->method == STUDY_DPO) {
        cli_cell(t, "-");
        cli_cell(t, "-");
    } else {
        cli_cell(t, "%g", s->alpha);
        cli_cell(t, "%d", s->tau);
    }
}

static void print_settings(const struct study_results *r)
{
    struct cli_table t = {.align = "lrrrrrrr", .indent = 2};
    static const char *const titles[] = {"method", "alpha",    "tau",      "beta",
                                         "reward", "KL, nats", "accuracy", "things"};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        cli_cell(&t, "%s", titles[i]);
    cli_cell(&t, "start (SFT)");
    for (int i = 0; i < 3; i++)
        cli_cell(&t, "-");
    cli_cell(&t, "%.3f", r->start.reward);
    cli_cell(&t, "0");
    cli_cell(&t, "-");
    cli_cell(&t, "%.2f", r->start.things);
    for (size_t i = 0; i < r->settings.count; i++) {
        const struct study_setting *s = &r->settings.items[i];
        const struct study_point *p = &r->points[i];
        setting_cells(&t, s);
        cli_cell(&t, "%g", s->beta);
        spread_cell(&t, &p->reward, 3);
        spread_cell(&t, &p->kl, 2);
        spread_cell(&t, &p->accuracy, 3);
        spread_cell(&t, &p->things, 2);
    }
    cli_table_print(&t);
}

// Where rewards are compared, nats.
static const double levels[] = {0.5, 1, 2, 4};
#define LEVELS (sizeof levels / sizeof *levels)

static void print_curves(const struct study_results *r)
{
    struct cli_table t = {.align = "lrrrrrrr", .indent = 2};
    cli_cell(&t, "method");
    cli_cell(&t, "alpha");
    cli_cell(&t, "tau");
    for (size_t i = 0; i < LEVELS; i++)
        cli_cell(&t, "KL %g", levels[i]);
    for (size_t first = 0; first < r->settings.count; first = study_curve_end(r, first)) {
        setting_cells(&t, &r->settings.items[first]);
        for (size_t i = 0; i < LEVELS; i++) {
            struct study_spread reward;
            if (study_reward_at(r, first, levels[i], &reward))
                spread_cell(&t, &reward, 3);
            else
                cli_cell(&t, "-");
        }
    }
    cli_table_print(&t);
}

static void print_best(const struct study_results *r)
{
    struct cli_table t = {.align = "rlrrr", .indent = 2};
    static const char *const titles[] = {"KL up to", "best setting", "reward", "KL, nats",
                                         "against DPO"};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        cli_cell(&t, "%s", titles[i]);
    for (size_t i = 0; i < LEVELS; i++) {
        int dpo = study_best(r, STUDY_DPO, levels[i]);
        for (int method = 0; method < STUDY_METHODS; method++) {
            int best = study_best(r, (enum study_method)method, levels[i]);
            cli_cell(&t, "%g", levels[i]);
            if (best < 0) {
                cli_cell(&t, "%s: none", study_method_names[method]);
                for (int c = 0; c < 3; c++)
                    cli_cell(&t, "-");
                continue;
            }
            char *name = study_setting_name(&r->settings.items[best]);
            cli_cell(&t, "%s", name);
            mem_free(name);
            spread_cell(&t, &r->points[best].reward, 3);
            spread_cell(&t, &r->points[best].kl, 2);
            if (method == STUDY_DPO || dpo < 0) {
                cli_cell(&t, "-");
            } else {
                struct study_spread d = study_difference(r, (size_t)best, (size_t)dpo);
                cli_cell(&t, "%+.3f +- %.3f", d.mean, d.deviation);
            }
        }
    }
    cli_table_print(&t);
}

void study_report(const struct study_results *r)
{
    out_printf("\nEvery setting: mean +- standard deviation over %u seed%s. Reward 1 is the best "
               "possible;\naccuracy is that of the policy's rewards on pairs in their true "
               "order; things are those in an answer.\n\n",
               (unsigned)r->seeds, r->seeds == 1 ? "" : "s");
    print_settings(r);
    out_printf("\nGold reward at the same KL, along the curve from the start over falling "
               "beta:\n\n");
    print_curves(r);
    out_printf("\nThe best setting of each method within a KL, and its reward less that of DPO's "
               "best,\nseed by seed:\n\n");
    print_best(r);
}
