#include "base/json.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/output.h"
#include "ops/kernels.h"

#include <stdio.h>
#include <string.h>

static const char *kind_name(enum vk_device_kind kind)
{
    static const char *const names[] = {[VK_KIND_DISCRETE] = "discrete GPU",
                                        [VK_KIND_INTEGRATED] = "integrated GPU",
                                        [VK_KIND_VIRTUAL] = "virtual GPU",
                                        [VK_KIND_CPU] = "CPU",
                                        [VK_KIND_OTHER] = "other"};
    return names[kind];
}

static const struct {
    enum vk_tier tier;
    const char *name;
} tiers[] = {{VK_TIER_DIRECT, "direct"},
             {VK_TIER_SHARED, "shared"},
             {VK_TIER_COOPMAT, "coopmat"},
             {VK_TIER_COOPMAT2, "coopmat2"}};

// Kernels that the shader compiler of this build could not compile.
static size_t append_left_out(struct str *out, const char *quote)
{
    size_t count = 0;
    for (size_t i = 0; i < KERNEL_COUNT; i++)
        if (!op_kernels[i].code)
            str_appendf(out, "%s%s%s%s", count++ ? ", " : "", quote, op_kernels[i].name, quote);
    return count;
}

// ---- for people ----

static void append_features(const struct vk_caps *c, struct str *out)
{
    str_append(out, "fp32");
    if (c->fp16) str_append(out, ", fp16");
    if (c->bf16) str_append(out, ", bf16");
    if (c->int64) str_append(out, ", int64");
    if (c->coopmat) str_append(out, ", cooperative matrices");
    if (c->coopmat2) str_append(out, ", cooperative matrices 2");
}

// "fp16 16x16x16": the sizes of matrix units that there are kernels for, and those of bf16.
static void append_matrix(const struct vk_matrix_size *m, const char *type, struct str *out)
{
    if (m->m) str_appendf(out, "%s%s %ux%ux%u", out->len ? ", " : "", type, m->m, m->n, m->k);
}

static void append_tiers(const struct vk_caps *c, const char *quote, struct str *out)
{
    const char *before = "";
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++)
        if (c->tiers & tiers[i].tier) {
            str_appendf(out, "%s%s%s%s", before, quote, tiers[i].name, quote);
            before = ", ";
        }
}

static void describe(const struct vk_caps *c)
{
    char total[32], left[32], allocation[32];
    struct str features = {0}, names = {0}, matrices = {0};
    append_features(c, &features);
    append_tiers(c, "", &names);
    append_matrix(&c->coopmat_fp16, "fp16", &matrices);
    append_matrix(&c->coopmat_bf16, "bf16", &matrices);
    struct cli_table t = {.align = "ll", .indent = 3};
    out_printf("%u  %s\n", c->index, c->name);
    cli_cell(&t, "kind");
    cli_cell(&t, "%s", kind_name(c->kind));
    cli_cell(&t, "driver");
    cli_cell(&t, "%s%s%s, Vulkan %u.%u.%u", c->driver, *c->driver_info ? ", " : "", c->driver_info,
             c->api_version >> 22, c->api_version >> 12 & 0x3FF, c->api_version & 0xFFF);
    cli_cell(&t, "memory");
    cli_cell(&t, "%s, %s free; %s in one allocation", str_bytes(total, c->memory_bytes),
             str_bytes(left, c->memory_free_bytes), str_bytes(allocation, c->max_allocation_bytes));
    cli_cell(&t, "subgroup");
    if (c->subgroup_min < c->subgroup_max)
        cli_cell(&t, "%u lanes (%u to %u)", c->subgroup_size, c->subgroup_min, c->subgroup_max);
    else
        cli_cell(&t, "%u lanes", c->subgroup_size);
    cli_cell(&t, "workgroup");
    cli_cell(&t, "%u invocations, %u KiB shared memory", c->max_workgroup_invocations,
             c->max_shared_bytes / 1024);
    cli_cell(&t, "types");
    cli_cell(&t, "%s", str_text(&features));
    if (matrices.len) {
        cli_cell(&t, "matrix units");
        cli_cell(&t, "%s", str_text(&matrices));
    }
    cli_cell(&t, "kernels");
    cli_cell(&t, "%s", names.len ? str_text(&names) : "none");
    if (c->missing) {
        cli_cell(&t, "not usable");
        cli_cell(&t, "it lacks %s", c->missing);
    }
    cli_table_print(&t);
    str_finish(&features);
    str_finish(&names);
    str_finish(&matrices);
}

static void describe_build(void)
{
    struct str names = {0};
    size_t left_out = append_left_out(&names, "");
    out_printf("build: %d of %d kernels", (int)(KERNEL_COUNT - left_out), (int)KERNEL_COUNT);
    if (left_out) out_printf("; left out by the shader compiler: %s", str_text(&names));
    out_text("\n");
    str_finish(&names);
}

// ---- for programs ----

static void append_text(struct str *out, const char *name, const char *text)
{
    str_appendf(out, ", \"%s\": ", name);
    json_append_string(out, text, strlen(text));
}

static void append_number(struct str *out, const char *name, uint64_t value)
{
    str_appendf(out, ", \"%s\": %llu", name, (unsigned long long)value);
}

static void append_bool(struct str *out, const char *name, bool value)
{
    str_appendf(out, ", \"%s\": %s", name, value ? "true" : "false");
}

static void append_matrix_json(struct str *out, const char *name, const struct vk_matrix_size *m)
{
    if (m->m)
        str_appendf(out, ", \"%s\": [%u, %u, %u]", name, m->m, m->n, m->k);
    else
        str_appendf(out, ", \"%s\": null", name);
}

static void append_json(struct str *out, const struct vk_caps *c)
{
    str_appendf(out, "{\"index\": %u", c->index);
    append_text(out, "name", c->name);
    append_text(out, "kind", kind_name(c->kind));
    append_text(out, "driver", c->driver);
    append_text(out, "driver_info", c->driver_info);
    str_appendf(out, ", \"api_version\": \"%u.%u.%u\"", c->api_version >> 22,
                c->api_version >> 12 & 0x3FF, c->api_version & 0xFFF);
    append_number(out, "vendor_id", c->vendor_id);
    append_number(out, "device_id", c->device_id);
    append_number(out, "memory_bytes", c->memory_bytes);
    append_number(out, "memory_free_bytes", c->memory_free_bytes);
    append_number(out, "max_allocation_bytes", c->max_allocation_bytes);
    append_number(out, "subgroup_size", c->subgroup_size);
    append_number(out, "subgroup_min", c->subgroup_min);
    append_number(out, "subgroup_max", c->subgroup_max);
    append_number(out, "max_workgroup_invocations", c->max_workgroup_invocations);
    append_number(out, "max_shared_bytes", c->max_shared_bytes);
    str_appendf(out, ", \"max_groups\": [%u, %u, %u]", c->max_groups[0], c->max_groups[1],
                c->max_groups[2]);
    append_bool(out, "host_visible", c->host_visible);
    append_bool(out, "timestamps", c->timestamp_ns > 0);
    append_bool(out, "fp16", c->fp16);
    append_bool(out, "bf16", c->bf16);
    append_bool(out, "int64", c->int64);
    append_bool(out, "coopmat", c->coopmat);
    append_bool(out, "coopmat2", c->coopmat2);
    append_matrix_json(out, "coopmat_fp16", &c->coopmat_fp16);
    append_matrix_json(out, "coopmat_bf16", &c->coopmat_bf16);
    str_append(out, ", \"tiers\": [");
    append_tiers(c, "\"", out);
    str_append(out, "]");
    append_bool(out, "usable", c->missing == NULL);
    if (c->missing) append_text(out, "missing", c->missing);
    str_append(out, "}");
}

static void print_json(const struct vk_caps *list, size_t count)
{
    struct str out = {0};
    str_append(&out, "{\"devices\": [");
    for (size_t i = 0; i < count; i++) {
        str_append(&out, i ? ",\n  " : "\n  ");
        append_json(&out, &list[i]);
    }
    str_appendf(&out, "],\n \"build\": {\"kernels\": %d, \"left_out\": [", (int)KERNEL_COUNT);
    append_left_out(&out, "\"");
    str_append(&out, "]}}\n");
    out_bytes(out.data, out.len);
    str_finish(&out);
}

// ---- the command ----

static bool run(struct cli *cli)
{
    struct vk_caps *list;
    size_t count;
    if (!vk_device_list(&list, &count)) return false;
    if (cli_flag(&cli->args, "json")) {
        print_json(list, count);
    } else {
        for (size_t i = 0; i < count; i++)
            describe(&list[i]);
        describe_build();
    }
    mem_free(list);
    return true;
}

static const struct cli_option options[] = {
    {"json", CLI_FLAG, .help = "one JSON object with everything known"},
    {0},
};

const struct cli_command cli_command_devices = {
    .name = "devices",
    .summary = "list the Vulkan devices and what they can do",
    .synopsis = "[--json]",
    .options = options,
    .run = run,
};
