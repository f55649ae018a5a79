#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"
#include "hf/config.h"
#include "hf/folder.h"
#include "hf/tokenizer.h"
#include "model/weights.h"

static bool check_output(const char *output, bool overwrite)
{
    if (!file_exists(output)) return true;
    if (!file_is_dir(output)) return err_user("--output: %s is a file", output);
    char *weights = file_join(output, "model.safetensors");
    char *index = file_join(output, "model.safetensors.index.json");
    bool holds_model = file_exists(weights), sharded = file_exists(index);
    mem_free(weights);
    mem_free(index);
    // Shards would stay beside the new file, and be another model than it.
    if (sharded) return err_user("--output: %s holds a model in shards: choose another", output);
    if (!holds_model || overwrite) return true;
    return err_user("--output: %s already holds a model: --overwrite replaces it", output);
}

static bool check_tokenizer(const struct hf_config *config, const char *arch, const char *dir)
{
    struct hf_tokenizer *t = hf_tokenizer_load(dir);
    if (!t) return false;
    int32_t ids = hf_tokenizer_id_count(t);
    hf_tokenizer_destroy(t);
    if (ids <= config->vocab_size) return true;
    return err_user("%s has vocab_size %d, too few for the tokenizer of %s, which needs %d", arch,
                    config->vocab_size, dir, ids);
}

static bool write_model(const struct model_weights *weights, const char *arch,
                        const char *tokenizer, const char *output)
{
    static const char *const metadata[] = {"format", "pt", NULL}; // transformers asks for it
    const struct model_weights_part part = {weights, ""};
    bool existed = file_exists(output);
    char *path = file_join(output, "model.safetensors");
    bool ok = file_make_dirs(output) && hf_folder_create(arch, tokenizer, output, DTYPE_F32) &&
              model_weights_save(&part, 1, path, DTYPE_F32, metadata);
    mem_free(path);
    if (!ok && !existed) {
        enum err_kind kind = err_current();
        char *why = mem_strdup(err_message());
        file_remove_tree(output); // nothing half-written stays
        err_set(kind, "%s", why);
        mem_free(why);
    }
    return ok;
}

static bool run(struct cli *cli)
{
    const char *arch = cli_text(&cli->args, "arch"), *output = cli_text(&cli->args, "output");
    const char *tokenizer = cli_text(&cli->args, "tokenizer");
    struct hf_config config;
    if (!hf_config_load(&config, arch) || !check_tokenizer(&config, arch, tokenizer) ||
        !check_output(output, cli_flag(&cli->args, "overwrite")))
        return false;
    struct vk_device *device = cli_device(cli);
    if (!device) return false;
    struct model_config model = model_config_from_hf(&config);
    struct model_layout layout = {0};
    struct model_weights weights = {0};
    bool ok = model_layout_init(&layout, &model, vk_max_span_bytes(device)) &&
              model_weights_init(&weights, device, &layout, MODEL_F32, "weights") &&
              model_weights_randomize(&weights, (uint64_t)cli_int(&cli->args, "seed")) &&
              write_model(&weights, arch, tokenizer, output);
    char count[32];
    if (ok)
        log_info("%s: %s parameters, drawn with seed %lld", output,
                 str_thousands(count, layout.parameters), (long long)cli_int(&cli->args, "seed"));
    model_weights_finish(&weights);
    model_layout_finish(&layout);
    return ok;
}

static const struct cli_option options[] = {
    {"arch", CLI_TEXT, "FILE", .required = true, .help = "config.json of the model to make"},
    {"tokenizer", CLI_TEXT, "DIR", .required = true,
     .help = "folder whose tokenizer files are copied"},
    {"output", CLI_TEXT, "DIR", .required = true, .help = "folder to write"},
    {"seed", CLI_INT, "N", "42", 0, 9007199254740991.0, .help = "seed of the weights"},
    {"overwrite", CLI_FLAG, .help = "replace a model that is in the folder"},
    {0},
};

const struct cli_command cli_command_init = {
    .name = "init",
    .summary = "make a model with random weights from a config.json",
    .synopsis = "--arch FILE --tokenizer DIR --output DIR [options]",
    .details = "The folder opens in transformers. Norms are 1, biases 0, all else normal with the\n"
               "configuration's initializer_range.",
    .options = options,
    .uses = CLI_DEVICE,
    .run = run,
};
