#include "cli/command.h"

#include "api/version.h"
#include "base/error.h"
#include "base/mem.h"

#include <string.h>

#define COMMAND(name) extern const struct cli_command cli_command_##name;
#include "cli/commands.def"
#undef COMMAND

const struct cli_command *const cli_commands[] = {
#define COMMAND(name) &cli_command_##name,
#include "cli/commands.def"
#undef COMMAND
};
const size_t cli_command_count = sizeof cli_commands / sizeof *cli_commands;

const struct cli_option cli_global_options[] = {
    {"device", CLI_TEXT, "N|NAME",
     .help = "device to run on: its number or a part of its name, as 'trdpo-vk devices' lists them "
             "(or TRDPO_DEVICE; otherwise the best one)"},
    {"profile", CLI_FLAG, .help = "print device time by kernel when the command has ended"},
    {"verbose", CLI_FLAG, .help = "more messages"},
    {"quiet", CLI_FLAG, .help = "only errors"},
    {"help", CLI_FLAG, .help = "this text; 'trdpo-vk help COMMAND' tells about a command"},
    {"version", CLI_FLAG, .help = "print the version"},
    {0},
};

static const struct cli_option no_options[] = {{0}};

const struct cli_option *cli_command_options(const struct cli_command *c)
{
    if (c->make_options) return c->make_options();
    return c->options ? c->options : no_options;
}

// ---- finding ----

// Words of a command's name that stand at the start of `words`; 0 if it is another.
static int match(const struct cli_command *c, int count, char *const *words)
{
    const char *at = c->name;
    for (int i = 0; i < count; i++) {
        size_t len = strlen(words[i]);
        if (strncmp(at, words[i], len) != 0) return 0;
        if (!at[len]) return i + 1;
        if (at[len] != ' ') return 0;
        at += len + 1;
    }
    return 0;
}

// "data": the first word of commands that have two.
static bool is_group(const char *word, struct str *members)
{
    size_t len = strlen(word);
    for (size_t i = 0; i < cli_command_count; i++)
        if (strncmp(cli_commands[i]->name, word, len) == 0 && cli_commands[i]->name[len] == ' ')
            str_appendf(members, "%s'trdpo-vk %s'", members->len ? ", " : "",
                        cli_commands[i]->name);
    return members->len > 0;
}

const struct cli_command *cli_find_command(int count, char *const *words, int *used)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if ((*used = match(cli_commands[i], count, words)) > 0) return cli_commands[i];
    struct str members = {0};
    if (is_group(words[0], &members)) {
        err_user("'%s' has these commands: %s", words[0], str_text(&members));
        str_finish(&members);
        return NULL;
    }
    const char **names = MEM_ARRAY(const char *, cli_command_count);
    for (size_t i = 0; i < cli_command_count; i++)
        names[i] = cli_commands[i]->name;
    const char *nearest = str_nearest(words[0], names, cli_command_count);
    mem_free(names);
    if (nearest)
        err_user("there is no command '%s': did you mean '%s'?", words[0], nearest);
    else
        err_user("there is no command '%s' ('trdpo-vk help' lists them)", words[0]);
    return NULL;
}

// ---- texts ----

void cli_help(struct str *out)
{
    str_append(out, "trdpo-vk " TRDPO_VERSION
                    ": aligns language models with TR-DPO on any Vulkan GPU.\n\n"
                    "Usage: trdpo-vk COMMAND [options]\n\nCommands:\n");
    for (size_t i = 0; i < cli_command_count; i++)
        str_appendf(out, "  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    str_append(out, "\nOptions:\n");
    cli_options_help(cli_global_options, out);
    str_append(out, "\n'trdpo-vk help COMMAND' tells about a command and its options.\n"
                    "Results go to standard output, messages to standard error. Exit codes:\n"
                    "0 success, 1 device or I/O failure, 2 wrong usage, configuration or data.\n");
}

void cli_help_command(const struct cli_command *c, struct str *out)
{
    const struct cli_option *options = cli_command_options(c);
    str_appendf(out, "trdpo-vk %s: %s.\n\nUsage: trdpo-vk %s%s%s\n", c->name, c->summary, c->name,
                *c->synopsis ? " " : "", c->synopsis);
    if (c->details) str_appendf(out, "\n%s\n", c->details);
    if (options->name) {
        str_append(out, "\nOptions:\n");
        cli_options_help(options, out);
    }
    struct cli_option global[sizeof cli_global_options / sizeof *cli_global_options];
    size_t count = 0;
    for (const struct cli_option *o = cli_global_options; o->name; o++) {
        bool device = strcmp(o->name, "device") == 0, profile = strcmp(o->name, "profile") == 0;
        if ((device && !(c->uses & CLI_DEVICE)) || (profile && !(c->uses & CLI_PROFILE))) continue;
        global[count++] = *o;
    }
    global[count] = (struct cli_option){0};
    str_append(out, "\nOptions of every command:\n");
    cli_options_help(global, out);
}
