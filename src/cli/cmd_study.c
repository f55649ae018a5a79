// DPO against TR-DPO on a task whose reward is known: many small runs, a table, a picture.
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/lab/start.h"
#include "cli/output.h"
#include "cli/study/study.h"

static const struct study_sizes whole = {
    .corpus = 4096, .sft_epochs = 3, .pairs = 1024, .held_out = 256, .answers = 384, .epochs = 3};
static const struct study_sizes small = {
    .corpus = 1024, .sft_epochs = 3, .pairs = 96, .held_out = 64, .answers = 48, .epochs = 2};

// A folder that holds something else is not ours to write into; what an earlier study left in it
// is.
static bool take_folder(const char *dir)
{
    char *init = file_join(dir, "init"), *runs = file_join(dir, "runs");
    char *results = file_join(dir, "results.jsonl"), *picture = file_join(dir, "study.svg");
    char **names;
    size_t count = 0;
    bool ok = true;
    if (file_is_dir(init)) {
        ok = file_remove_tree(runs) && file_remove(results) && file_remove(picture);
    } else if (file_exists(dir) && !file_is_dir(dir)) {
        ok = err_user("--output: %s is a file", dir);
    } else if (file_exists(dir)) {
        ok = file_list(dir, &names, &count);
        if (ok) file_list_free(names, count);
        if (count)
            ok = err_user("--output: %s is not empty, and no study has written it: choose another "
                          "folder",
                          dir);
    }
    char *const paths[] = {init, runs, results, picture};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        mem_free(paths[i]);
    return ok;
}

// Writes all lines so far: an interrupted study leaves whole ones.
static bool keep(const struct study *s, const struct study_results *r)
{
    struct str text = {0};
    for (size_t i = 0; i < r->runs.count; i++) {
        study_run_print(r, &r->runs.items[i], &text);
        str_append_char(&text, '\n');
    }
    return lab_write_text(s->dir, "results.jsonl", &text);
}

static bool run_all(struct study *s, struct study_results *r)
{
    size_t total = r->seeds * r->settings.count;
    for (uint32_t seed = 1; seed <= r->seeds; seed++)
        for (size_t i = 0; i < r->settings.count; i++) {
            struct study_run run = {.setting = i, .seed = seed};
            double started = sys_seconds();
            char *name = study_setting_name(&r->settings.items[i]);
            bool ok = study_train(s, &r->settings.items[i], seed, &run.m);
            if (ok) {
                ARRAY_PUSH(&r->runs, run);
                ok = keep(s, r);
                log_info("run %zu of %zu: %s seed %u: reward %.3f, KL %.2f (%.1f s)", r->runs.count,
                         total, name, (unsigned)seed, run.m.reward, run.m.kl,
                         sys_seconds() - started);
            }
            mem_free(name);
            if (!ok) return false;
        }
    return true;
}

static bool run(struct cli *cli)
{
    struct study_results r = {.seeds = (uint32_t)cli_int(&cli->args, "seeds")};
    bool quick = cli_flag(&cli->args, "quick");
    struct study s = {.dir = cli_text(&cli->args, "output"),
                      .seed = (uint64_t)cli_int(&cli->args, "seed"),
                      .sizes = quick ? small : whole};
    double started = sys_seconds();
    if (!take_folder(s.dir)) return false;
    s.device = cli_device(cli);
    if (!s.device) return false;
    study_make_settings(&r, quick);
    log_info("device: %s; files in %s/\n%zu settings with %u seeds each; first the model that all "
             "of them start from",
             vk_device_caps(s.device)->name, s.dir, r.settings.count, (unsigned)r.seeds);
    bool ok =
        study_prepare(&s, r.seeds) && study_measure(&s, &s.start, 0, &r.start) && run_all(&s, &r);
    if (ok) {
        struct str svg = {0};
        study_summarise(&r);
        study_plot(&r, &svg);
        ok = lab_write_text(s.dir, "study.svg", &svg);
        study_report(&r);
        out_printf("\n%zu runs in %.0f s on %s. Runs: %s/results.jsonl. Picture: %s/study.svg.\n",
                   r.runs.count, sys_seconds() - started, vk_device_caps(s.device)->name, s.dir,
                   s.dir);
    }
    study_finish(&s);
    study_results_finish(&r);
    return ok;
}

static const struct cli_option options[] = {
    {.name = "output",
     .type = CLI_TEXT,
     .value = "DIR",
     .fallback = "trdpo-study",
     .help = "folder for all that the study makes"},
    {.name = "seeds",
     .type = CLI_INT,
     .value = "N",
     .fallback = "3",
     .min = 1,
     .max = 100,
     .help = "runs of each setting, each with preferences of its own"},
    {.name = "seed",
     .type = CLI_INT,
     .value = "N",
     .fallback = "42",
     .max = 9007199254740991.0,
     .help = "seed of the start and of everything drawn"},
    {.name = "quick",
     .type = CLI_FLAG,
     .help = "a small form that ends in half a minute and shows nothing but that it works"},
    {0},
};

const struct cli_command cli_command_study = {
    .name = "study",
    .summary = "DPO against TR-DPO where the true reward is known",
    .synopsis = "[--output DIR] [--seeds N]",
    .details = "Trains a tiny model on a task whose reward a program computes, draws preferences\n"
               "that err now and then, and aligns it by DPO and by TR-DPO (soft and hard) at\n"
               "several beta, alpha and tau. Writes results.jsonl, a line a run, and study.svg,\n"
               "gold reward against KL to the start; prints the same as tables. Takes about a\n"
               "quarter of an hour on two CPU cores.\n",
    .options = options,
    .uses = CLI_DEVICE | CLI_PROFILE,
    .run = run,
};
