// The rotary settings of config.json. Internal to hf.
#ifndef TRDPO_HF_CONFIG_ROPE_H
#define TRDPO_HF_CONFIG_ROPE_H

#include "hf/config.h"

// Reads rope_parameters (transformers 5), or rope_theta and rope_scaling (transformers 4), from the
// whole config.json. A file may have both if they agree.
bool hf_config_read_rope(struct hf_rope *rope, const cJSON *json);

#endif
