#include "base/log.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/output.h"
#include "ops/check/check.h"

#include <stdio.h>
#include <string.h>

// The cases of one operation, which come one after the other.
struct doctor {
    char op[64];
    size_t passed, failed, skipped;
    double worst, nmse;
    bool device_shown;
};

static void print_op(struct doctor *d)
{
    if (!*d->op) return;
    const char *verdict = d->failed ? "FAIL" : d->passed ? "pass" : "skip";
    out_printf("%-24s %6zu", d->op, d->passed + d->failed);
    if (d->passed + d->failed)
        out_printf("  %12.1e  %s", d->worst, verdict);
    else
        out_printf("  %12s  %s", "", verdict);
    if (d->failed) out_printf(" (%zu of %zu)", d->failed, d->passed + d->failed);
    out_text("\n");
    out_flush(); // so that a long run is seen to move
}

static void report(void *ctx, const struct op_check_result *r)
{
    struct doctor *d = ctx;
    if (strcmp(d->op, r->op) != 0) {
        print_op(d);
        *d = (struct doctor){0};
        snprintf(d->op, sizeof d->op, "%s", r->op);
    }
    log_progress("%s  %s", r->op, r->shape);
    if (r->status == OP_CHECK_SKIPPED) {
        d->skipped++;
        return;
    }
    if (r->status == OP_CHECK_PASSED)
        d->passed++;
    else
        d->failed++;
    if (!(r->worst <= d->worst)) d->worst = r->worst; // NaN is the worst of all
    if (r->status == OP_CHECK_FAILED)
        out_printf("  %s %s %s: %s\n", r->op, r->dtype, r->shape, r->message);
}

static bool run(struct cli *cli)
{
    struct doctor d = {0};
    struct op_check_summary summary;
    struct vk_device *device = cli_device(cli);
    if (!device) return false;
    const struct vk_caps *c = vk_device_caps(device);
    char memory[32], left[32];
    out_printf("device %u: %s\ndriver:   %s %s\nmemory:   %s, %s free\n\n", c->index, c->name,
               c->driver, c->driver_info, str_bytes(memory, c->memory_bytes),
               str_bytes(left, c->memory_free_bytes));
    out_printf("%-24s %6s  %12s\n", "operation", "cases", "worst error");
    double start = sys_seconds();
    struct op_check_params params = {.op = cli_text(&cli->args, "op"), .report = report, .ctx = &d};
    if (!op_check_run(device, &params, &summary)) return false;
    log_progress("%s", "");
    print_op(&d);
    out_printf("\n%zu cases passed, %zu failed, %zu skipped, in %.0f s\n", summary.passed,
               summary.failed, summary.skipped, sys_seconds() - start);
    if (summary.failed)
        return err_device("this device computes wrongly in %zu of %zu cases: try another driver "
                          "version, and report the lines above",
                          summary.failed, summary.passed + summary.failed);
    return out_printf("This device computes rightly.\n");
}

static const struct cli_option options[] = {
    {"op", CLI_TEXT, "NAME", .help = "only operations whose name begins with NAME"},
    {0},
};

const struct cli_command cli_command_doctor = {
    .name = "doctor",
    .summary = "check every kernel against the CPU on your device",
    .synopsis = "[--op NAME]",
    .details = "Runs every kernel on the device and compares the results with a reference on the\n"
               "CPU. The worst error is that of a single element, over the root mean square of\n"
               "all. Ends with 1 if anything is wrong.",
    .options = options,
    .uses = CLI_DEVICE,
    .run = run,
};
