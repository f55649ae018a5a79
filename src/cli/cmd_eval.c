#include "api/evaluate.h"
#include "cli/command.h"
#include "cli/output.h"

static bool run(struct cli *cli)
{
    const struct cli_args *a = &cli->args;
    struct str json = {0};
    bool ok =
        api_evaluate(&(struct api_evaluation){.model = cli_text(a, "model"),
                                              .ref_model = cli_text(a, "ref_model"),
                                              .dataset = cli_text(a, "dataset"),
                                              .per_row = cli_text(a, "per_row"),
                                              .beta = cli_number(a, "beta"),
                                              .max_length = (uint32_t)cli_int(a, "max_length"),
                                              .open_device = cli_open_device,
                                              .ctx = cli},
                     &json);
    ok = ok && out_printf("%s\n", str_text(&json));
    str_finish(&json);
    return ok;
}

static const struct cli_option options[] = {
    {"model", CLI_TEXT, "DIR", .required = true, .help = "folder of the model to judge"},
    {"ref_model", CLI_TEXT, "DIR",
     .help = "folder of the reference (without it the model is its own, and rewards are 0)"},
    {"dataset", CLI_TEXT, "FILE", .required = true,
     .help = "JSON lines of preferences, plain or gzip, or a folder of them"},
    {"per_row", CLI_TEXT, "FILE", .help = "write log-probs and rewards of each row to FILE"},
    {"beta", CLI_NUMBER, "X", "0.1", 1e-6, 1e6, .help = "scale of the rewards"},
    {"max_length", CLI_INT, "N", "1024", 2, 1 << 20,
     .help = "tokens of prompt and completion together"},
    {0},
};

const struct cli_command cli_command_eval = {
    .name = "eval",
    .summary = "judge a model on preferences, as one JSON object",
    .synopsis = "--model DIR --dataset FILE [options]",
    .details = "Prints one JSON object: eval_loss, eval_rewards/accuracies and so on, under TRL's\n"
               "names. --per_row writes one object a row, in the order of the file: row (line\n"
               "number from 0), token counts, logps/* and rewards/*.",
    .options = options,
    .uses = CLI_DEVICE | CLI_PROFILE,
    .run = run,
};
