#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/key_option.h"
#include "train/trainer.h"

#include <string.h>

// ---- options: the keys of a configuration ----

#define MAX_KEYS 96

// Every key as an option.
static const struct cli_option *make_options(void)
{
    static struct cli_option options[MAX_KEYS];
    size_t count = 0;
    if (options[0].name) return options; // made once: the texts stay
    options[count++] =
        (struct cli_option){"config", CLI_TEXT, "FILE",
                            .help = "YAML or JSON file of the keys below; options win over it"};
    CHECK(train_key_count + 2 <= MAX_KEYS);
    for (size_t i = 0; i < train_key_count; i++)
        options[count++] = cli_option_of_key(&train_keys[i]);
    options[count] = (struct cli_option){0};
    return options;
}

// ---- the command ----

static bool set(struct train_config *config, const char *name, const char *value)
{
    // The message of train_config_set() names the key behind this.
    return train_config_set(config, name, value, "command line");
}

static bool configure(struct train_config *config, const struct cli_args *args)
{
    const char *file = cli_text(args, "config");
    if (file && !train_config_read(config, file)) return false;
    for (size_t i = 0; i < train_key_count; i++) {
        const char *name = train_keys[i].name;
        if (cli_given(args, name) && !set(config, name, cli_text(args, name))) return false;
    }
    for (size_t i = 0; i < args->others.count; i++)
        if (!set(config, args->others.items[i].name, args->others.items[i].text)) return false;
    return train_config_check(config);
}

// The configuration that came of it all, so that nobody has to guess what a run did.
static void show(const struct train_config *config)
{
    struct str text = {0};
    train_config_print(config, log_get_level() < LOG_DEBUG, &text);
    log_info("configuration (%s):", log_get_level() < LOG_DEBUG ? "defaults left out" : "all keys");
    for (char *line = text.data, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        log_info("  %s", line);
    }
    str_finish(&text);
}

static bool run(struct cli *cli)
{
    struct train_config config;
    train_config_init(&config);
    enum train_outcome outcome = TRAIN_FAILED;
    if (configure(&config, &cli->args)) {
        show(&config);
        outcome = train_run_all(&config, cli_open_device, cli);
    }
    // As a shell reports a program that a signal ended: the run is safe, but not finished.
    if (outcome == TRAIN_STOPPED) cli->exit_code = 128 + sys_stop_signal();
    train_config_finish(&config);
    return outcome != TRAIN_FAILED;
}

const struct cli_command cli_command_train = {
    .name = "train",
    .summary = "train a model: SFT, DPO, TR-DPO, KTO, CPO",
    .synopsis = "--config FILE [--KEY VALUE ...]",
    .details = "Keys have the names and defaults of Hugging Face TRL, from a file or as options.\n"
               "Lists are written a,b or as YAML has them; lr_scheduler_kwargs takes a mapping of\n"
               "a schedule's keys. SIGINT and SIGTERM save a checkpoint first; the exit code is\n"
               "then 130 or 143, and --resume_from_checkpoint goes on.",
    .make_options = make_options,
    .takes_other = train_key_is_foreign,
    .uses = CLI_DEVICE | CLI_PROFILE,
    .run = run,
};
