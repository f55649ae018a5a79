// Activation functions.
#ifndef TRDPO_ACTIVATION_GLSL
#define TRDPO_ACTIVATION_GLSL

// Stays within finite numbers: exp(80) does, and what lies beyond is 0 in fp32.
float sigmoid(float x)
{
    return 1.0 / (1.0 + exp(-max(x, -80.0)));
}

#endif
