#include "base/log.h"
#include "cli/command.h"

struct vk_device *cli_device(struct cli *cli)
{
    if (!cli->device)
        cli->device = vk_device_create(
            &(struct vk_device_params){.selector = cli_text(&cli->args, "device"),
                                       .profile = cli_flag(&cli->args, "profile")});
    if (cli->device) log_debug("device: %s", vk_device_caps(cli->device)->name);
    return cli->device;
}

struct vk_device *cli_open_device(void *ctx)
{
    return cli_device(ctx);
}
