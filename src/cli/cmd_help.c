#include "base/error.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/output.h"

#include <string.h>

// The command by its name, whose two words a shell hands on as one.
static const struct cli_command *find(const char *name)
{
    char *first = mem_strdup(name), *words[2] = {first, NULL};
    char *blank = strchr(first, ' ');
    if (blank) *blank = 0, words[1] = blank + 1;
    int used;
    const struct cli_command *c = cli_find_command(blank ? 2 : 1, words, &used);
    mem_free(first);
    return c;
}

static bool run(struct cli *cli)
{
    struct str text = {0};
    const char *name = cli->args.positional;
    const struct cli_command *c = name ? find(name) : NULL;
    if (name && !c) return false;
    if (cli_flag(&cli->args, "man"))
        cli_manual(&text);
    else if (c)
        cli_help_command(c, &text);
    else
        cli_help(&text);
    bool ok = out_text(str_text(&text));
    str_finish(&text);
    return ok;
}

static const struct cli_option options[] = {
    {"man", CLI_FLAG, .help = "all commands in troff, for the manual page"},
    {0},
};

const struct cli_command cli_command_help = {
    .name = "help",
    .summary = "tell about a command",
    .synopsis = "[COMMAND]",
    .positional = "[COMMAND]",
    .options = options,
    .run = run,
};
