// The commands as a manual page has them: the same tables as --help, in troff.
#include "cli/command.h"

#include <ctype.h>

// Text with what troff would take for a command or a hyphen escaped.
static void append_text(struct str *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        bool line_start = out->len == 0 || out->data[out->len - 1] == '\n';
        if (line_start && (*c == '.' || *c == '\'')) str_append(out, "\\&");
        if (*c == '-')
            str_append(out, "\\-");
        else if (*c == '\\')
            str_append(out, "\\e");
        else
            str_append_char(out, *c);
    }
}

static void append_option(const struct cli_option *o, struct str *out)
{
    if (o->heading) str_appendf(out, ".PP\n.I %s\n", o->heading);
    str_append(out, ".TP\n\\fB\\-\\-");
    append_text(out, o->name);
    str_append(out, "\\fR");
    if (o->type != CLI_FLAG) {
        str_append(out, o->bare ? " [\\fI" : " \\fI");
        append_text(out, o->value);
        str_append(out, o->bare ? "\\fR]" : "\\fR");
    }
    str_append_char(out, '\n');
    append_text(out, o->help);
    if (o->required) str_append(out, " (required)");
    if (o->fallback && *o->fallback) {
        str_append(out, " (default ");
        append_text(out, o->fallback);
        str_append_char(out, ')');
    }
    str_append_char(out, '\n');
}

void cli_manual(struct str *out)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = cli_commands[i];
        str_appendf(out, ".SS %s\n.B trdpo\\-vk %s\n", c->name, c->name);
        append_text(out, c->synopsis);
        str_append(out, "\n.PP\n");
        str_append_char(out, (char)toupper((unsigned char)c->summary[0]));
        append_text(out, c->summary + 1);
        str_append(out, ".\n");
        if (c->details) {
            append_text(out, c->details);
            str_append_char(out, '\n');
        }
        for (const struct cli_option *o = cli_command_options(c); o->name; o++)
            append_option(o, out);
    }
    str_append(out, ".SS Options of every command\n");
    for (const struct cli_option *o = cli_global_options; o->name; o++)
        append_option(o, out);
}
