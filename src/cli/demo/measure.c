#include "cli/demo/measure.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/demo/files.h"
#include "data/dataset.h"
#include "model/generator.h"
#include "train/evaluate.h"

#include <string.h>

#define STORIES_EACH 8
#define MAX_LENGTH 64
#define ROWS_AT_ONCE 64
#define TOKENS_AT_ONCE 2048

// A model folder on the device.
struct model {
    struct model_layout layout;
    struct model_weights weights;
    struct hf_tokenizer *tokenizer;
    char *path;
};

static bool open_model(struct model *m, struct vk_device *device, const char *dir, const char *name)
{
    struct hf_config hf;
    *m = (struct model){.path = file_join(dir, name)};
    if (!hf_config_load(&hf, m->path)) return false;
    m->tokenizer = hf_tokenizer_load(m->path);
    if (!m->tokenizer) return false;
    struct model_config config = model_config_from_hf(&hf);
    return model_layout_init(&m->layout, &config, vk_device_caps(device)->max_allocation_bytes) &&
           model_weights_init(&m->weights, device, &m->layout, name) &&
           model_weights_load(&m->weights, m->path, "");
}

static void close_model(struct model *m)
{
    model_weights_finish(&m->weights);
    model_layout_finish(&m->layout);
    hf_tokenizer_destroy(m->tokenizer);
    mem_free(m->path);
}

// ---- stories ----

// The texts asked for and what came.
struct stories {
    const struct hf_tokenizer *tokenizer;
    uint32_t count, capacity;
    uint32_t *subjects;
    struct hf_ids *prompts, *replies;
};

static bool ask_all(struct stories *s, const struct hf_tokenizer *tokenizer)
{
    uint32_t most = DEMO_SUBJECTS * STORIES_EACH;
    *s = (struct stories){.tokenizer = tokenizer};
    s->subjects = MEM_ARRAY(uint32_t, most);
    s->prompts = MEM_ARRAY(struct hf_ids, most);
    s->replies = MEM_ARRAY(struct hf_ids, most);
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
        ARRAY_FREE(&s->replies[i]);
    }
    mem_free(s->subjects);
    mem_free(s->prompts);
    mem_free(s->replies);
}

static bool keep_token(void *ctx, size_t prompt, int32_t id)
{
    struct stories *s = ctx;
    ARRAY_PUSH(&s->replies[prompt], id);
    return true;
}

static bool tell(struct stories *s, struct vk_device *device, const struct model *m, uint64_t seed)
{
    struct model_generator *g = model_generator_create(
        device, &m->weights,
        &(struct model_generator_params){.sequences = 32, .max_length = MAX_LENGTH});
    if (!g) return false;
    struct model_prompt *prompts = MEM_ARRAY(struct model_prompt, s->count);
    for (uint32_t i = 0; i < s->count; i++)
        prompts[i] = (struct model_prompt){s->prompts[i].items, (uint32_t)s->prompts[i].count};
    int32_t eos = hf_tokenizer_eos(m->tokenizer);
    bool ok =
        model_generate(g, prompts, s->count,
                       &(struct model_generation){.sampling = {.temperature = 1, .seed = seed},
                                                  .max_new_tokens = MAX_LENGTH,
                                                  .eos = &eos,
                                                  .eos_count = 1,
                                                  .on_token = keep_token,
                                                  .ctx = s});
    mem_free(prompts);
    model_generator_destroy(g);
    return ok;
}

// Judges every story and appends it to `out` as a line of JSON.
static bool judge(struct demo_measures *m, const struct stories *s, struct str *out)
{
    uint32_t shown = 0;
    m->stories = s->count;
    for (uint32_t i = 0; i < s->count; i++) {
        struct str prompt = {0}, text = {0};
        demo_prompt(&prompt, s->subjects[i]);
        if (!hf_tokenizer_decode(s->tokenizer, s->replies[i].items, s->replies[i].count, true,
                                 &text))
            return false;
        m->verdicts[demo_judge(s->subjects[i], str_text(&text))]++;
        str_append(out, "{\"prompt\": ");
        json_append_string(out, prompt.data, prompt.len);
        str_append(out, ", \"completion\": ");
        json_append_string(out, str_text(&text), text.len);
        str_append(out, "}\n");
        if (shown < DEMO_SHOWN) {
            m->prompts[shown] = str_take(&prompt);
            m->texts[shown++] = text.data ? str_take(&text) : mem_strdup("");
        }
        str_finish(&prompt);
        str_finish(&text);
    }
    return true;
}

// ---- log-probs ----

static struct train_stepper *open_stepper(struct vk_device *device,
                                          const struct train_config *config,
                                          const struct model *policy, const struct model *ref)
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

static bool load(struct data_set *set, const char *path, const struct model *m, bool pairs)
{
    return data_load(set, &(struct data_params){.path = path,
                                                .tokenizer = m->tokenizer,
                                                .pairs = pairs,
                                                .completion_only = true,
                                                .max_length = MAX_LENGTH});
}

// Log-prob of every row's completion under the model; mem_free(). NULL on failure.
static float *score(struct vk_device *device, const struct data_set *set, const struct model *m)
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
                       const struct model *policy, const struct model *sft)
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
                             const struct model *policy, const struct model *sft)
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
    struct model policy = {0}, sft = {0};
    struct stories stories = {0};
    struct str text = {0};
    char *path = str_format("%s/%s-stories.jsonl", dir, name);
    *m = (struct demo_measures){0};
    bool ok = open_model(&policy, device, dir, name) && open_model(&sft, device, dir, "sft") &&
              ask_all(&stories, policy.tokenizer) && tell(&stories, device, &policy, seed) &&
              judge(m, &stories, &text) && file_write_whole(path, str_text(&text), text.len) &&
              measure_kl(m, device, path, &policy, &sft) &&
              measure_accuracy(m, device, dir, &policy, &sft);
    str_finish(&text);
    forget(&stories);
    close_model(&policy);
    close_model(&sft);
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
