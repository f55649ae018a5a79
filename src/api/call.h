// What every function of the public header does first and last. Internal to api.
#ifndef TRDPO_API_CALL_H
#define TRDPO_API_CALL_H

#include "trdpo/trdpo.h"
#include "vk/device.h"

struct trdpo_device {
    struct vk_device *vk;
};

// Forgets the last error and makes sure that a process that did not ask for messages gets none.
void api_enter(void);

// The status for a result: the recorded error's kind where `ok` is false.
enum trdpo_status api_leave(bool ok);

#endif
