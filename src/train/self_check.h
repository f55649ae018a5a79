// What the first step must find where policy and reference begin as the same model.
#ifndef TRDPO_TRAIN_SELF_CHECK_H
#define TRDPO_TRAIN_SELF_CHECK_H

#include "train/stepper.h"

// The loss of a row (of KTO: of a desirable one, or of an undesirable one) whose policy and
// reference agree in every token. False, without touching *loss, if it is not a constant: a term
// without a reference (next-token losses, simpo, orpo) or WPO's weights are part of it.
bool train_loss_of_agreement(const struct train_config *c, bool desirable, double *loss);

// Rewards of the first step's rows must be 0, and losses what train_loss_of_agreement() says, where
// it does. err_device naming what was found: this program or the device computes wrongly. Logs that
// all is well otherwise.
bool train_self_check(const struct train_config *c, const union train_row_metrics *rows,
                      uint32_t count);

#endif
