// Kernels and whole steps, timed on the device at hand.
#include "base/error.h"
#include "base/json.h"
#include "cli/bench/bench.h"
#include "cli/command.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    bool (*run)(const struct bench *b);
} benches[] = {{"matmul", bench_matmul},
               {"attention", bench_attention},
               {"ref_update", bench_ref_update},
               {"adamw", bench_adamw},
               {"step", bench_step}};
#define BENCHES (sizeof benches / sizeof *benches)

struct reporter {
    struct vk_device *device;
    bool json, begun;
};

static void print_json(const struct bench_result *r, const char *device)
{
    struct str line = {0};
    str_appendf(&line, "{\"name\": \"%s\", \"shape\": [", r->name);
    for (int i = 0; i < BENCH_DIMS && r->shape[i]; i++)
        str_appendf(&line, "%s%u", i ? ", " : "", (unsigned)r->shape[i]);
    str_appendf(&line, "], \"dtype\": \"%s\"", r->dtype);
    if (r->tier) str_appendf(&line, ", \"tier\": \"%s\"", r->tier);
    str_appendf(&line, ", \"seconds\": %.6g", r->seconds);
    if (r->gflops > 0) str_appendf(&line, ", \"gflops\": %.4g", r->gflops);
    if (r->gbps > 0) str_appendf(&line, ", \"gbps\": %.4g", r->gbps);
    if (r->of_copy > 0) str_appendf(&line, ", \"of_copy\": %.3f", r->of_copy);
    if (r->tokens_per_second > 0)
        str_appendf(&line, ", \"tokens_per_second\": %.1f", r->tokens_per_second);
    if (r->bytes) str_appendf(&line, ", \"bytes\": %llu", (unsigned long long)r->bytes);
    if (r->peak) str_appendf(&line, ", \"peak_bytes\": %llu", (unsigned long long)r->peak);
    str_append(&line, ", \"device\": ");
    json_append_string(&line, device, strlen(device));
    str_append(&line, "}\n");
    out_text(str_text(&line));
    str_finish(&line);
}

static void print_line(const struct bench_result *r)
{
    char shape[64] = "";
    for (int i = 0, n = 0; i < BENCH_DIMS && r->shape[i]; i++)
        n += snprintf(shape + n, sizeof shape - (size_t)n, "%s%u", i ? " x " : "",
                      (unsigned)r->shape[i]);
    out_printf("%-18s %-22s %-10s %-7s %10.3f ms", r->name, shape, r->dtype,
               r->tier ? r->tier : "-", r->seconds * 1e3);
    if (r->gflops > 0) out_printf("  %8.1f GFLOP/s", r->gflops);
    if (r->gbps > 0) out_printf("  %8.1f GB/s", r->gbps);
    if (r->of_copy > 0) out_printf("  %.0f%% of copy", 100 * r->of_copy);
    if (r->tokens_per_second > 0) out_printf("  %.0f tokens/s", r->tokens_per_second);
    char bytes[32];
    if (r->bytes) out_printf("  planned %s", str_bytes(bytes, r->bytes));
    if (r->peak) out_printf(", in use %s", str_bytes(bytes, r->peak));
    out_text("\n");
}

static void report(void *ctx, const struct bench_result *r)
{
    struct reporter *to = ctx;
    const struct vk_caps *caps = vk_device_caps(to->device);
    if (!to->json && !to->begun)
        out_printf("%s, %s %s\n", caps->name, caps->driver, caps->driver_info);
    to->begun = true;
    if (to->json)
        print_json(r, caps->name);
    else
        print_line(r);
    out_flush();
}

// "1024,1024,1024"
static bool parse_shape(const char *text, uint32_t shape[3])
{
    unsigned m, n, k;
    char rest;
    if (sscanf(text, "%u,%u,%u%c", &m, &n, &k, &rest) != 3 || !m || !n || !k || m > 65536 ||
        n > 65536 || k > 65536 || strchr(text, '-'))
        return err_user("--shape: expected m,n,k, each from 1 to 65536, not '%s'", text);
    const uint64_t most = 1u << 28;
    if ((uint64_t)m * n > most || (uint64_t)m * k > most || (uint64_t)n * k > most)
        return err_user("--shape: %s: a matrix may have at most 2^28 elements (1 GiB)", text);
    shape[0] = m;
    shape[1] = n;
    shape[2] = k;
    return true;
}

static bool check_name(const char *name)
{
    const char *names[BENCHES];
    for (size_t i = 0; i < BENCHES; i++) {
        names[i] = benches[i].name;
        if (strcmp(name, names[i]) == 0) return true;
    }
    const char *near = str_nearest(name, names, BENCHES);
    return err_user(
        "no benchmark is called '%s'%s%s; there are matmul, attention, ref_update, adamw, step",
        name, near ? ": did you mean " : "", near ? near : "");
}

static bool run(struct cli *cli)
{
    const char *name = cli->args.positional, *text = cli_text(&cli->args, "shape");
    uint32_t shape[3];
    if (name && !check_name(name)) return false;
    if (text && !parse_shape(text, shape)) return false;
    if (text && (!name || strcmp(name, "matmul") != 0))
        return err_user("--shape is for 'bench matmul'");
    struct reporter to = {.device = cli_device(cli), .json = cli_flag(&cli->args, "json")};
    if (!to.device) return false;
    struct bench b = {.device = to.device,
                      .runs = (int)cli_int(&cli->args, "runs"),
                      .shape = text ? shape : NULL,
                      .model = cli_text(&cli->args, "model"),
                      .dtype = cli_text(&cli->args, "dtype"),
                      .gradient_dtype = cli_text(&cli->args, "gradient_dtype"),
                      .optim = cli_text(&cli->args, "optim"),
                      .pairs = (uint32_t)cli_int(&cli->args, "pairs"),
                      .recompute = cli_flag(&cli->args, "gradient_checkpointing"),
                      .report = report,
                      .ctx = &to};
    for (size_t i = 0; i < BENCHES; i++)
        if (!name || strcmp(name, benches[i].name) == 0)
            if (!benches[i].run(&b)) return false;
    return true;
}

static const struct cli_option options[] = {
    {.name = "json", .type = CLI_FLAG, .help = "one JSON object a line"},
    {.name = "runs",
     .type = CLI_INT,
     .value = "N",
     .fallback = "5",
     .min = 1,
     .max = 1000,
     .help = "the best of N runs counts"},
    {.name = "shape", .type = CLI_TEXT, .value = "m,n,k", .help = "of the product, for matmul"},
    {.name = "model",
     .type = CLI_TEXT,
     .value = "DIR",
     .help = "for step: take the sizes from its config.json"},
    {.name = "pairs",
     .type = CLI_INT,
     .value = "N",
     .fallback = "8",
     .min = 1,
     .max = 256,
     .help = "for step: pairs of it"},
    {.name = "dtype", .type = CLI_TEXT, .value = "TYPE", .help = "for step: as for train"},
    {.name = "gradient_dtype", .type = CLI_TEXT, .value = "TYPE", .help = "for step: as for train"},
    {.name = "optim", .type = CLI_TEXT, .value = "NAME", .help = "for step: as for train"},
    {.name = "gradient_checkpointing",
     .type = CLI_FLAG,
     .help = "for step: keep only what enters each layer, as training does where memory is short"},
    {0},
};

const struct cli_command cli_command_bench = {
    .name = "bench",
    .summary = "time kernels and whole steps",
    .synopsis = "[matmul|attention|ref_update|adamw|step]",
    .details = "Without a name all of them run. A product's shape is m x n x k; attention's is\n"
               "tokens x row length x heads x head size; a step's is tokens x layers x channels.\n"
               "Tokens of a step are counted as training counts them: a prompt with each of its\n"
               "two completions, though it is computed once.\n",
    .positional = "[NAME]",
    .options = options,
    .uses = CLI_DEVICE | CLI_PROFILE,
    .run = run,
};
