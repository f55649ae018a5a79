// The study: DPO against TR-DPO on a task whose reward is known, at several strengths.
#ifndef TRDPO_CLI_STUDY_STUDY_H
#define TRDPO_CLI_STUDY_STUDY_H

#include "api/model.h"
#include "base/array.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

// ---- settings and results ----

enum study_method { STUDY_DPO, STUDY_SOFT, STUDY_HARD, STUDY_METHODS };
extern const char *const study_method_names[STUDY_METHODS]; // "dpo", "tr-dpo-soft", "tr-dpo-hard"

// What a run is set to: beta, and how the reference follows the policy.
struct study_setting {
    enum study_method method;
    double beta;
    double alpha; // weight of the policy in an update of the reference; 0: none (DPO)
    int tau;      // steps between updates; 0: none
};

// What a policy was measured at.
struct study_measures {
    double reward;   // mean gold reward of its answers
    double kl;       // to the start, nats
    double accuracy; // of its rewards on pairs in their true order
    double things;   // mean number of things in an answer
    double whole;    // share of answers that are a list to their end
};

struct study_run {
    size_t setting;
    uint64_t seed;
    struct study_measures m;
};

// Mean over the seeds and standard deviation of one value (n - 1 below the root; 0 for one seed).
struct study_spread {
    double mean, deviation;
};
struct study_spread study_spread_of(const double *values, size_t count);

struct study_point {
    struct study_spread reward, kl, accuracy, things, whole;
};

struct study_results {
    struct study_settings ARRAY_OF(struct study_setting) settings;
    struct study_runs ARRAY_OF(struct study_run) runs; // setting by setting within a seed
    struct study_point *points;                        // [settings.count], by study_summarise()
    uint32_t seeds;
    struct study_measures start; // of the SFT model: its KL is 0
};
void study_results_finish(struct study_results *r);

// The settings of the whole study, or of its quick form: as many for each method, so that none has
// more tries than another. A method's settings stand together; so do those of a curve (the same
// method, alpha and tau), by falling beta.
void study_make_settings(struct study_results *r, bool quick);

// A name for files and tables: "tr-dpo-soft-a0.1-b0.5".
char *study_setting_name(const struct study_setting *s);

// The spread of a setting's value over its runs, of every setting.
void study_summarise(struct study_results *r);

// One line of results.jsonl, without newline.
void study_run_print(const struct study_results *r, const struct study_run *run, struct str *out);

// The end of the curve that begins with a setting: the first setting behind it.
size_t study_curve_end(const struct study_results *r, size_t first);

// The reward at a KL along a curve, which goes from the start through its settings in straight
// lines: spread over the seeds. False if the curve does not reach that KL in one of them.
bool study_reward_at(const struct study_results *r, size_t first, double kl,
                     struct study_spread *reward);

// The best of a method within a KL: the setting with the highest mean reward among those whose mean
// KL is at most `kl`; -1 if there is none.
int study_best(const struct study_results *r, enum study_method method, double kl);

// Spread over the seeds of reward(a) - reward(b), seed by seed.
struct study_spread study_difference(const struct study_results *r, size_t a, size_t b);

// ---- work ----

// How large everything is.
struct study_sizes {
    int corpus, sft_epochs, pairs, held_out, answers, epochs;
};

struct study {
    const char *dir;
    struct vk_device *device;
    uint64_t seed;
    struct study_sizes sizes;
    struct api_model start; // the SFT model; zeroed until study_prepare()
};

// Makes DIR/init, corpus.jsonl, DIR/sft, held_out.jsonl and the preferences of every seed,
// pairs-1.jsonl and so on.
bool study_prepare(struct study *s, uint32_t seeds);
void study_finish(struct study *s);

// Trains one run, into DIR/runs/NAME-seedN, and measures it.
bool study_train(struct study *s, const struct study_setting *setting, uint64_t seed,
                 struct study_measures *m);

// Measures a model: samples answers, judges them.
bool study_measure(struct study *s, struct api_model *policy, uint64_t seed,
                   struct study_measures *m);

// ---- output ----

// The tables on standard output.
void study_report(const struct study_results *r);

// Gold reward against KL as a picture, appended.
void study_plot(const struct study_results *r, struct str *svg);

#endif
