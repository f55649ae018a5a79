#include "cli/lab/probe.h"

#include "api/generate.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "train/evaluate.h"

#define ROWS_AT_ONCE 64
#define TOKENS_AT_ONCE 2048

bool lab_open(struct api_model *m, struct vk_device *device, const char *dir, const char *name)
{
    char *path = file_join(dir, name);
    bool ok = api_model_read(m, path) && api_model_plan(m, device) && api_model_load(m);
    mem_free(path);
    return ok;
}

// ---- samples ----

void lab_samples_init(struct lab_samples *s, uint32_t capacity)
{
    *s = (struct lab_samples){.capacity = capacity,
                              .prompts = MEM_ARRAY(struct hf_ids, capacity),
                              .ids = MEM_ARRAY(struct hf_ids, capacity),
                              .texts = MEM_ARRAY(struct str, capacity),
                              .ended = MEM_ARRAY(bool, capacity)};
}

bool lab_samples_add(struct lab_samples *s, const struct hf_tokenizer *tokenizer,
                     const struct str *prompt)
{
    CHECK(s->count < s->capacity);
    struct hf_ids *ids = &s->prompts[s->count++];
    return hf_tokenizer_encode(tokenizer, str_text(prompt), prompt->len, true, ids);
}

void lab_samples_finish(struct lab_samples *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        ARRAY_FREE(&s->prompts[i]);
        ARRAY_FREE(&s->ids[i]);
        str_finish(&s->texts[i]);
    }
    mem_free(s->prompts);
    mem_free(s->ids);
    mem_free(s->texts);
    mem_free(s->ended);
    *s = (struct lab_samples){0};
}

struct sampling {
    struct lab_samples *samples;
    int32_t end; // the end token
};

static bool keep_text(void *ctx, size_t prompt, const char *text, size_t len)
{
    struct sampling *s = ctx;
    str_append_bytes(&s->samples->texts[prompt], text, len);
    return true;
}

static bool keep_token(void *ctx, size_t prompt, int32_t id)
{
    struct sampling *s = ctx;
    ARRAY_PUSH(&s->samples->ids[prompt], id);
    return true;
}

static bool keep_end(void *ctx, size_t prompt, bool eos)
{
    struct sampling *s = ctx;
    s->samples->ended[prompt] = eos;
    if (eos) ARRAY_PUSH(&s->samples->ids[prompt], s->end);
    return true;
}

bool lab_sample(struct lab_samples *s, struct api_model *m, uint64_t seed, uint32_t max_tokens)
{
    CHECK(m->hf.eos_count == 1); // as lab_write_start() makes them
    struct sampling sampling = {s, m->hf.eos[0]};
    return api_generate(m, &(struct api_generation){.prompts = s->prompts,
                                                    .count = s->count,
                                                    .sampling = {.temperature = 1, .seed = seed},
                                                    .max_new_tokens = max_tokens,
                                                    .on_text = keep_text,
                                                    .on_token = keep_token,
                                                    .on_end = keep_end,
                                                    .ctx = &sampling});
}

// ---- log-probs ----

static struct train_stepper *open_stepper(const struct train_config *config,
                                          const struct api_model *policy,
                                          const struct api_model *ref)
{
    // Without a gradient arena the stepper only reads the weights.
    return train_stepper_create(
        &(struct train_stepper_params){.device = policy->device,
                                       .config = config,
                                       .layout = &policy->layout,
                                       .policy = (struct model_weights *)&policy->weights,
                                       .ref = ref ? (struct model_weights *)&ref->weights : NULL,
                                       .tokens = TOKENS_AT_ONCE,
                                       .rows = ROWS_AT_ONCE});
}

// The samples as rows of a dataset, token for token: read back from their texts, they might be
// split into other tokens, and those that did not end would seem to.
static void make_set(struct data_set *set, const struct lab_samples *s)
{
    *set = (struct data_set){0};
    for (uint32_t i = 0; i < s->count; i++) {
        const struct hf_ids *prompt = &s->prompts[i], *drawn = &s->ids[i];
        ARRAY_PUSH(&set->rows, (struct data_row){.line = i + 1,
                                                 .first = (uint32_t)set->ids.count,
                                                 .prompt = (uint32_t)prompt->count,
                                                 .completion = {(uint32_t)drawn->count}});
        for (size_t t = 0; t < prompt->count; t++)
            ARRAY_PUSH(&set->ids, prompt->items[t]);
        for (size_t t = 0; t < drawn->count; t++)
            ARRAY_PUSH(&set->ids, drawn->items[t]);
    }
}

// Log-prob of every row's completion under the model.
static bool score(float *sums, const struct data_set *set, const struct api_model *m)
{
    struct train_config config;
    train_config_init(&config);
    config.method = TRAIN_SFT;
    struct train_stepper *st = open_stepper(&config, m, NULL);
    uint32_t count = (uint32_t)set->rows.count, *order = MEM_ARRAY(uint32_t, count);
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    bool ok = st != NULL;
    for (uint32_t first = 0; ok && first < count; first += ROWS_AT_ONCE) {
        uint32_t n = count - first < ROWS_AT_ONCE ? count - first : ROWS_AT_ONCE;
        ok = train_stepper_score(st, set, order + first, n, sums + first);
    }
    mem_free(order);
    train_stepper_destroy(st);
    train_config_finish(&config);
    return ok;
}

bool lab_kl(double *kl, const struct lab_samples *s, const struct api_model *model,
            const struct api_model *other)
{
    struct data_set set;
    float *mine = MEM_ARRAY(float, s->count), *theirs = MEM_ARRAY(float, s->count);
    make_set(&set, s);
    bool ok = score(mine, &set, model) && score(theirs, &set, other);
    double sum = 0;
    for (uint32_t i = 0; i < s->count; i++)
        sum += (double)mine[i] - (double)theirs[i];
    *kl = s->count ? sum / s->count : 0;
    mem_free(mine);
    mem_free(theirs);
    data_finish(&set);
    return ok;
}

bool lab_accuracy(double *accuracy, const char *path, const struct api_model *model,
                  const struct api_model *start)
{
    struct data_set set = {0};
    struct train_config config;
    struct train_metrics metrics = {0};
    struct train_stepper *st = NULL;
    train_config_init(&config);
    bool ok = data_load(&set, &(struct data_params){.path = path,
                                                    .tokenizer = model->tokenizer,
                                                    .kind = DATA_PAIRS,
                                                    .completion_only = true,
                                                    .max_length = TOKENS_AT_ONCE / 2}) &&
              (st = open_stepper(&config, model, start)) != NULL &&
              train_evaluate(&(struct train_evaluation){.stepper = st,
                                                        .set = &set,
                                                        .rules = train_metric_rules_of(&config),
                                                        .rows_at_once = ROWS_AT_ONCE},
                             &metrics);
    if (ok) *accuracy = train_metrics_mean(&metrics, METRIC_REWARDS_ACCURACIES);
    train_stepper_destroy(st);
    data_finish(&set);
    train_config_finish(&config);
    return ok;
}
