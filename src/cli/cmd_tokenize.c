#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/output.h"
#include "hf/tokenizer.h"

struct tokenize {
    struct hf_tokenizer *tokenizer;
    bool special, decode;
    const char *name; // of the input, for messages
};

static bool encode_line(const struct tokenize *t, const cJSON *object, struct str *out)
{
    struct str text = {0};
    struct hf_ids ids = {0};
    if (!json_get(object, "text")) return err_user("expected an object with \"text\"");
    if (!json_get_text(object, "text", &text)) return false;
    bool ok = hf_tokenizer_encode(t->tokenizer, text.data, text.len, t->special, &ids);
    str_finish(&text);
    str_append(out, "{\"ids\": [");
    for (size_t i = 0; i < ids.count; i++)
        str_appendf(out, "%s%d", i ? ", " : "", (int)ids.items[i]);
    str_append(out, "]}\n");
    ARRAY_FREE(&ids);
    return ok;
}

static bool decode_line(const struct tokenize *t, const cJSON *object, struct str *out)
{
    const cJSON *list = json_get(object, "ids"), *entry;
    if (!cJSON_IsArray(list)) return err_user("expected an object with \"ids\", a list of numbers");
    struct hf_ids ids = {0};
    struct str text = {0};
    bool ok = true;
    cJSON_ArrayForEach(entry, list)
    {
        double v = cJSON_IsNumber(entry) ? entry->valuedouble : -1;
        if (!(v >= 0 && v <= INT32_MAX) || v != (int32_t)v) {
            ok = err_user("\"ids\" holds something that is no token id");
            break;
        }
        ARRAY_PUSH(&ids, (int32_t)v);
    }
    ok = ok && hf_tokenizer_decode(t->tokenizer, ids.items, ids.count, !t->special, &text);
    str_append(out, "{\"text\": ");
    json_append_string(out, str_text(&text), text.len);
    str_append(out, "}\n");
    ARRAY_FREE(&ids);
    str_finish(&text);
    return ok;
}

static bool one_line(const struct tokenize *t, const char *line, size_t len, size_t number)
{
    struct str out = {0};
    char *where = str_format("%s: line %zu", t->name, number);
    cJSON *object = json_parse_nul(line, len, where);
    bool ok = object != NULL;
    if (ok)
        ok = (t->decode ? decode_line(t, object, &out) : encode_line(t, object, &out)) ||
             err_context("%s", where);
    ok = ok && out_bytes(out.data, out.len);
    cJSON_Delete(object);
    mem_free(where);
    str_finish(&out);
    return ok;
}

static bool all_lines(const struct tokenize *t, const char *path)
{
    struct file_lines lines;
    const char *line;
    size_t len;
    if (!file_lines_open(&lines, path)) return false;
    bool ok;
    while ((ok = file_lines_next(&lines, &line, &len)) && line)
        if (len && !(ok = one_line(t, line, len, lines.number))) break;
    file_lines_close(&lines);
    return ok;
}

static bool run(struct cli *cli)
{
    const char *file = cli_text(&cli->args, "dataset");
    struct tokenize t = {.tokenizer = hf_tokenizer_load(cli_text(&cli->args, "model")),
                         .special = cli_flag(&cli->args, "special"),
                         .decode = cli_flag(&cli->args, "decode"),
                         .name = file ? file : "standard input"};
    bool ok = t.tokenizer && all_lines(&t, file ? file : "/dev/stdin");
    hf_tokenizer_destroy(t.tokenizer);
    return ok;
}

static const struct cli_option options[] = {
    {"model", CLI_TEXT, "DIR", .required = true, .help = "folder with tokenizer.json"},
    {"dataset", CLI_TEXT, "FILE", .help = "JSON lines, plain or gzip (without it: standard input)"},
    {"special", CLI_FLAG,
     .help = "add special tokens as the tokenizer's template has them; with --decode keep them"},
    {"decode", CLI_FLAG, .help = "from ids to text"},
    {0},
};

const struct cli_command cli_command_tokenize = {
    .name = "tokenize",
    .summary = "turn text into token ids and back, as JSON lines",
    .synopsis = "--model DIR [options]",
    .details =
        "Reads objects with \"text\" and prints objects with \"ids\", one a line; with --decode\n"
        "the other way round.",
    .options = options,
    .run = run,
};
