// trdpo-shader-test: every kernel against the CPU reference, on any device. One line a case; exit
// code 0 if all pass, 1 if one fails or the device does, 2 for wrong usage.
#include "compile.h"

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "ops/check/check.h"
#include "ops/linear.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *device, *op;
    uint64_t seed;
    bool perf, compile, json, list, help;
};

static const char usage[] =
    "Usage: trdpo-shader-test [options]\n"
    "Runs every kernel against the CPU reference and prints one line a case.\n\n"
    "  --device N|NAME  device to run on (default: TRDPO_DEVICE, else the best)\n"
    "  --op NAME        only operations whose name begins with NAME\n"
    "  --seed N         seed of the inputs (default: 42)\n"
    "  --perf           time each case, too, and run the large timed cases\n"
    "  --compile        only make the pipelines and print what the driver tells of them\n"
    "  --json           one JSON object a line\n"
    "  --list           names of the operations\n"
    "  --help           this text\n\n"
    "TRDPO_TIER=direct|shared|coopmat|coopmat2 chooses the kernels of products, attention and "
    "arenas.\n";

// The value of `--name VALUE` or `--name=VALUE` at argv[*i], or NULL if argv[*i] is something else.
static const char *value_of(const char *name, int argc, char **argv, int *i)
{
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0) return NULL;
    if (argv[*i][n] == '=') return argv[*i] + n + 1;
    if (argv[*i][n] != '\0') return NULL;
    if (*i + 1 >= argc) return "";
    return argv[++*i];
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const char *const names[] = {"--device", "--op",   "--seed", "--perf",
                                        "--json",   "--list", "--help", "--compile"};
    *o = (struct options){.seed = 42};
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i], *v;
        bool *flag = strcmp(option, "--perf") == 0      ? &o->perf
                     : strcmp(option, "--compile") == 0 ? &o->compile
                     : strcmp(option, "--json") == 0    ? &o->json
                     : strcmp(option, "--list") == 0    ? &o->list
                     : strcmp(option, "--help") == 0    ? &o->help
                                                        : NULL;
        if (flag) {
            *flag = true;
        } else if ((v = value_of("--device", argc, argv, &i)) && *v) {
            o->device = v;
        } else if ((v = value_of("--op", argc, argv, &i)) && *v) {
            o->op = v;
        } else if ((v = value_of("--seed", argc, argv, &i)) && *v) {
            char *end;
            o->seed = strtoull(v, &end, 10);
            if (*end || !o->seed || *v == '-')
                return err_user("--seed: expected a positive whole number, not '%s'", v);
        } else {
            const char *near = str_nearest(option, names, sizeof names / sizeof *names);
            if (near && strcmp(near, option) == 0) return err_user("%s needs a value", option);
            return err_user("unknown option '%s'%s%s", option, near ? ": did you mean " : "",
                            near ? near : " (see --help)");
        }
    }
    return true;
}

static void print_json(const struct op_check_result *r)
{
    static const char *const status[] = {"passed", "failed", "skipped"};
    struct str line = {0};
    str_append(&line, "{\"op\": ");
    json_append_string(&line, r->op, strlen(r->op));
    str_append(&line, ", \"shape\": ");
    json_append_string(&line, r->shape, strlen(r->shape));
    str_appendf(&line, ", \"dtype\": \"%s\", \"status\": \"%s\", \"nmse\": ", r->dtype,
                status[r->status]);
    json_append_double(&line, r->nmse);
    str_append(&line, ", \"worst\": ");
    json_append_double(&line, r->worst);
    if (r->seconds > 0)
        str_appendf(&line, ", \"seconds\": %.6g, \"gflops\": %.4g, \"gbps\": %.4g", r->seconds,
                    r->gflops, r->gbps);
    if (r->message[0]) {
        str_append(&line, ", \"message\": ");
        json_append_string(&line, r->message, strlen(r->message));
    }
    str_append_char(&line, '}');
    puts(str_text(&line));
    str_finish(&line);
}

static void print_line(const struct op_check_result *r)
{
    static const char *const status[] = {"ok  ", "FAIL", "skip"};
    printf("%s  %-20s %-4s %-40s", status[r->status], r->op, r->dtype, r->shape);
    if (r->status != OP_CHECK_SKIPPED) printf("  nmse %8.1e  worst %8.1e", r->nmse, r->worst);
    if (r->seconds > 0) {
        printf("  %9.3f ms", r->seconds * 1e3);
        if (r->gflops > 0) printf("  %7.1f GFLOP/s", r->gflops);
        if (r->gbps > 0) printf("  %6.1f GB/s", r->gbps);
    }
    printf(r->message[0] ? "  %s\n" : "%s\n", r->message);
}

static void report(void *ctx, const struct op_check_result *r)
{
    const struct options *o = ctx;
    if (o->json)
        print_json(r);
    else
        print_line(r);
    fflush(stdout);
}

static bool run(struct options *o, struct op_check_summary *summary)
{
    struct vk_device *device = vk_device_create(&(struct vk_device_params){.selector = o->device});
    if (!device) return false;
    const struct vk_caps *caps = vk_device_caps(device);
    if (!o->json)
        printf("%s, %s %s; subgroup %u; seed %llu; tier %s\n", caps->name, caps->driver,
               caps->driver_info, (unsigned)caps->subgroup_size, (unsigned long long)o->seed,
               op_linear_tier(device) == VK_TIER_SHARED ? "shared" : "direct");
    struct op_check_params params = {
        .op = o->op, .seed = o->seed, .perf = o->perf, .report = report, .ctx = o};
    bool ok = op_check_run(device, &params, summary);
    vk_device_destroy(device);
    return ok;
}

static int fail(void)
{
    fprintf(stderr, "trdpo-shader-test: error: %s\n", err_message());
    return (int)err_current();
}

static int compile(const struct options *o)
{
    struct compile_summary summary;
    if (!compile_kernels(
            &(struct compile_params){.device = o->device, .op = o->op, .json = o->json}, &summary))
        return fail();
    if (!o->json)
        printf("%zu pipelines compiled, %zu failed, %zu with spills; %zu kernels are not launched "
               "on this device\n",
               summary.compiled, summary.failed, summary.spilled, summary.unused);
    return summary.failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct options o;
    struct op_check_summary summary = {0};
    if (!parse(argc, argv, &o)) return fail();
    if (o.help) {
        fputs(usage, stdout);
        return 0;
    }
    if (o.list) {
        for (size_t i = 0; op_check_name(i); i++)
            puts(op_check_name(i));
        return 0;
    }
    if (o.compile) return compile(&o);
    if (!run(&o, &summary)) return fail();
    if (!o.json)
        printf("%zu passed, %zu failed, %zu skipped\n", summary.passed, summary.failed,
               summary.skipped);
    return summary.failed ? 1 : 0;
}
