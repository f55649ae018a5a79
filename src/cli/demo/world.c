#include "cli/demo/world.h"

#include "base/mem.h"

#include <string.h>

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof *(a)))

static const char *const colours[] = {"red",   "blue",  "green", "black",
                                      "white", "brown", "grey",  "golden"};
static const char *const animals[] = {"fox",  "owl",  "bear", "cat",  "dog",   "hare",
                                      "frog", "duck", "goat", "crow", "mouse", "horse"};
static const char *const journeys[] = {
    "walks to the river",   "runs over the hill",     "hides in the wood",  "comes to the old mill",
    "goes down to the sea", "crosses the wide field", "climbs a tall tree", "waits at the gate"};
// No word of a good end is in a bad one.
static const char *const good_ends[] = {"They share some bread.",       "They sing one merry song.",
                                        "They sleep under warm straw.", "They dance until night.",
                                        "They become old friends.",     "They laugh and play."};
static const char *const bad_ends[] = {"They fight with sharp teeth.", "They fall into deep mud.",
                                       "They lose their way.",         "They cry for help.",
                                       "They break every window.",     "They steal my corn."};

static void append_subject(struct str *out, uint32_t subject)
{
    str_appendf(out, "%s %s", colours[subject / COUNT(animals)], animals[subject % COUNT(animals)]);
}

void demo_prompt(struct str *out, uint32_t subject)
{
    str_append(out, "Tell me about the ");
    append_subject(out, subject);
    str_append(out, ".\n");
}

void demo_opening(struct str *out, struct rng *rng, uint32_t subject)
{
    str_append(out, "The ");
    append_subject(out, subject);
    str_appendf(out, " %s. There it meets a ", journeys[rng_below(rng, COUNT(journeys))]);
    append_subject(out, (uint32_t)rng_below(rng, DEMO_SUBJECTS));
    str_append(out, ". ");
}

void demo_end(struct str *out, struct rng *rng, bool well)
{
    str_append(out, well ? good_ends[rng_below(rng, COUNT(good_ends))]
                         : bad_ends[rng_below(rng, COUNT(bad_ends))]);
}

// Takes one of `words` off the front of *text; its number, or -1.
static int take(const char **text, const char *const *words, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!str_starts_with(*text, words[i])) continue;
        *text += strlen(words[i]);
        return (int)i;
    }
    return -1;
}

static bool take_text(const char **text, const char *part)
{
    return take(text, &part, 1) == 0;
}

// The subject at the front of *text, or -1.
static int take_subject(const char **text)
{
    int colour = take(text, colours, COUNT(colours));
    if (colour < 0 || !take_text(text, " ")) return -1;
    int animal = take(text, animals, COUNT(animals));
    return animal < 0 ? -1 : colour * (int)COUNT(animals) + animal;
}

enum demo_verdict demo_judge(uint32_t subject, const char *text)
{
    if (!take_text(&text, "The ")) return DEMO_NO_STORY;
    int who = take_subject(&text);
    if (who < 0 || !take_text(&text, " ") || take(&text, journeys, COUNT(journeys)) < 0 ||
        !take_text(&text, ". There it meets a ") || take_subject(&text) < 0 ||
        !take_text(&text, ". "))
        return DEMO_NO_STORY;
    bool well = take(&text, good_ends, COUNT(good_ends)) >= 0;
    if ((!well && take(&text, bad_ends, COUNT(bad_ends)) < 0) || *text) return DEMO_NO_STORY;
    if (who != (int)subject) return DEMO_OFF_TOPIC;
    return well ? DEMO_ENDS_WELL : DEMO_ENDS_BADLY;
}

// Hands on the words of a text; `blank`: the first has a blank before it.
static void each_word(const char *text, bool blank, void (*each)(void *ctx, const char *word),
                      void *ctx)
{
    while (*text) {
        size_t len = strcspn(text, " .\n");
        if (len) {
            char *word = str_format("%s%.*s", blank ? " " : "", (int)len, text);
            each(ctx, word);
            mem_free(word);
        }
        text += len;
        blank = true;
        text += strspn(text, " .\n");
    }
}

void demo_words(void (*each)(void *ctx, const char *word), void *ctx)
{
    each_word("Tell me about the", false, each, ctx);
    each_word("The", false, each, ctx);
    each_word("There it meets a", true, each, ctx);
    const struct {
        const char *const *texts;
        uint32_t count;
    } lists[] = {{colours, COUNT(colours)},
                 {animals, COUNT(animals)},
                 {journeys, COUNT(journeys)},
                 {good_ends, COUNT(good_ends)},
                 {bad_ends, COUNT(bad_ends)}};
    for (uint32_t l = 0; l < COUNT(lists); l++)
        for (uint32_t i = 0; i < lists[l].count; i++)
            each_word(lists[l].texts[i], true, each, ctx);
}
