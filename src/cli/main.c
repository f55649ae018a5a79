// The program: finds the command, parses its options, runs it, reports a failure once.
#include "api/version.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/output.h"
#include "vk/profile.h"

#include <stdio.h>
#include <string.h>

// ---- the words ----

// Global options may stand before the command: moves them behind it. Returns the number of words
// left, without the command's name, or -1.
static int arrange(int argc, char **argv, char **words, const struct cli_command **command)
{
    int at = 1, count = 0;
    for (; at < argc && argv[at][0] == '-'; at++) {
        const struct cli_option *o = cli_find(cli_global_options, argv[at]);
        if (!o) {
            err_user("'%s' is no option of trdpo-vk itself; options of a command stand behind its "
                     "name ('trdpo-vk help' says more)",
                     argv[at]);
            return -1;
        }
        words[count++] = argv[at];
        if (o->type != CLI_FLAG && !strchr(argv[at], '=') && at + 1 < argc)
            words[count++] = argv[++at];
    }
    if (at == argc) {
        err_user("which command? 'trdpo-vk help' lists them");
        return -1;
    }
    int used;
    *command = cli_find_command(argc - at, argv + at, &used);
    if (!*command) return -1;
    for (at += used; at < argc; at++)
        words[count++] = argv[at];
    return count;
}

static bool has_word(int argc, char **argv, const char *word)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], word) == 0) return true;
    return false;
}

// --help and --version win over everything else on the line.
static bool print_help(int argc, char **argv)
{
    struct str text = {0};
    int at = 1, used;
    while (at < argc && argv[at][0] == '-')
        at++;
    const struct cli_command *command = NULL;
    if (at < argc) command = cli_find_command(argc - at, argv + at, &used);
    if (at < argc && !command) return false;
    if (command)
        cli_help_command(command, &text);
    else
        cli_help(&text);
    bool ok = out_text(str_text(&text));
    str_finish(&text);
    return ok;
}

// ---- running ----

static bool check_global(const struct cli *cli)
{
    const struct cli_args *a = &cli->args;
    const char *name = cli->command->name;
    if (cli_flag(a, "verbose") && cli_flag(a, "quiet"))
        return err_user("--verbose and --quiet contradict each other");
    if (cli_given(a, "device") && !(cli->command->uses & CLI_DEVICE))
        return err_user("%s uses no device: --device has no meaning for it", name);
    if (cli_flag(a, "profile") && !(cli->command->uses & CLI_PROFILE))
        return err_user("%s has no --profile", name);
    if (cli_flag(a, "verbose")) log_set_level(LOG_DEBUG);
    if (cli_flag(a, "quiet")) log_set_level(LOG_QUIET);
    return true;
}

static bool run_command(struct cli *cli, int count, char **words)
{
    const struct cli_option *const tables[] = {cli_command_options(cli->command),
                                               cli_global_options};
    const struct cli_syntax syntax = {.command = cli->command->name,
                                      .tables = tables,
                                      .table_count = 2,
                                      .positional = cli->command->positional,
                                      .takes_other = cli->command->takes_other};
    bool ok =
        cli_parse(&cli->args, &syntax, count, words) && check_global(cli) && cli->command->run(cli);
    if (ok && cli->device && cli_flag(&cli->args, "profile"))
        ok = out_flush() && vk_profile_print(cli->device, stderr);
    vk_device_destroy(cli->device);
    cli_args_finish(&cli->args);
    return ok;
}

static bool run(int argc, char **argv, int *exit_code)
{
    if (has_word(argc, argv, "--help")) return print_help(argc, argv);
    if (has_word(argc, argv, "--version")) return out_text("trdpo-vk " TRDPO_VERSION "\n");
    struct cli cli = {0};
    char **words = MEM_ARRAY(char *, (size_t)argc + 1);
    int count = arrange(argc, argv, words, &cli.command);
    bool ok = count >= 0 && run_command(&cli, count, words);
    *exit_code = cli.exit_code;
    mem_free(words);
    return ok;
}

int main(int argc, char **argv)
{
    int exit_code = 0;
    sys_ignore_broken_pipes();
    bool ok = run(argc, argv, &exit_code);
    if (!out_flush()) ok = false;
    if (ok) return exit_code;
    log_progress("%s", ""); // ends the line that a terminal may show
    fprintf(stderr, "trdpo-vk: error: %s\n", err_message());
    return err_current() == ERR_USER ? ERR_USER : ERR_DEVICE;
}
