// Keys of a configuration as options of a command line.
#ifndef TRDPO_CLI_KEY_OPTION_H
#define TRDPO_CLI_KEY_OPTION_H

#include "cli/options.h"
#include "train/config.h"

// Its value is read by train_config_set(), which knows what it may be; so all are texts. The help
// may be made for this and is never freed: tables are made once.
struct cli_option cli_option_of_key(const struct train_key *key);

#endif
