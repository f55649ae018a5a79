// While the reference stands still, it scores many steps at one visit to the device.
#include "train/run.h"

#include "base/log.h"
#include "base/system.h"

// Scores of one window in host memory: 64 Mi tokens.
#define WINDOW_BYTES ((uint64_t)256 << 20)

int64_t train_window_length(const struct train_run *run)
{
    const struct train_config *c = run->config;
    bool moves = c->sync_ref_model && c->ref_model_sync_steps < run->total_steps;
    return moves ? c->ref_model_sync_steps : run->total_steps;
}

bool train_window_fill(struct train_run *run, int64_t index)
{
    if (!run->offloaded || train_stepper_window_steps(run->stepper)) return true;
    int64_t length = train_window_length(run), end = (index / length + 1) * length;
    if (end > run->total_steps) end = run->total_steps;
    double start = sys_seconds();
    train_stepper_window_begin(run->stepper);
    for (int64_t i = index; i < end; i++) {
        const uint32_t *rows;
        uint32_t count = train_run_rows(run, i, &rows);
        log_progress("scoring steps under the reference: %lld of %lld", (long long)(i - index),
                     (long long)(end - index));
        if (!train_stepper_score_reference(run->stepper, &run->train, rows, count)) return false;
        // What is not scored now is scored at the next visit.
        if (train_stepper_window_bytes(run->stepper) >= WINDOW_BYTES || sys_stop_signal()) break;
    }
    run->visits.count++;
    run->visits.seconds += sys_seconds() - start;
    return true;
}

void train_window_report(const struct train_run *run)
{
    if (!run->visits.count) return;
    log_info("the reference came to the device %lld times to score, %.1f s in all",
             (long long)run->visits.count, run->visits.seconds);
}
