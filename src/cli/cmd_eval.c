#include "api/evaluate.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/key_option.h"
#include "cli/output.h"

#include <string.h>

#define MAX_KEYS 32

static bool run(struct cli *cli)
{
    const struct cli_args *a = &cli->args;
    const char *options[2 * MAX_KEYS + 1] = {0};
    size_t count = 0;
    for (const char *const *k = api_evaluation_keys; *k; k++)
        if (cli_given(a, *k)) options[count++] = *k, options[count++] = cli_text(a, *k);
    struct str json = {0};
    bool ok =
        api_evaluate(&(struct api_evaluation){.model = cli_text(a, "model"),
                                              .ref_model = cli_text(a, "ref_model"),
                                              .dataset = cli_text(a, "dataset"),
                                              .per_row = cli_text(a, "per_row"),
                                              .beta = cli_number(a, "beta"),
                                              .max_length = (uint32_t)cli_int(a, "max_length"),
                                              .batch_size = (uint32_t)cli_int(a, "batch_size"),
                                              .options = options,
                                              .open_device = cli_open_device,
                                              .ctx = cli},
                     &json);
    ok = ok && out_printf("%s\n", str_text(&json));
    str_finish(&json);
    return ok;
}

static const struct cli_option own[] = {
    {"model", CLI_TEXT, "DIR", .required = true, .help = "folder of the model to judge"},
    {"ref_model", CLI_TEXT, "DIR",
     .help = "folder of the reference (without it the model is its own, and rewards are 0)"},
    {"dataset", CLI_TEXT, "FILE", .required = true,
     .help = "JSON lines of preferences, plain or gzip, or a folder of them"},
    {"per_row", CLI_TEXT, "FILE", .help = "write log-probs and rewards of each row to FILE"},
    {"beta", CLI_NUMBER, "X", "0.1", 1e-6, 1e6, .help = "scale of the rewards"},
    {"max_length", CLI_INT, "N", "1024", 2, 1 << 20,
     .help = "tokens of prompt and completion together"},
    {"batch_size", CLI_INT, "N", "8", 1, 65536,
     .help = "rows of a batch, for losses that compare the rows of one"},
};
#define OWN (sizeof own / sizeof *own)

// Those, and the keys of a configuration that say how to judge.
static const struct cli_option *make_options(void)
{
    static struct cli_option options[OWN + MAX_KEYS + 1]; // ends with zeros
    if (options[0].name) return options;                  // made once: the texts stay
    memcpy(options, own, sizeof own);
    size_t count = 0;
    for (const char *const *k = api_evaluation_keys; *k; k++) {
        CHECK(count < MAX_KEYS);
        struct cli_option *option = &options[OWN + count++];
        *option = cli_option_of_key(train_key_find(*k));
        option->heading = count == 1 ? "How to judge, as in a training" : NULL;
    }
    return options;
}

const struct cli_command cli_command_eval = {
    .name = "eval",
    .summary = "judge a model on a dataset, as one JSON object",
    .synopsis = "--model DIR --dataset FILE [options]",
    .details = "Prints one JSON object: eval_loss, eval_rewards/accuracies and so on, under TRL's\n"
               "names. --per_row writes one object a row, in the order of the file: row (line\n"
               "number from 0), token counts, logps/* and rewards/*. With --method kto the rows\n"
               "are judged completions, with --method sft texts; method cpo has no reference.",
    .make_options = make_options,
    .uses = CLI_DEVICE | CLI_PROFILE,
    .run = run,
};
