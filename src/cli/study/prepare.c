// What the runs begin with: a model that knows the task's language, and preferences.
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/lab/probe.h"
#include "cli/lab/start.h"
#include "cli/study/study.h"
#include "cli/study/train.h"
#include "cli/study/world.h"

#include <math.h>
#include <string.h>

// Points of difference that make one answer e times as likely to be preferred.
#define LABEL_SCALE 2.0

// ---- texts ----

static bool write_corpus(const struct study *s)
{
    struct rng rng = rng_begin(s->seed, RNG_STUDY);
    struct str text = {0};
    for (int i = 0; i < s->sizes.corpus; i++) {
        struct str prompt = {0}, answer = {0};
        study_prompt(&prompt, (uint32_t)rng_below(&rng, STUDY_PROMPTS));
        study_answer(&answer, &rng);
        lab_append_member(&text, "prompt", &prompt);
        lab_append_member(&text, "completion", &answer);
        str_append(&text, "}\n");
    }
    return lab_write_text(s->dir, "corpus.jsonl", &text);
}

static bool make_start(struct study *s)
{
    char *start = file_join(s->dir, "init"), *corpus = file_join(s->dir, "corpus.jsonl"),
         *sft = file_join(s->dir, "sft"), *epochs = str_format("%d", s->sizes.sft_epochs);
    bool ok = lab_write_start(&(struct lab_start){.dir = start,
                                                  .device = s->device,
                                                  .seed = s->seed,
                                                  .words = study_words,
                                                  .hidden = 64,
                                                  .intermediate = 160,
                                                  .layers = 2,
                                                  .heads = 2,
                                                  .kv_heads = 2,
                                                  .head_size = 32,
                                                  .positions = 128}) &&
              write_corpus(s) &&
              study_train_with(s, (const char *const[][2]){{"method", "sft"},
                                                           {"model_name_or_path", start},
                                                           {"dataset_name", corpus},
                                                           {"output_dir", sft},
                                                           {"completion_only", "false"},
                                                           {"max_length", "64"},
                                                           {"per_device_train_batch_size", "32"},
                                                           {"num_train_epochs", epochs},
                                                           {"learning_rate", "4e-3"},
                                                           {"lr_scheduler_type", "cosine"},
                                                           {"warmup_steps", "10"},
                                                           {0}});
    mem_free(start);
    mem_free(corpus);
    mem_free(sft);
    mem_free(epochs);
    return ok;
}

// ---- preferences ----

// Which of two answers a labeller prefers: Bradley-Terry on their points, or the truth.
static int prefer(struct rng *rng, int points_a, int points_b, bool noisy)
{
    if (!noisy) return points_a == points_b ? -1 : points_b > points_a;
    double p = 1 / (1 + exp((points_b - points_a) / LABEL_SCALE));
    return rng_uniform(rng) < p ? 0 : 1;
}

static void append_pair(struct str *out, uint32_t prompt, const struct str *chosen,
                        const struct str *rejected)
{
    struct str p = {0}, c = {0}, r = {0};
    study_prompt(&p, prompt);
    str_append_bytes(&c, str_text(chosen), chosen->len);
    str_append_bytes(&r, str_text(rejected), rejected->len);
    lab_append_member(out, "prompt", &p);
    lab_append_member(out, "chosen", &c);
    lab_append_member(out, "rejected", &r);
    str_append(out, "}\n");
}

static bool same(const struct str *a, const struct str *b)
{
    return a->len == b->len && memcmp(str_text(a), str_text(b), a->len) == 0;
}

// Pairs of answers that the start samples. For training: about prompts that answers are not
// measured on, with the labeller's errors. Otherwise about the others, in their true order. Pairs
// without a difference are left out.
static bool write_pairs(struct study *s, const char *name, uint64_t seed, int rows, bool train)
{
    struct rng rng = rng_begin(s->seed, RNG_STUDY + (seed << 8));
    struct lab_samples answers;
    struct str text = {0};
    uint32_t *prompts = MEM_ARRAY(uint32_t, (size_t)rows);
    bool ok = true;
    lab_samples_init(&answers, 2 * (uint32_t)rows);
    for (int i = 0; ok && i < rows; i++) {
        struct str prompt = {0};
        do
            prompts[i] = (uint32_t)rng_below(&rng, STUDY_PROMPTS);
        while (study_is_held_out(prompts[i]) == train);
        study_prompt(&prompt, prompts[i]);
        ok = lab_samples_add(&answers, s->start.tokenizer, &prompt) &&
             lab_samples_add(&answers, s->start.tokenizer, &prompt);
        str_finish(&prompt);
    }
    ok = ok && lab_sample(&answers, &s->start, rng.seed ^ rng_u32(&rng), STUDY_MAX_TOKENS);
    for (int i = 0; ok && i < rows; i++) {
        const struct str *pair = &answers.texts[2 * i];
        int points[2];
        for (int j = 0; j < 2; j++)
            points[j] =
                study_judge(prompts[i], str_text(&pair[j]), pair[j].len, answers.ended[2 * i + j])
                    .points;
        int best = prefer(&rng, points[0], points[1], train);
        if (best < 0 || same(&pair[0], &pair[1])) continue;
        append_pair(&text, prompts[i], &pair[best], &pair[1 - best]);
    }
    mem_free(prompts);
    lab_samples_finish(&answers);
    ok = ok && lab_write_text(s->dir, name, &text);
    str_finish(&text);
    return ok;
}

bool study_prepare(struct study *s, uint32_t seeds)
{
    if (!make_start(s) || !lab_open(&s->start, s->device, s->dir, "sft") ||
        !write_pairs(s, "held_out.jsonl", 0, s->sizes.held_out, false))
        return false;
    for (uint32_t seed = 1; seed <= seeds; seed++) {
        char *name = str_format("pairs-%u.jsonl", (unsigned)seed);
        bool ok = write_pairs(s, name, seed, s->sizes.pairs, true);
        mem_free(name);
        if (!ok) return false;
    }
    return true;
}

void study_finish(struct study *s)
{
    api_model_finish(&s->start);
}
