// The table of compiled pipelines. Drivers name their figures as they like; those that the columns
// show are found by the names that Mesa's drivers use, and --json has them all as the driver names
// them.
#include "compile.h"

#include "base/array.h"
#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "ops/check/check.h"
#include "ops/kernels.h"
#include "ops/linear.h"
#include "vk/compile.h"

#include <stdio.h>
#include <string.h>

enum column { REGISTERS, SPILLS, SHARED, INSTRUCTIONS, CYCLES, COLUMNS };

static const char *const titles[COLUMNS] = {"registers", "spills", "shared", "instructions",
                                            "cycles"};

// A column is the sum of the figures with its names. Registers are what limits how many subgroups
// run at once, in the driver's own unit: 32-bit (RADV, NVK), 16-bit (Apple), four of 32 bits
// (Adreno). Spills go to memory: NVK's moves between kinds of registers are not among them.
static const struct {
    enum column column;
    const char *name;
} figures[] = {
    // RADV
    {REGISTERS, "VGPRs"},
    {SPILLS, "Spilled SGPRs"},
    {SPILLS, "Spilled VGPRs"},
    {SHARED, "LDS size"},
    {INSTRUCTIONS, "Instructions"}, // and Apple
    {CYCLES, "Latency"},
    // NVK
    {REGISTERS, "Number of GPRs"},
    {SPILLS, "Spills to memory"},
    {INSTRUCTIONS, "Instruction count"},
    {CYCLES, "Static cycle count"},
    // Apple
    {REGISTERS, "GPRs"},
    {SPILLS, "Spills"},
    // Adreno
    {REGISTERS, "Registers used"},
    {SPILLS, "STP Count"},
    {INSTRUCTIONS, "Instruction Count"},
};

struct sink {
    const struct compile_params *params;
    struct compile_summary *summary;
    struct ARRAY_OF(struct vk_compiled) failures; // those told already
    bool launched[KERNEL_COUNT];
    bool defaults; // kernels that no case launches
};

static bool same(const struct vk_compiled *a, const struct vk_compiled *b)
{
    return a->kernel == b->kernel && a->local == b->local && a->spec_count == b->spec_count &&
           memcmp(a->spec, b->spec, sizeof a->spec) == 0;
}

// False for a failure that was told before.
static bool is_news(struct sink *sink, const struct vk_compiled *c)
{
    if (!c->error) return true;
    for (size_t i = 0; i < sink->failures.count; i++)
        if (same(&sink->failures.items[i], c)) return false;
    ARRAY_PUSH(&sink->failures, *c);
    return true;
}

// The value of a column; -1 where the driver does not say.
static double figure(const struct vk_compiled *c, enum column column)
{
    double sum = -1;
    for (size_t f = 0; f < sizeof figures / sizeof *figures; f++)
        for (size_t i = 0; figures[f].column == column && i < c->statistic_count; i++)
            if (strcmp(c->statistics[i].name, figures[f].name) == 0)
                sum = (sum < 0 ? 0 : sum) + c->statistics[i].value;
    return sum;
}

static void write_constants(struct str *out, const struct vk_compiled *c)
{
    for (uint32_t i = 0; i < c->spec_count; i++)
        str_appendf(out, "%s%u", i ? "," : "", (unsigned)c->spec[i]);
}

static void print_json(const struct sink *sink, const struct vk_compiled *c)
{
    struct str line = {0};
    str_appendf(&line, "{\"kernel\": \"%s\", \"workgroup\": %u, \"constants\": [", c->kernel->name,
                (unsigned)c->local);
    write_constants(&line, c);
    str_appendf(&line, "], \"launched\": %s, \"subgroup\": %u", sink->defaults ? "false" : "true",
                (unsigned)c->subgroup_size);
    for (int i = 0; i < COLUMNS; i++) {
        double value = figure(c, (enum column)i);
        if (value >= 0) str_appendf(&line, ", \"%s\": %.0f", titles[i], value);
    }
    str_append(&line, ", \"driver\": {");
    for (size_t i = 0; i < c->statistic_count; i++) {
        str_append(&line, i ? ", " : "");
        json_append_string(&line, c->statistics[i].name, strlen(c->statistics[i].name));
        str_append(&line, ": ");
        json_append_double(&line, c->statistics[i].value);
    }
    str_append_char(&line, '}');
    if (c->error) {
        str_append(&line, ", \"error\": ");
        json_append_string(&line, c->error, strlen(c->error));
    }
    str_append_char(&line, '}');
    puts(str_text(&line));
    str_finish(&line);
}

static void print_titles(void)
{
    printf("%-28s %9s  %-24s", "kernel", "workgroup", "constants");
    for (int i = 0; i < COLUMNS; i++)
        printf(" %*s", (int)strlen(titles[i]) + 1, titles[i]);
    printf("\n");
}

static void print_line(const struct sink *sink, const struct vk_compiled *c)
{
    struct str constants = {0};
    write_constants(&constants, c);
    const char *text = sink->defaults ? "defaults" : c->spec_count ? str_text(&constants) : "-";
    printf("%-28s %9u  %-24s", c->kernel->name, (unsigned)c->local, text);
    str_finish(&constants);
    for (int i = 0; i < COLUMNS && !c->error; i++) {
        double value = figure(c, (enum column)i);
        int width = (int)strlen(titles[i]) + 1;
        if (value < 0)
            printf(" %*s", width, "-");
        else
            printf(" %*.0f", width, value);
    }
    printf(c->error ? "  FAILED: %s\n" : "%s\n", c->error ? c->error : "");
}

static void report(void *ctx, const struct vk_compiled *c)
{
    struct sink *sink = ctx;
    if (!is_news(sink, c)) return;
    sink->launched[c->kernel - op_kernels] = true;
    if (c->error)
        sink->summary->failed++;
    else
        sink->summary->compiled++;
    if (figure(c, SPILLS) > 0 && !sink->defaults) sink->summary->spilled++;
    if (sink->params->json)
        print_json(sink, c);
    else
        print_line(sink, c);
    fflush(stdout);
}

static void record_kernel(struct vk_seq *s, void *ctx)
{
    const struct vk_kernel *kernel = &op_kernels[*(const size_t *)ctx];
    static const uint8_t nothing[128];
    vk_dispatch(s, kernel, groups(1), nothing, kernel->push_bytes);
}

// The kernels that no case launched: those of another tier, or of another kind of device.
static bool compile_rest(struct vk_device *device, struct sink *sink)
{
    sink->defaults = true;
    for (size_t i = 0; i < KERNEL_COUNT; i++) {
        if (sink->launched[i] || !op_kernel_runs_on(device, (enum op_kernel)i)) continue;
        sink->summary->unused++;
        if (!vk_run_once(device, op_kernels[i].name, record_kernel, &i)) return false;
    }
    return true;
}

bool compile_kernels(const struct compile_params *params, struct compile_summary *summary)
{
    struct sink sink = {.params = params, .summary = summary};
    struct vk_compile compile = {.report = report, .ctx = &sink};
    struct op_check_params check = {.op = params->op, .compile = true};
    struct op_check_summary cases;
    *summary = (struct compile_summary){0};
    struct vk_device *device = vk_device_create(
        &(struct vk_device_params){.selector = params->device, .compile = &compile});
    if (!device) return false;
    if (!params->json) {
        const struct vk_caps *caps = vk_device_caps(device);
        printf("%s, %s %s; subgroup %u; tier %s%s\n", caps->name, caps->driver, caps->driver_info,
               (unsigned)caps->subgroup_size,
               op_linear_tier(device) == VK_TIER_SHARED ? "shared" : "direct",
               caps->tiers & VK_TIER_COOPMAT2  ? ", coopmat, coopmat2"
               : caps->tiers & VK_TIER_COOPMAT ? ", coopmat"
                                               : "");
        print_titles();
    }
    bool ok = op_check_run(device, &check, &cases);
    if (ok && !params->op) ok = compile_rest(device, &sink);
    ARRAY_FREE(&sink.failures);
    vk_device_destroy(device);
    return ok;
}
