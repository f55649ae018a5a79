#include "file.h"

#include "array.h"
#include "error.h"
#include "mem.h"
#include "str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// "PATH: cannot VERB: REASON". A name that leads nowhere is the user's to mend.
static bool failed(const char *path, const char *verb, int error)
{
    bool named_wrong = error == ENOENT || error == ENOTDIR || error == EISDIR ||
                       error == ENAMETOOLONG || error == EEXIST;
    return err_set(named_wrong ? ERR_USER : ERR_DEVICE, "%s: cannot %s: %s", path, verb,
                   strerror(error));
}

// The folder that `path` is in; the caller frees.
static char *parent_of(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    while (len > 1 && path[len - 1] == '/')
        len--;
    return len > 0 ? mem_strndup(path, len) : mem_strdup(".");
}

// Reading

// A descriptor of a file that is no folder, with its status; -1 on failure.
static int open_to_read(const char *path, struct stat *status)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, status) != 0) {
        failed(path, "open", errno);
        if (fd >= 0) close(fd);
        return -1;
    }
    if (S_ISDIR(status->st_mode)) {
        err_user("%s: a folder, where a file is needed", path);
        close(fd);
        return -1;
    }
    return fd;
}

bool file_map_open(struct file_map *map, const char *path)
{
    struct stat status;
    *map = (struct file_map){0};
    int fd = open_to_read(path, &status);
    if (fd < 0) return false;
    bool ok = true;
    if (!S_ISREG(status.st_mode)) {
        ok = err_user("%s: not a regular file", path);
    } else if (status.st_size == 0) {
        map->data = (const uint8_t *)"";
    } else if ((uintmax_t)status.st_size > SIZE_MAX) {
        ok = err_user("%s: too large to map on this system", path);
    } else {
        size_t size = (size_t)status.st_size;
        void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED)
            ok = failed(path, "map", errno);
        else
            *map = (struct file_map){.data = bytes, .size = size, .handle = bytes};
    }
    close(fd);
    return ok;
}

void file_map_close(struct file_map *map)
{
    if (map->handle) munmap(map->handle, map->size);
    *map = (struct file_map){0};
}

// Appends the rest of `fd` to *text, which has room for `capacity` bytes; gives up beyond `limit`.
static bool read_to_end(int fd, const char *path, size_t limit, size_t capacity, char **text,
                        size_t *len)
{
    for (;;) {
        if (*len + 1 >= capacity) {
            capacity = capacity + capacity / 2 + 4096;
            *text = mem_realloc(*text, capacity, 1);
        }
        ssize_t got = read(fd, *text + *len, capacity - *len - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed(path, "read", errno);
        if (got == 0) return true;
        *len += (size_t)got;
        if (*len > limit)
            return err_user("%s: larger than the %zu bytes allowed here", path, limit);
    }
}

char *file_read(const char *path, size_t max_bytes, size_t *len)
{
    struct stat status;
    int fd = open_to_read(path, &status);
    if (fd < 0) return NULL;
    // The size is a hint only: pipes and /proc have none, and a file may grow meanwhile.
    size_t limit = max_bytes ? max_bytes : SIZE_MAX / 4;
    uintmax_t hint = status.st_size > 0 ? (uintmax_t)status.st_size : 0;
    size_t capacity = (hint < limit ? (size_t)hint : 0) + 2;
    char *text = mem_realloc(NULL, capacity, 1);
    *len = 0;
    bool ok = hint <= limit ? read_to_end(fd, path, limit, capacity, &text, len)
                            : err_user("%s: larger than the %zu bytes allowed here", path, limit);
    close(fd);
    if (!ok) {
        mem_free(text);
        return NULL;
    }
    text[*len] = '\0';
    return text;
}

// Writing

// A temporary beside `path`. Its name is this process's own, so that two that write the same file
// do not meet.
static int open_temporary(const char *path, char **temp_path)
{
    static atomic_uint counter;
    for (int tries = 0; tries < 100; tries++) {
        char *name =
            str_format("%s.tmp-%ld-%u", path, (long)getpid(), atomic_fetch_add(&counter, 1));
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        int error = errno;
        if (fd >= 0) {
            *temp_path = name;
            return fd;
        }
        mem_free(name);
        errno = error;
        if (error != EEXIST) break;
    }
    return -1;
}

bool file_create(struct file_writer *w, const char *path)
{
    struct stat status;
    *w = (struct file_writer){0};
    bool exists = stat(path, &status) == 0;
    if (exists && S_ISDIR(status.st_mode))
        return err_user("%s: a folder stands where a file is to be written", path);
    char *temp_path = NULL;
    int fd = exists && !S_ISREG(status.st_mode) ? open(path, O_WRONLY | O_CLOEXEC)
                                                : open_temporary(path, &temp_path);
    if (fd < 0) return failed(path, "create", errno);
    *w = (struct file_writer){
        .stream = fdopen(fd, "wb"), .path = mem_strdup(path), .temp_path = temp_path};
    if (w->stream) return true;
    int error = errno;
    close(fd);
    file_abort(w);
    return failed(path, "create", error);
}

static bool write_failed(struct file_writer *w, int error)
{
    if (!w->failed) w->error = error;
    w->failed = true;
    if (w->error == 0) return err_device("%s: cannot write", w->path);
    return err_device("%s: cannot write: %s", w->path, strerror(w->error));
}

bool file_write(struct file_writer *w, const void *bytes, size_t len)
{
    if (w->failed) return write_failed(w, 0);
    if (len == 0 || fwrite(bytes, 1, len, w->stream) == len) return true;
    return write_failed(w, errno);
}

// Some file systems have nothing to sync and say so with EINVAL.
static bool synced(int fd)
{
    return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS;
}

bool file_commit(struct file_writer *w)
{
    // A failed write through `stream` has left its flag but not its reason; flushing what is still
    // in the buffer usually finds it again.
    bool flagged = ferror(w->stream) != 0;
    errno = 0;
    if (fflush(w->stream) != 0 || flagged) write_failed(w, errno);
    if (!w->failed && !synced(fileno(w->stream))) write_failed(w, errno);
    errno = 0;
    if (fclose(w->stream) != 0) write_failed(w, errno);
    w->stream = NULL;
    if (!w->failed && w->temp_path && rename(w->temp_path, w->path) != 0) write_failed(w, errno);
    if (w->failed) {
        write_failed(w, 0);
        file_abort(w);
        return false;
    }
    bool ok = true;
    if (w->temp_path) {
        mem_free(w->temp_path); // it bears its final name now
        w->temp_path = NULL;
        char *dir = parent_of(w->path);
        ok = file_sync_dir(dir);
        mem_free(dir);
    }
    file_abort(w);
    return ok;
}

void file_abort(struct file_writer *w)
{
    if (w->stream) fclose(w->stream);
    if (w->temp_path) unlink(w->temp_path);
    mem_free(w->path);
    mem_free(w->temp_path);
    *w = (struct file_writer){0};
}

bool file_write_whole(const char *path, const void *bytes, size_t len)
{
    struct file_writer w;
    if (!file_create(&w, path)) return false;
    if (file_write(&w, bytes, len)) return file_commit(&w);
    file_abort(&w);
    return false;
}

bool file_copy(const char *from, const char *to)
{
    enum { CHUNK = 1 << 20 };
    struct stat status;
    struct file_writer w = {0};
    int fd = open_to_read(from, &status);
    if (fd < 0) return false;
    char *chunk = mem_realloc(NULL, CHUNK, 1);
    bool ok = file_create(&w, to);
    for (ssize_t got = 1; ok && got != 0;) {
        got = read(fd, chunk, CHUNK);
        if (got > 0)
            ok = file_write(&w, chunk, (size_t)got);
        else if (got < 0 && errno != EINTR)
            ok = failed(from, "read", errno);
    }
    close(fd);
    mem_free(chunk);
    if (ok) return file_commit(&w);
    file_abort(&w);
    return false;
}

// Files and folders

bool file_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

bool file_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool file_is_dir(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

uint64_t file_size(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    return (uint64_t)status.st_size;
}

bool file_make_dirs(const char *path)
{
    char *partial = mem_strdup(path);
    bool ok = true;
    for (size_t i = 1; ok && i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        partial[i] = '\0';
        // Whatever mkdir says of a folder that is there (EEXIST, EROFS, EACCES), it is there.
        if (mkdir(partial, 0777) != 0) {
            int error = errno;
            if (!file_is_dir(partial)) ok = failed(partial, "create the folder", error);
        }
        partial[i] = path[i];
    }
    mem_free(partial);
    return ok;
}

bool file_remove(const char *path)
{
    if (unlink(path) == 0 || errno == ENOENT) return true;
    return failed(path, "remove", errno);
}

// nftw() calls this on a folder after what is in it. The first failure ends the walk.
static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    if (remove(path) == 0 || errno == ENOENT) return 0;
    failed(path, "remove", errno);
    return 1;
}

bool file_remove_tree(const char *path)
{
    int code = nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS); // PHYS: links are not followed
    if (code == 0 || (code < 0 && errno == ENOENT)) return true;
    return code < 0 ? failed(path, "remove", errno) : false;
}

bool file_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed(path, "open the folder", errno);
    bool ok = synced(fd) || failed(path, "sync the folder", errno);
    close(fd);
    return ok;
}

bool file_rename(const char *from, const char *to)
{
    if (rename(from, to) != 0)
        return err_device("%s: cannot rename to %s: %s", from, to, strerror(errno));
    char *left = parent_of(from), *entered = parent_of(to);
    bool ok = file_sync_dir(entered) && (strcmp(left, entered) == 0 || file_sync_dir(left));
    mem_free(left);
    mem_free(entered);
    return ok;
}

bool file_replace_tree(const char *from, const char *to)
{
    if (!file_is_dir(to)) return file_rename(from, to);
    char *folder = parent_of(to);
    bool ok;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0) {
        ok = file_sync_dir(folder) && file_remove_tree(from);
    } else if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) {
        ok = err_device("%s: cannot take the place of %s: %s", from, to, strerror(errno));
    } else {
        char *old = str_format("%s.removed", from);
        ok = file_remove_tree(old) && file_rename(to, old) && file_rename(from, to) &&
             file_remove_tree(old);
        mem_free(old);
    }
    mem_free(folder);
    return ok;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool file_list(const char *path, char ***names, size_t *count)
{
    struct ARRAY_OF(char *) found = {0};
    *names = NULL;
    *count = 0;
    DIR *dir = opendir(path);
    if (!dir) return failed(path, "list the folder", errno);
    struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        ARRAY_PUSH(&found, mem_strdup(entry->d_name));
    }
    int error = errno;
    closedir(dir);
    if (error != 0) {
        file_list_free(found.items, found.count);
        return failed(path, "list the folder", error);
    }
    if (found.count > 0) qsort(found.items, found.count, sizeof *found.items, compare_names);
    *names = found.items;
    *count = found.count;
    return true;
}

void file_list_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(names[i]);
    mem_free(names);
}

char *file_join(const char *dir, const char *name)
{
    size_t len = strlen(dir);
    bool bare = len == 0 || dir[len - 1] == '/';
    return str_format("%s%s%s", dir, bare ? "" : "/", name);
}

char *file_cache_dir(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (cache && cache[0] == '/') // its standard says to ignore relative paths
        path = file_join(cache, "trdpo-vk");
    else if (home && home[0] != '\0')
        path = file_join(home, ".cache/trdpo-vk");
    if (!path || file_make_dirs(path)) return path;
    err_clear();
    mem_free(path);
    return NULL;
}
