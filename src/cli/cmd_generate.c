#include "api/generate.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/output.h"

#include <string.h>

// What came of a prompt.
struct item {
    struct str text;
    struct hf_ids ids;
    bool ended, eos;
};

struct generate {
    struct api_model model;
    struct hf_prompts prompts;
    struct item *items; // one for each prompt
    bool stream;        // one prompt: text goes out as it comes
    bool json;
    size_t printed, tokens;
};

// ---- prompts ----

static bool read_prompts(struct generate *g, const struct cli_args *args)
{
    const char *text = cli_text(args, "prompt"), *file = cli_text(args, "prompts");
    bool chat = cli_flag(args, "chat");
    if (!text == !file) return err_user("generate needs either --prompt TEXT or --prompts FILE");
    g->json = cli_flag(args, "json");
    g->stream = text && !g->json;
    if (!api_model_read(&g->model, cli_text(args, "model"))) return false;
    struct hf_prompter *p = &g->model.prompter;
    if (text ? !hf_prompts_add_text(&g->prompts, p, text, strlen(text), chat) &&
                   !err_context("--prompt")
             : !hf_prompts_read(&g->prompts, p, file, chat))
        return false;
    g->items = MEM_ARRAY(struct item, g->prompts.ids.count);
    return true;
}

// ---- results ----

static bool print_json(const char *shown, const struct item *item)
{
    struct str line = {0};
    str_appendf(&line, "{\"prompt\": %s, \"text\": ", shown);
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
    const struct item *item = &g->items[index];
    const char *shown = g->prompts.shown.items[index];
    if (g->json) return print_json(shown, item);
    if (g->stream) return out_text("\n");
    out_printf("%s[%zu] %s\n", index ? "\n" : "", index + 1, shown);
    out_bytes(str_text(&item->text), item->text.len);
    return out_text("\n");
}

static bool on_text(void *ctx, size_t prompt, const char *text, size_t len)
{
    struct generate *g = ctx;
    if (g->stream) return out_bytes(text, len) && out_flush();
    str_append_bytes(&g->items[prompt].text, text, len);
    return true;
}

static bool on_token(void *ctx, size_t prompt, int32_t id)
{
    struct generate *g = ctx;
    ARRAY_PUSH(&g->items[prompt].ids, id);
    g->tokens++;
    if (!g->stream)
        log_progress("%zu of %zu prompts, %zu tokens", g->printed, g->prompts.ids.count, g->tokens);
    return true;
}

// Prints what has ended, in the order of the prompts.
static bool on_end(void *ctx, size_t prompt, bool eos)
{
    struct generate *g = ctx;
    g->items[prompt].ended = true;
    g->items[prompt].eos = eos;
    bool ok = true;
    while (ok && g->printed < g->prompts.ids.count && g->items[g->printed].ended)
        ok = print_item(g, g->printed++);
    return ok && out_flush();
}

// ---- the command ----

static void finish(struct generate *g)
{
    for (size_t i = 0; g->items && i < g->prompts.ids.count; i++) {
        str_finish(&g->items[i].text);
        ARRAY_FREE(&g->items[i].ids);
    }
    mem_free(g->items);
    hf_prompts_finish(&g->prompts);
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
                              .prompts = g.prompts.ids.items,
                              .count = g.prompts.ids.count,
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
