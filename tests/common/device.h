// The device of a test program, opened once for all its tests.
#ifndef TEST_DEVICE_H
#define TEST_DEVICE_H

#include "vk/device.h"

extern struct vk_device *device;

// Set-up and tear-down of a group of tests.
int device_open(void **state);
int device_close(void **state);

// The same for tests that also have a folder of scratch (scratch.h), named before they begin, and
// keep the program's log quiet.
extern const char *device_scratch;
int device_begin(void **state);
int device_end(void **state);

// The exit code that makes CTest skip the program where the validation layer is asked for and not
// installed, else 0.
int device_skip(void);

#endif
