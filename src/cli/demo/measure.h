// What the demo measures of a model: stories for prompts it has not been trained to prefer, judged;
// reward accuracy on pairs it has not seen; how far its stories are from those of the SFT model.
#ifndef TRDPO_CLI_DEMO_MEASURE_H
#define TRDPO_CLI_DEMO_MEASURE_H

#include "cli/demo/world.h"
#include "vk/device.h"

#define DEMO_SHOWN 5 // stories kept to be shown

struct demo_measures {
    uint32_t stories;          // sampled at temperature 1
    uint32_t verdicts[4];      // by enum demo_verdict
    double reward_accuracy;    // on held-out pairs, rewards against the SFT model
    double kl;                 // mean over the stories of log p(story) - log p_sft(story), nats
    char *prompts[DEMO_SHOWN]; // the first story of each of five subjects
    char *texts[DEMO_SHOWN];
};

// Share of stories that the judge takes: about the subject asked for, and with a good end.
double demo_judged(const struct demo_measures *m);

// Measures DIR/NAME against DIR/sft. Writes the stories to DIR/NAME-stories.jsonl.
bool demo_measure(struct demo_measures *m, struct vk_device *device, const char *dir,
                  const char *name, uint64_t seed);
void demo_measures_finish(struct demo_measures *m); // accepts a zeroed struct

#endif
