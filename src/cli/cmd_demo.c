// The whole way in a few minutes: a model from random weights, SFT, TR-DPO, plain DPO, measured.
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/demo/files.h"
#include "cli/demo/measure.h"
#include "cli/output.h"
#include "train/trainer.h"

#include <string.h>

enum { SFT, TR_DPO, DPO, MODELS };
static const char *const folders[MODELS] = {"sft", "tr-dpo", "dpo"};
static const char *const titles[MODELS] = {"SFT (start)", "TR-DPO, soft updates", "plain DPO"};

static bool train(struct cli *cli, const char *dir, const char *name)
{
    struct train_config config;
    char *path = str_format("%s/%s.yaml", dir, name);
    train_config_init(&config);
    log_info("\n== %s: trdpo-vk train --config %s", name, path);
    bool ok = train_config_read(&config, path) &&
              train_config_set(&config, "overwrite_output_dir", "true", "demo") &&
              train_config_set(&config, "save_total_limit", "1", "demo") &&
              train_config_check(&config);
    enum train_outcome outcome = ok ? train_run_all(&config, cli_open_device, cli) : TRAIN_FAILED;
    if (outcome == TRAIN_STOPPED) err_device("stopped by a signal");
    train_config_finish(&config);
    mem_free(path);
    return outcome == TRAIN_FINISHED;
}

// A folder that holds something else is not ours to write into.
static bool check_folder(const char *dir)
{
    char *start = file_join(dir, "start"), **names;
    size_t count = 0;
    bool ours = file_is_dir(start);
    mem_free(start);
    if (ours || !file_exists(dir)) return true;
    if (!file_is_dir(dir)) return err_user("--output: %s is a file", dir);
    if (!file_list(dir, &names, &count)) return false;
    file_list_free(names, count);
    return count == 0 ||
           err_user("--output: %s is not empty, and no demo has written it: choose another folder",
                    dir);
}

static void print_stories(const struct demo_measures *m)
{
    out_printf("\nFive prompts that no preference was about:\n");
    for (int i = 0; i < DEMO_SHOWN; i++) {
        const char *prompt = m[SFT].prompts[i];
        out_printf("\n  %.*s\n", (int)strcspn(prompt, "\n"), prompt);
        out_printf("    before  %s\n", m[SFT].texts[i]);
        out_printf("    TR-DPO  %s\n", m[TR_DPO].texts[i]);
        out_printf("    DPO     %s\n", m[DPO].texts[i]);
    }
}

static void print_table(const struct demo_measures *m)
{
    struct cli_table t = {.align = "lrrrrr", .indent = 2};
    out_printf("\nJudged: %u stories of each model, sampled at temperature 1. A story counts if it "
               "is\nabout the animal asked for and ends well.\n\n",
               (unsigned)m->stories);
    cli_cell(&t, "%s", "");
    cli_cell(&t, "judged good");
    cli_cell(&t, "ends badly");
    cli_cell(&t, "off topic, garbled");
    cli_cell(&t, "reward accuracy");
    cli_cell(&t, "KL to start");
    for (int i = 0; i < MODELS; i++) {
        double all = m[i].stories;
        cli_cell(&t, "%s", titles[i]);
        cli_cell(&t, "%.1f%%", 100 * demo_judged(&m[i]));
        cli_cell(&t, "%.1f%%", 100 * m[i].verdicts[DEMO_ENDS_BADLY] / all);
        cli_cell(&t, "%.1f%%",
                 100 * (m[i].verdicts[DEMO_OFF_TOPIC] + m[i].verdicts[DEMO_NO_STORY]) / all);
        if (i == SFT) {
            cli_cell(&t, "-");
            cli_cell(&t, "0");
        } else {
            cli_cell(&t, "%.1f%%", 100 * m[i].reward_accuracy);
            cli_cell(&t, "%.2f nats", m[i].kl);
        }
    }
    cli_table_print(&t);
}

static void print_json(const struct demo_measures *m, double seconds)
{
    struct str line = {0};
    str_appendf(&line, "{\"training_seconds\": %.1f, \"models\": {", seconds);
    for (int i = 0; i < MODELS; i++) {
        str_appendf(&line, "%s\"%s\": {\"stories\": %u, \"judged\": ", i ? ", " : "", folders[i],
                    (unsigned)m[i].stories);
        json_append_double(&line, demo_judged(&m[i]));
        str_append(&line, ", \"reward_accuracy\": ");
        json_append_double(&line, m[i].reward_accuracy);
        str_append(&line, ", \"kl\": ");
        json_append_double(&line, m[i].kl);
        str_append_char(&line, '}');
    }
    str_append(&line, "}}\n");
    out_text(str_text(&line));
    str_finish(&line);
}

static void print_next(const char *dir)
{
    out_printf("\nTo go on from here:\n"
               "  trdpo-vk generate --model %s/tr-dpo --prompt $'Tell me about the red fox.\\n'\n"
               "  trdpo-vk eval --model %s/tr-dpo --ref_model %s/sft --dataset %s/held_out.jsonl\n"
               "  trdpo-vk train --config %s/tr-dpo.yaml --output_dir runs/mine --beta 0.3\n",
               dir, dir, dir, dir, dir);
}

static bool run(struct cli *cli)
{
    const char *dir = cli_text(&cli->args, "output");
    uint64_t seed = (uint64_t)cli_int(&cli->args, "seed");
    struct demo_measures m[MODELS] = {0};
    if (!check_folder(dir)) return false;
    struct vk_device *device = cli_device(cli);
    if (!device) return false;
    log_info("device: %s; files in %s/", vk_device_caps(device)->name, dir);
    bool ok = demo_write_files(dir, device, seed);
    double started = sys_seconds();
    for (int i = 0; ok && i < MODELS; i++)
        ok = train(cli, dir, folders[i]);
    double seconds = sys_seconds() - started;
    for (int i = 0; ok && i < MODELS; i++)
        ok = demo_measure(&m[i], device, dir, folders[i], seed);
    if (ok && cli_flag(&cli->args, "json")) {
        print_json(m, seconds);
    } else if (ok) {
        print_stories(m);
        print_table(m);
        out_printf("\nTraining took %.0f s on %s.\n", seconds, vk_device_caps(device)->name);
        print_next(dir);
    }
    for (int i = 0; i < MODELS; i++)
        demo_measures_finish(&m[i]);
    return ok;
}

static const struct cli_option options[] = {
    {.name = "output",
     .type = CLI_TEXT,
     .value = "DIR",
     .fallback = "trdpo-demo",
     .help = "folder for all that the demo makes"},
    {.name = "seed",
     .type = CLI_INT,
     .value = "N",
     .fallback = "42",
     .max = 9007199254740991.0,
     .help = "seed of weights, data and sampling"},
    {.name = "json", .type = CLI_FLAG, .help = "the measures as one JSON object"},
    {0},
};

const struct cli_command cli_command_demo = {
    .name = "demo",
    .summary = "train a small model from nothing to TR-DPO in minutes",
    .synopsis = "[--output DIR]",
    .details = "Makes a corpus of small stories that end well or badly, and preferences for those\n"
               "that end well; trains a model of one million weights on the corpus (SFT), then on\n"
               "the preferences by TR-DPO and by plain DPO; shows what each of them tells.\n",
    .options = options,
    .uses = CLI_DEVICE | CLI_PROFILE,
    .run = run,
};
