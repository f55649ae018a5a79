// The study's task: packing a basket, with a reward that a program computes.
//
// A prompt names an animal and what it is: "Pack for the hungry fox." The answer is a list of
// things, each with a condition: "Take fresh bread, torn scarves, clean ropes." There are four
// kinds of things with four things each, and each of four needs has its kind (the hungry want
// food). Gold points of an answer:
//
//   a sound thing of the kind needed    +3
//   a sound thing of another kind       +1
//   a spoilt thing                      -1
//   a thing named before                -1, whatever its condition
//   every thing past the fourth         -3, whatever it is
//   anything that is not such a list    -3, once; what follows it does not count
//
// The gold reward is points / 12: 1 for the four things needed, all sound, and nothing more.
#ifndef TRDPO_CLI_STUDY_WORLD_H
#define TRDPO_CLI_STUDY_WORLD_H

#include "base/rng.h"
#include "base/str.h"

#define STUDY_PROMPTS 48u // 4 needs x 12 animals

// Prompts that answers are measured on, and that no preference is about. Every need and every
// animal is among both halves.
bool study_is_held_out(uint32_t prompt);

// "Pack for the hungry fox.\n", appended.
void study_prompt(struct str *out, uint32_t prompt);

// An answer as the corpus has them, appended: one to six different things, rarely more than four,
// drawn without regard to the prompt; half of them sound.
void study_answer(struct str *out, struct rng *rng);

// What an answer is worth.
struct study_score {
    int points;
    uint32_t things; // listed before the end, or before what is no list
    bool whole;      // a list to its end
};
// `ended`: the answer was ended by its author and not cut off.
struct study_score study_judge(uint32_t prompt, const char *text, size_t len, bool ended);
double study_reward(const struct study_score *s);

// Calls `each` for every word, punctuation aside, with the blank before it where it has one.
void study_words(void (*each)(void *ctx, const char *word), void *ctx);

#endif
