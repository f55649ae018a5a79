#include "cli/demo/measure.h"

#include "api/generate.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/demo/files.h"
#include "data/dataset.h"
#include "train/evaluate.h"

#include <string.h>

#define STORIES_EACH 8
#define MAX_NEW_TOKENS 56
#define MAX_LENGTH 128
#define ROWS_AT_ONCE 64
#define TOKENS_AT_ONCE 2048

static bool open_model(struct api_model *m, struct vk_device *device, const char *dir,
                       const char *name)
{
    char *path = file_join(dir, name);
    bool ok = api_model_read(m, path) && api_model_plan(m, device) && api_model_load(m);
    mem_free(path);
    return ok;
}

// ---- stories ----

// The texts asked for and what came.
struct stories {
    uint32_t count;
    uint32_t *subjects;
    struct hf_ids *prompts;
    struct str *texts;
};

static bool ask_all(struct stories *s, const struct hf_tokenizer *tokenizer)
{
    uint32_t most = DEMO_SUBJECTS * STORIES_EACH;
    s->subjects = MEM_ARRAY(uint32_t, most);
    s->prompts = MEM_ARRAY(struct hf_ids, most);
    s->texts = MEM_ARRAY(struct str, most);
    bool ok = true;
    // Round by round: the first stories are about different subjects.
    for (uint32_t i = 0; ok && i < most; i++) {
        uint32_t subject = i % DEMO_SUBJECTS;
        if (!demo_is_held_out(subject)) continue;
        struct str prompt = {0};
        demo_prompt(&prompt, subject);
        s->subjects[s->count] = subject;
        ok = hf_tokenizer_encode(tokenizer, prompt.data, prompt.len, true, &s->prompts[s->count]);
        s->count++;
        str_finish(&prompt);
    }
    return ok;
}

static void forget(struct stories *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        ARRAY_FREE(&s->prompts[i]);
        str_finish(&s->texts[i]);
    }
    mem_free(s->subjects);
    mem_free(s->prompts);
    mem_free(s->texts);
}

static bool keep_text(void *ctx, size_t prompt, const char *text, size_t len)
{
    struct stories *s = ctx;
    str_append_bytes(&s->texts[prompt], text, len);
    return true;
}

static bool tell(struct stories *s, struct api_model *m, uint64_t seed)
{
    return api_generate(m, &(struct api_generation){.prompts = s->prompts,
                                                    .count = s->count,
                                                    .sampling = {.temperature = 1, .seed = seed},
                                                    .max_new_tokens = MAX_NEW_TOKENS,
                                                    .on_text = keep_text,
                                                    .ctx = s});
}

// Judges every story and appends it to `out` as a line of JSON.
static void judge(struct demo_measures *m, const struct stories *s, struct str *out)
{
    m->stories = s->count;
    for (uint32_t i = 0; i < s->count; i++) {
        struct str prompt = {0};
        const char *text = str_text(&s->texts[i]);
        demo_prompt(&prompt, s->subjects[i]);
        m->verdicts[demo_judge(s->subjects[i], text)]++;
        str_append(out, "{\"prompt\": ");
        json_append_string(out, prompt.data, prompt.len);
        str_append(out, ", \"completion\": ");
        json_append_string(out, text, strlen(text)); // a NUL would end it: no row may hold one
        str_append(out, "}\n");
        if (i < DEMO_SHOWN) {
            m->prompts[i] = str_take(&prompt);
            m->texts[i] = mem_strdup(text);
        }
        str_finish(&prompt);
    }
}

// ---- log-probs ----

static struct train_stepper *open_stepper(struct vk_device *device,
                                          const struct train_config *config,
                                          const struct api_model *policy,
                                          const struct api_model *ref)
{
    // Without a gradient arena the stepper only reads the weights.
    return train_stepper_create(
        &(struct train_stepper_params){.device = device,
                                       .config = config,
                                       .layout = &policy->layout,
                                       .policy = (struct model_weights *)&policy->weights,
                                       .ref = ref ? (struct model_weights *)&ref->weights : NULL,
                                       .tokens = TOKENS_AT_ONCE,
                                       .rows = ROWS_AT_ONCE});
}

static bool load(struct data_set *set, const char *path, const struct api_model *m, bool pairs)
{
    return data_load(set, &(struct data_params){.path = path,
                                                .tokenizer = m->tokenizer,
                                                .pairs = pairs,
                                                .completion_only = true,
                                                .max_length = MAX_LENGTH});
}

// Log-prob of every row's completion under the model; mem_free(). NULL on failure.
static float *score(struct vk_device *device, const struct data_set *set, const struct api_model *m)
{
    struct train_config config;
    train_config_init(&config);
    config.method = TRAIN_SFT;
    struct train_stepper *st = open_stepper(device, &config, m, NULL);
    uint32_t count = (uint32_t)set->rows.count, *order = MEM_ARRAY(uint32_t, count);
    float *sums = MEM_ARRAY(float, count);
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
    if (ok) return sums;
    mem_free(sums);
    return NULL;
}

static bool measure_kl(struct demo_measures *m, struct vk_device *device, const char *path,
                       const struct api_model *policy, const struct api_model *sft)
{
    struct data_set set = {0};
    float *mine = NULL, *theirs = NULL;
    bool ok = load(&set, path, policy, false) && (mine = score(device, &set, policy)) != NULL &&
              (theirs = score(device, &set, sft)) != NULL;
    double sum = 0;
    for (size_t i = 0; ok && i < set.rows.count; i++)
        sum += (double)mine[i] - (double)theirs[i];
    if (ok) m->kl = sum / (double)set.rows.count;
    mem_free(mine);
    mem_free(theirs);
    data_finish(&set);
    return ok;
}

static bool measure_accuracy(struct demo_measures *m, struct vk_device *device, const char *dir,
                             const struct api_model *policy, const struct api_model *sft)
{
    struct data_set set = {0};
    struct train_config config;
    struct train_metrics metrics = {0};
    train_config_init(&config);
    char *path = file_join(dir, "held_out.jsonl");
    struct train_stepper *st = NULL;
    bool ok = load(&set, path, policy, true) &&
              (st = open_stepper(device, &config, policy, sft)) != NULL &&
              train_evaluate(&(struct train_evaluation){.stepper = st,
                                                        .set = &set,
                                                        .pairs = true,
                                                        .beta = config.beta,
                                                        .rows_at_once = ROWS_AT_ONCE},
                             &metrics);
    if (ok) m->reward_accuracy = train_metrics_mean(&metrics, METRIC_REWARDS_ACCURACIES);
    train_stepper_destroy(st);
    data_finish(&set);
    train_config_finish(&config);
    mem_free(path);
    return ok;
}

// ---- all of it ----

double demo_judged(const struct demo_measures *m)
{
    return m->stories ? (double)m->verdicts[DEMO_ENDS_WELL] / m->stories : 0;
}

bool demo_measure(struct demo_measures *m, struct vk_device *device, const char *dir,
                  const char *name, uint64_t seed)
{
    struct api_model policy = {0}, sft = {0};
    struct stories stories = {0};
    struct str text = {0};
    char *path = str_format("%s/%s-stories.jsonl", dir, name);
    *m = (struct demo_measures){0};
    bool ok = open_model(&policy, device, dir, name) && open_model(&sft, device, dir, "sft") &&
              ask_all(&stories, policy.tokenizer) && tell(&stories, &policy, seed);
    if (ok) judge(m, &stories, &text);
    ok = ok && file_write_whole(path, str_text(&text), text.len) &&
         measure_kl(m, device, path, &policy, &sft) &&
         measure_accuracy(m, device, dir, &policy, &sft);
    str_finish(&text);
    forget(&stories);
    api_model_finish(&policy);
    api_model_finish(&sft);
    mem_free(path);
    return ok;
}

void demo_measures_finish(struct demo_measures *m)
{
    for (int i = 0; i < DEMO_SHOWN; i++) {
        mem_free(m->prompts[i]);
        mem_free(m->texts[i]);
    }
    *m = (struct demo_measures){0};
}
