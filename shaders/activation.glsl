// Activation functions.
#ifndef TRDPO_ACTIVATION_GLSL
#define TRDPO_ACTIVATION_GLSL

// Stays within finite numbers: exp(80) does, and what lies beyond is 0 in fp32.
float sigmoid(float x)
{
    return 1.0 / (1.0 + exp(-max(x, -80.0)));
}

float swiglu(float gate, float up)
{
    return gate * sigmoid(gate) * up;
}

vec4 swiglu(vec4 gate, vec4 up)
{
    return vec4(swiglu(gate.x, up.x), swiglu(gate.y, up.y), swiglu(gate.z, up.z),
                swiglu(gate.w, up.w));
}

#endif
