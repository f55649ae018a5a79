#include "api/generate.h"
#include "api/text.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/output.h"

#include <string.h>

// A prompt and what came of it.
struct item {
    char *shown; // the prompt as JSON: a string, or its messages
    struct str text;
    struct hf_ids ids;
    bool ended, eos;
};

struct generate {
    struct api_model model;
    struct ARRAY_OF(struct item) items;
    struct ARRAY_OF(struct hf_ids) prompts; // token ids, as many as items
    bool stream;                            // one prompt: text goes out as it comes
    bool json;
    size_t printed, tokens;
};

// ---- prompts ----

static void add_item(struct generate *g, char *shown)
{
    ARRAY_PUSH(&g->items, (struct item){.shown = shown});
    ARRAY_PUSH(&g->prompts, (struct hf_ids){0});
}

static bool add_text(struct generate *g, const char *text, bool chat)
{
    struct str shown = {0};
    json_append_string(&shown, text, strlen(text));
    add_item(g, str_take(&shown));
    return api_encode_prompt(&g->model, text, strlen(text), chat,
                             &g->prompts.items[g->prompts.count - 1]);
}

static bool add_line(struct generate *g, const char *line, size_t len, const char *where, bool chat)
{
    cJSON *object = json_parse(line, len, where);
    if (!object) return false;
    const cJSON *prompt = json_get(object, "prompt");
    bool ok;
    if (cJSON_IsString(prompt)) {
        ok = add_text(g, prompt->valuestring, chat) || err_context("%s", where);
    } else if (cJSON_IsArray(prompt)) {
        add_item(g, json_print(prompt, false));
        ok = api_encode_messages(&g->model, prompt, &g->prompts.items[g->prompts.count - 1]) ||
             err_context("%s", where);
    } else {
        ok = err_user("%s: expected an object with \"prompt\": a text, or a list of messages",
                      where);
    }
    cJSON_Delete(object);
    return ok;
}

static bool add_file(struct generate *g, const char *path, bool chat)
{
    struct file_lines lines;
    const char *line;
    size_t len;
    if (!file_lines_open(&lines, path)) return false;
    bool ok;
    while ((ok = file_lines_next(&lines, &line, &len)) && line) {
        if (!len) continue;
        char *where = str_format("%s: line %zu", path, lines.number);
        ok = add_line(g, line, len, where, chat);
        mem_free(where);
        if (!ok) break;
    }
    file_lines_close(&lines);
    if (ok && !g->items.count) return err_user("%s: no prompts in it", path);
    return ok;
}

static bool read_prompts(struct generate *g, const struct cli_args *args)
{
    const char *text = cli_text(args, "prompt"), *file = cli_text(args, "prompts");
    bool chat = cli_flag(args, "chat");
    if (!text == !file) return err_user("generate needs either --prompt TEXT or --prompts FILE");
    g->json = cli_flag(args, "json");
    g->stream = text && !g->json;
    if (!api_model_read(&g->model, cli_text(args, "model"))) return false;
    return text ? add_text(g, text, chat) || err_context("--prompt") : add_file(g, file, chat);
}

// ---- results ----

static bool print_json(const struct item *item)
{
    struct str line = {0};
    str_appendf(&line, "{\"prompt\": %s, \"text\": ", item->shown);
    json_append_string(&line, str_text(&item->text), item->text.len);
    str_append(&line, ", \"ids\": [");
    for (size_t i = 0; i < item->ids.count; i++)
        str_appendf(&line, "%s%d", i ? ", " : "", (int)item->ids.items[i]);
    str_appendf(&line, "], \"finish_reason\": \"%s\"}\n", item->eos ? "stop" : "length");
    bool ok = out_bytes(line.data, line.len);
    str_finish(&line);
    return ok;
}

static bool print_item(const struct generate *g, size_t index)
{
    const struct item *item = &g->items.items[index];
    if (g->json) return print_json(item);
    if (g->stream) return out_text("\n");
    out_printf("%s[%zu] %s\n", index ? "\n" : "", index + 1, item->shown);
    out_bytes(str_text(&item->text), item->text.len);
    return out_text("\n");
}

static bool on_text(void *ctx, size_t prompt, const char *text, size_t len)
{
    struct generate *g = ctx;
    if (g->stream) return out_bytes(text, len) && out_flush();
    str_append_bytes(&g->items.items[prompt].text, text, len);
    return true;
}

static bool on_token(void *ctx, size_t prompt, int32_t id)
{
    struct generate *g = ctx;
    ARRAY_PUSH(&g->items.items[prompt].ids, id);
    g->tokens++;
    if (!g->stream)
        log_progress("%zu of %zu prompts, %zu tokens", g->printed, g->items.count, g->tokens);
    return true;
}

// Prints what has ended, in the order of the prompts.
static bool on_end(void *ctx, size_t prompt, bool eos)
{
    struct generate *g = ctx;
    g->items.items[prompt].ended = true;
    g->items.items[prompt].eos = eos;
    bool ok = true;
    while (ok && g->printed < g->items.count && g->items.items[g->printed].ended)
        ok = print_item(g, g->printed++);
    return ok && out_flush();
}

// ---- the command ----

static void finish(struct generate *g)
{
    for (size_t i = 0; i < g->items.count; i++) {
        mem_free(g->items.items[i].shown);
        str_finish(&g->items.items[i].text);
        ARRAY_FREE(&g->items.items[i].ids);
        ARRAY_FREE(&g->prompts.items[i]);
    }
    ARRAY_FREE(&g->items);
    ARRAY_FREE(&g->prompts);
    api_model_finish(&g->model);
}

static bool run(struct cli *cli)
{
    const struct cli_args *a = &cli->args;
    struct generate g = {0};
    bool ok = false;
    if (read_prompts(&g, a) && cli_device(cli) && api_model_plan(&g.model, cli->device))
        ok = api_generate(&g.model,
                          &(struct api_generation){
                              .prompts = g.prompts.items,
                              .count = g.prompts.count,
                              .sampling = {.temperature = (float)cli_number(a, "temperature"),
                                           .top_k = (uint32_t)cli_int(a, "top_k"),
                                           .top_p = (float)cli_number(a, "top_p"),
                                           .seed = (uint64_t)cli_int(a, "seed")},
                              .max_new_tokens = (uint32_t)cli_int(a, "max_new_tokens"),
                              .on_text = on_text,
                              .on_token = on_token,
                              .on_end = on_end,
                              .ctx = &g,
                          });
    log_progress("%s", "");
    finish(&g);
    return ok;
}

static const struct cli_option options[] = {
    {"model", CLI_TEXT, "DIR", .required = true, .help = "folder of the model"},
    {"prompt", CLI_TEXT, "TEXT",
     .help = "text to go on from; its continuation is printed as it comes"},
    {"prompts", CLI_TEXT, "FILE",
     .help = "JSON lines with \"prompt\": a text, or a list of messages for the chat template"},
    {"json", CLI_FLAG, .help = "one JSON object a line: prompt, text, ids, finish_reason"},
    {"chat", CLI_FLAG, .help = "render each text as a user's message by the model's chat template"},
    {"max_new_tokens", CLI_INT, "N", "128", 1, 1 << 20, .help = "tokens to add at most"},
    {"temperature", CLI_NUMBER, "X", "0", 0, 100, .help = "0: always the likeliest token"},
    {"top_p", CLI_NUMBER, "X", "1", 0, 1,
     .help = "draw from the likeliest tokens up to this probability"},
    {"top_k", CLI_INT, "N", "0", 0, 1 << 30, .help = "draw from the N likeliest tokens; 0: all"},
    {"seed", CLI_INT, "N", "42", 0, 9007199254740991.0, .help = "seed of the draws"},
    {0},
};

const struct cli_command cli_command_generate = {
    .name = "generate",
    .summary = "continue prompts with a model",
    .synopsis = "--model DIR --prompt TEXT | --prompts FILE [options]",
    .options = options,
    .uses = CLI_DEVICE | CLI_PROFILE,
    .run = run,
};
