// A program as a user of libtrdpo writes it: continues a text with the model of its argument.
#include <stdio.h>
#include <trdpo/trdpo.h>

int main(int argc, char **argv)
{
    struct trdpo_device *device = NULL;
    struct trdpo_model *model = NULL;
    char *text = NULL;
    struct trdpo_generate_params params = {.max_new_tokens = 8};
    if (argc != 2) return 2;
    enum trdpo_status status = trdpo_device_open(NULL, &device);
    if (status == TRDPO_OK) status = trdpo_model_open(device, argv[1], &model);
    if (status == TRDPO_OK) status = trdpo_generate(model, "Question:", &params, &text);
    if (status == TRDPO_OK)
        printf("trdpo %s: %s\n", trdpo_version(), text);
    else
        fprintf(stderr, "%s\n", trdpo_last_error());
    trdpo_string_free(text);
    trdpo_model_close(model);
    trdpo_device_close(device);
    return (int)status;
}
