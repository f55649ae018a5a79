#include "base/mem.h"
#include "cli/command.h"
#include "cli/output.h"

#include <string.h>

// "data check" in one word, as a shell quotes it, or its words as they come.
static bool run(struct cli *cli)
{
    struct str text = {0};
    bool ok = true;
    const char *name = cli->args.positional;
    if (!name) {
        cli_help(&text);
    } else {
        char *first = mem_strdup(name), *words[2] = {first, NULL};
        char *blank = strchr(first, ' ');
        if (blank) *blank = 0, words[1] = blank + 1;
        int used;
        const struct cli_command *c = cli_find_command(blank ? 2 : 1, words, &used);
        if (c) cli_help_command(c, &text);
        ok = c != NULL;
        mem_free(first);
    }
    ok = ok && out_text(str_text(&text));
    str_finish(&text);
    return ok;
}

const struct cli_command cli_command_help = {
    .name = "help",
    .summary = "tell about a command",
    .synopsis = "[COMMAND]",
    .positional = "[COMMAND]",
    .run = run,
};
