#include "cli/study/train.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/lab/probe.h"
#include "cli/study/world.h"
#include "train/trainer.h"

static struct vk_device *give_device(void *ctx)
{
    const struct study *s = ctx;
    return s->device;
}

// The model stays; what a resume would need takes ten times its room.
static bool remove_checkpoints(const char *dir)
{
    char **names;
    size_t count;
    if (!file_list(dir, &names, &count)) return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        if (!str_starts_with(names[i], "checkpoint-")) continue;
        char *path = file_join(dir, names[i]);
        ok = file_remove_tree(path);
        mem_free(path);
    }
    file_list_free(names, count);
    return ok;
}

bool study_train_with(struct study *s, const char *const (*settings)[2])
{
    struct train_config config;
    train_config_init(&config);
    bool ok = train_config_set(&config, "overwrite_output_dir", "true", "study");
    for (; ok && (*settings)[0]; settings++)
        ok = train_config_set(&config, (*settings)[0], (*settings)[1], "study");
    ok = ok && train_config_check(&config);
    // Dozens of runs would bury what the study itself has to say.
    enum log_level level = log_get_level();
    if (level == LOG_INFO) log_set_level(LOG_WARN);
    enum train_outcome outcome = ok ? train_run_all(&config, give_device, s) : TRAIN_FAILED;
    log_set_level(level);
    if (outcome == TRAIN_STOPPED) err_device("stopped by a signal");
    ok = outcome == TRAIN_FINISHED && remove_checkpoints(config.output_dir);
    train_config_finish(&config);
    return ok;
}

bool study_measure(struct study *s, struct api_model *policy, uint64_t seed,
                   struct study_measures *m)
{
    struct lab_samples answers;
    uint32_t count = (uint32_t)s->sizes.answers, *prompts = MEM_ARRAY(uint32_t, count);
    char *held_out = file_join(s->dir, "held_out.jsonl");
    bool ok = true;
    *m = (struct study_measures){0};
    lab_samples_init(&answers, count);
    for (uint32_t p = 0; ok && answers.count < count; p = (p + 1) % STUDY_PROMPTS) {
        if (!study_is_held_out(p)) continue;
        struct str prompt = {0};
        study_prompt(&prompt, p);
        prompts[answers.count] = p;
        ok = lab_samples_add(&answers, policy->tokenizer, &prompt);
        str_finish(&prompt);
    }
    ok = ok && lab_sample(&answers, policy, s->seed ^ (seed << 32), STUDY_MAX_TOKENS);
    for (uint32_t i = 0; ok && i < count; i++) {
        struct study_score score = study_judge(prompts[i], str_text(&answers.texts[i]),
                                               answers.texts[i].len, answers.ended[i]);
        m->reward += study_reward(&score) / count;
        m->things += (double)score.things / count;
        m->whole += (double)score.whole / count;
    }
    ok = ok && lab_kl(&m->kl, &answers, policy, &s->start) &&
         lab_accuracy(&m->accuracy, held_out, policy, &s->start);
    lab_samples_finish(&answers);
    mem_free(prompts);
    mem_free(held_out);
    return ok;
}

bool study_train(struct study *s, const struct study_setting *setting, uint64_t seed,
                 struct study_measures *m)
{
    char *name = study_setting_name(setting);
    char *run = str_format("runs/%s-seed%llu", name, (unsigned long long)seed);
    char *dir = file_join(s->dir, run);
    char *pairs = str_format("%s/pairs-%llu.jsonl", s->dir, (unsigned long long)seed);
    char *sft = file_join(s->dir, "sft"), *epochs = str_format("%d", s->sizes.epochs);
    char *beta = str_format("%.9g", setting->beta), *alpha = str_format("%.9g", setting->alpha);
    char *tau = str_format("%d", setting->tau),
         *shuffle = str_format("%llu", (unsigned long long)seed);
    bool moves = setting->method != STUDY_DPO;
    struct api_model policy = {0};
    const char *const settings[][2] = {{"method", "dpo"},
                                       {"model_name_or_path", sft},
                                       {"dataset_name", pairs},
                                       {"output_dir", dir},
                                       {"beta", beta},
                                       {"sync_ref_model", moves ? "true" : "false"},
                                       {"ref_model_mixup_alpha", moves ? alpha : "0.6"},
                                       {"ref_model_sync_steps", moves ? tau : "512"},
                                       {"max_length", "96"},
                                       {"per_device_train_batch_size", "16"},
                                       {"num_train_epochs", epochs},
                                       {"learning_rate", "2.5e-4"},
                                       {"warmup_steps", "0.1"},
                                       {"seed", shuffle},
                                       {0}};
    bool ok = study_train_with(s, settings) && lab_open(&policy, s->device, s->dir, run) &&
              study_measure(s, &policy, seed, m);
    api_model_finish(&policy);
    char *const texts[] = {name, run, dir, pairs, sft, epochs, beta, alpha, tau, shuffle};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        mem_free(texts[i]);
    return ok;
}
