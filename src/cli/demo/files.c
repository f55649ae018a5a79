#include "cli/demo/files.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/demo/world.h"
#include "cli/lab/start.h"
#include "demo_configs.h" // made by CMake from configs/demo/*.yaml

#include <string.h>

#define CORPUS_ROWS 1536
#define PREFERENCE_ROWS 512
#define HELD_OUT_ROWS 96

bool demo_is_held_out(uint32_t subject)
{
    return subject % 5 == 2; // every colour and every animal is among both halves
}

static bool write_corpus(const char *dir, uint64_t seed)
{
    struct rng rng = rng_begin(seed, RNG_DEMO);
    struct str text = {0};
    for (int i = 0; i < CORPUS_ROWS; i++) {
        uint32_t subject = (uint32_t)rng_below(&rng, DEMO_SUBJECTS);
        bool well = rng_below(&rng, 2) == 0;
        struct str prompt = {0}, story = {0};
        demo_prompt(&prompt, subject);
        demo_opening(&story, &rng, subject);
        demo_end(&story, &rng, well);
        lab_append_member(&text, "prompt", &prompt);
        lab_append_member(&text, "completion", &story);
        str_append(&text, "}\n");
    }
    return lab_write_text(dir, "corpus.jsonl", &text);
}

static bool write_pairs(const char *dir, const char *name, uint64_t seed, int rows, bool held_out)
{
    struct rng rng = rng_begin(seed, RNG_DEMO + (held_out ? 2u << 8 : 1u << 8));
    struct str text = {0};
    for (int i = 0; i < rows; i++) {
        uint32_t subject;
        do
            subject = (uint32_t)rng_below(&rng, DEMO_SUBJECTS);
        while (demo_is_held_out(subject) != held_out);
        struct str prompt = {0}, chosen = {0}, rejected = {0};
        demo_prompt(&prompt, subject);
        // One opening, two ends: the pair differs in what the preference is about.
        demo_opening(&chosen, &rng, subject);
        str_append(&rejected, str_text(&chosen));
        demo_end(&chosen, &rng, true);
        demo_end(&rejected, &rng, false);
        lab_append_member(&text, "prompt", &prompt);
        lab_append_member(&text, "chosen", &chosen);
        lab_append_member(&text, "rejected", &rejected);
        str_append(&text, "}\n");
    }
    return lab_write_text(dir, name, &text);
}

// Settings from configs/demo with the folder's name in them.
static bool write_settings(const char *dir, const char *name, const char *settings)
{
    static const char mark[] = "trdpo-demo/";
    struct str text = {0};
    for (const char *at = settings; *at;) {
        if (str_starts_with(at, mark)) {
            str_appendf(&text, "%s/", dir);
            at += sizeof mark - 1;
        } else {
            str_append_char(&text, *at++);
        }
    }
    return lab_write_text(dir, name, &text);
}

bool demo_write_files(const char *dir, struct vk_device *device, uint64_t seed)
{
    char *start = file_join(dir, "start");
    bool ok = lab_write_start(&(struct lab_start){.dir = start,
                                                  .device = device,
                                                  .seed = seed,
                                                  .words = demo_words,
                                                  .hidden = 128,
                                                  .intermediate = 384,
                                                  .layers = 4,
                                                  .heads = 4,
                                                  .kv_heads = 2,
                                                  .head_size = 32,
                                                  .positions = 128}) &&
              write_corpus(dir, seed) &&
              write_pairs(dir, "preferences.jsonl", seed, PREFERENCE_ROWS, false) &&
              write_pairs(dir, "held_out.jsonl", seed, HELD_OUT_ROWS, true) &&
              write_settings(dir, "sft.yaml", demo_config_sft) &&
              write_settings(dir, "tr-dpo.yaml", demo_config_tr_dpo) &&
              write_settings(dir, "dpo.yaml", demo_config_dpo);
    mem_free(start);
    return ok;
}
