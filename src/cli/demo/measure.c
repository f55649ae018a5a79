#include "cli/demo/measure.h"

#include "base/file.h"
#include "base/mem.h"
#include "cli/demo/files.h"
#include "cli/lab/probe.h"
#include "cli/lab/start.h"

#define STORIES_EACH 8
#define MAX_NEW_TOKENS 56

static bool ask_all(struct lab_samples *s, uint32_t *subjects, const struct hf_tokenizer *tokenizer)
{
    bool ok = true;
    // Round by round: the first stories are about different subjects.
    for (uint32_t i = 0; ok && i < DEMO_SUBJECTS * STORIES_EACH; i++) {
        uint32_t subject = i % DEMO_SUBJECTS;
        if (!demo_is_held_out(subject)) continue;
        struct str prompt = {0};
        demo_prompt(&prompt, subject);
        subjects[s->count] = subject;
        ok = lab_samples_add(s, tokenizer, &prompt);
        str_finish(&prompt);
    }
    return ok;
}

// Judges every story and appends it to `out` as a line of JSON.
static void judge(struct demo_measures *m, const struct lab_samples *s, const uint32_t *subjects,
                  struct str *out)
{
    m->stories = s->count;
    for (uint32_t i = 0; i < s->count; i++) {
        struct str prompt = {0}, story = {0};
        const char *text = str_text(&s->texts[i]);
        demo_prompt(&prompt, subjects[i]);
        m->verdicts[demo_judge(subjects[i], text)]++;
        if (i < DEMO_SHOWN) {
            m->prompts[i] = mem_strdup(str_text(&prompt));
            m->texts[i] = mem_strdup(text);
        }
        str_append(&story, text); // a NUL would end it: no row may hold one
        lab_append_member(out, "prompt", &prompt);
        lab_append_member(out, "completion", &story);
        str_append(out, "}\n");
    }
}

double demo_judged(const struct demo_measures *m)
{
    return m->stories ? (double)m->verdicts[DEMO_ENDS_WELL] / m->stories : 0;
}

bool demo_measure(struct demo_measures *m, struct vk_device *device, const char *dir,
                  const char *name, uint64_t seed)
{
    struct api_model policy = {0}, sft = {0};
    struct lab_samples stories;
    struct str text = {0};
    uint32_t *subjects = MEM_ARRAY(uint32_t, DEMO_SUBJECTS * STORIES_EACH);
    char *file = str_format("%s-stories.jsonl", name), *held_out = file_join(dir, "held_out.jsonl");
    lab_samples_init(&stories, DEMO_SUBJECTS * STORIES_EACH);
    *m = (struct demo_measures){0};
    bool ok = lab_open(&policy, device, dir, name) && lab_open(&sft, device, dir, "sft") &&
              ask_all(&stories, subjects, policy.tokenizer) &&
              lab_sample(&stories, &policy, seed, MAX_NEW_TOKENS);
    if (ok) judge(m, &stories, subjects, &text);
    ok = ok && lab_write_text(dir, file, &text) && lab_kl(&m->kl, &stories, &policy, &sft) &&
         lab_accuracy(&m->reward_accuracy, held_out, &policy, &sft);
    str_finish(&text);
    lab_samples_finish(&stories);
    api_model_finish(&policy);
    api_model_finish(&sft);
    mem_free(held_out);
    mem_free(file);
    mem_free(subjects);
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
