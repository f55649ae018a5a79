// What a command is: one file cmd_NAME.c that defines one of these, and one line in commands.def.
#ifndef TRDPO_CLI_COMMAND_H
#define TRDPO_CLI_COMMAND_H

#include "cli/options.h"
#include "vk/device.h"

// A running command.
struct cli {
    const struct cli_command *command;
    struct cli_args args;
    struct vk_device *device; // NULL until cli_device() opens it; main() closes it
    int exit_code;            // for a command that succeeds and still wants another code than 0
};

// What global options a command has a use for.
enum cli_uses {
    CLI_DEVICE = 1,  // --device
    CLI_PROFILE = 2, // --profile: the table is printed when the command has ended
};

struct cli_command {
    const char *name;                               // "train"; "data check"
    const char *summary;                            // for the list of commands
    const char *synopsis;                           // "--model DIR --prompt TEXT"
    const char *details;                            // more for --help, lines of at most 80
    const char *positional;                         // as in cli_syntax
    const struct cli_option *options;               // NULL: none
    const struct cli_option *(*make_options)(void); // instead, for tables made at run time
    bool (*takes_other)(const char *name);          // as in cli_syntax
    unsigned uses;                                  // enum cli_uses bits
    // Does the work: results on standard output (output.h), messages through base/log.h. False:
    // main() prints the reason and ends with its kind as exit code.
    bool (*run)(struct cli *cli);
};

// All commands in the order of the list.
extern const struct cli_command *const cli_commands[];
extern const size_t cli_command_count;

// The device that --device (or TRDPO_DEVICE, or nothing) asks for, opened on first use and owned by
// `cli`. NULL on failure.
struct vk_device *cli_device(struct cli *cli);

// cli_device() for interfaces that want a callback; ctx is a struct cli.
struct vk_device *cli_open_device(void *ctx);

// ---- help.c ----

// Options of every command: --help, --version, --device, ...
extern const struct cli_option cli_global_options[];
const struct cli_option *cli_command_options(const struct cli_command *c); // its own table

// The help of all, and of one command, appended to `out`.
void cli_help(struct str *out);
void cli_help_command(const struct cli_command *c, struct str *out);

// The commands and their options as sections of a manual page (troff), appended to `out`. man.c
void cli_manual(struct str *out);

// The command of the first words ("data", "check"); *used tells how many words it took. NULL with
// err_user where there is none, with the nearest name.
const struct cli_command *cli_find_command(int count, char *const *words, int *used);

#endif
