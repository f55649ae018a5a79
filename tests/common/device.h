// The device of a test program, opened once for all its tests.
#ifndef TEST_DEVICE_H
#define TEST_DEVICE_H

#include "vk/device.h"

extern struct vk_device *device;

// Set-up and tear-down of a group of tests.
int device_open(void **state);
int device_close(void **state);

// The exit code that makes CTest skip the program where the validation layer is asked for and not
// installed, else 0.
int device_skip(void);

#endif
