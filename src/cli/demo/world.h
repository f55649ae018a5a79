// The demo's little world: stories about animals, a preference among them, and a judge who knows
// it.
//
// A prompt asks for a story about one of 96 subjects ("the red fox"). A story has three sentences
// and ends well or badly, both equally often in the corpus. The preference is for stories that end
// well. The judge reads the text itself: it must be a story of this world, about the subject asked
// for, with a good end.
#ifndef TRDPO_CLI_DEMO_WORLD_H
#define TRDPO_CLI_DEMO_WORLD_H

#include "base/rng.h"
#include "base/str.h"

#define DEMO_SUBJECTS 96u

// "Tell me about the red fox.\n", appended.
void demo_prompt(struct str *out, uint32_t subject);

// The first two sentences of a story about the subject, and the third; appended.
void demo_opening(struct str *out, struct rng *rng, uint32_t subject);
void demo_end(struct str *out, struct rng *rng, bool well);

enum demo_verdict {
    DEMO_ENDS_WELL,
    DEMO_ENDS_BADLY,
    DEMO_OFF_TOPIC, // a story, but about another animal
    DEMO_NO_STORY,  // not a text of this world
};
enum demo_verdict demo_judge(uint32_t subject, const char *text);

// Calls `each` for every word of the world, punctuation aside, as it stands in texts: with the
// blank before it unless it begins a line. Words may come several times.
void demo_words(void (*each)(void *ctx, const char *word), void *ctx);

#endif
