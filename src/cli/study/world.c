#include "cli/study/world.h"

#include "base/mem.h"

#include <string.h>

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof *(a)))
#define KINDS 4u
#define THINGS 16u // four of each kind, kind by kind
#define ROOM 4u    // things that a basket holds
#define BEST 12.0

static const char *const needs[KINDS] = {"hungry", "cold", "busy", "bored"};
static const char *const animals[] = {"fox",  "owl",  "bear", "cat",  "dog",   "hare",
                                      "frog", "duck", "goat", "crow", "mouse", "horse"};
static const char *const things[THINGS] = {"bread",   "pears", "cheese",  "nuts",  //
                                           "scarves", "coats", "gloves",  "socks", //
                                           "ropes",   "saws",  "hammers", "nails", //
                                           "balls",   "drums", "kites",   "dice"};
static const char *const conditions[] = {"fresh", "clean", "good", "new",
                                         "fine",  "dirty", "damp", "broken"};
#define SOUND 5 // the first five of them

_Static_assert(STUDY_PROMPTS == KINDS * COUNT(animals), "a prompt is a need and an animal");

bool study_is_held_out(uint32_t prompt)
{
    return (prompt % COUNT(animals) + prompt / COUNT(animals)) % 4 == 3;
}

void study_prompt(struct str *out, uint32_t prompt)
{
    str_appendf(out, "Pack for the %s %s.\n", needs[prompt / COUNT(animals)],
                animals[prompt % COUNT(animals)]);
}

void study_answer(struct str *out, struct rng *rng)
{
    static const uint32_t lengths[] = {1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 5, 6};
    uint32_t length = lengths[rng_below(rng, COUNT(lengths))], order[THINGS];
    rng_permutation(rng, order, THINGS);
    str_append(out, "Take");
    for (uint32_t i = 0; i < length; i++)
        str_appendf(out, "%s %s %s", i ? "," : "", conditions[rng_below(rng, COUNT(conditions))],
                    things[order[i]]);
    str_append_char(out, '.');
}

// Takes a blank and one of `words` off the front of *text; the word's number, or -1.
static int take(const char **text, const char *const *words, uint32_t count)
{
    if (**text != ' ') return -1;
    for (uint32_t i = 0; i < count; i++) {
        if (!str_starts_with(*text + 1, words[i])) continue;
        *text += 1 + strlen(words[i]);
        return (int)i;
    }
    return -1;
}

struct study_score study_judge(uint32_t prompt, const char *text, size_t len, bool ended)
{
    struct study_score s = {0};
    const char *end = text + len; // a NUL inside the text stops the reading before it
    bool seen[THINGS] = {false};
    bool go_on = str_starts_with(text, "Take");
    if (go_on) text += 4;
    while (go_on) {
        int condition = take(&text, conditions, COUNT(conditions));
        int thing = condition < 0 ? -1 : take(&text, things, THINGS);
        if (thing < 0 || (*text != ',' && *text != '.')) break;
        bool needed = (uint32_t)thing / (THINGS / KINDS) == prompt / COUNT(animals);
        if (++s.things > ROOM)
            s.points -= 3;
        else if (seen[thing] || condition >= SOUND)
            s.points -= 1;
        else
            s.points += needed ? 3 : 1;
        seen[thing] = true;
        go_on = *text == ',';
        s.whole = *text == '.' && text + 1 == end && ended;
        text += go_on;
    }
    if (!s.whole) s.points -= 3;
    return s;
}

double study_reward(const struct study_score *s)
{
    return s->points / BEST;
}

void study_words(void (*each)(void *ctx, const char *word), void *ctx)
{
    static const char *const others[] = {"for", "the"};
    const struct {
        const char *const *words;
        uint32_t count;
    } lists[] = {{others, COUNT(others)},
                 {needs, KINDS},
                 {animals, COUNT(animals)},
                 {conditions, COUNT(conditions)},
                 {things, THINGS}};
    each(ctx, "Pack");
    each(ctx, "Take");
    for (uint32_t l = 0; l < COUNT(lists); l++)
        for (uint32_t i = 0; i < lists[l].count; i++) {
            char *word = str_format(" %s", lists[l].words[i]);
            each(ctx, word);
            mem_free(word);
        }
}
