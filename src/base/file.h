// Files and folders. All paths are UTF-8. Every failure is err_device (I/O) unless said otherwise;
// a file that does not exist is err_user, since the user named it.
#ifndef TRDPO_BASE_FILE_H
#define TRDPO_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// A file mapped read-only. An empty file maps to data = "" and size = 0.
struct file_map {
    const uint8_t *data;
    size_t size;
    void *handle; // owner's own
};
bool file_map_open(struct file_map *map, const char *path);
void file_map_close(struct file_map *map); // accepts a zeroed map

// Whole file into a heap buffer with a NUL after it (mem_free). `max_bytes` 0: no limit.
char *file_read(const char *path, size_t max_bytes, size_t *len);

// A file that appears whole or not at all: written under a temporary name in the same folder,
// synced, then renamed over `path` (and the folder synced) by file_commit(). file_abort() removes
// the temporary. Writes may be buffered; any earlier failure is reported by file_commit(), which
// then removes the temporary and leaves what stood at `path` before. A path that names a device or
// pipe (/dev/stdout, /dev/null) is written directly.
struct file_writer {
    FILE *stream;
    char *path, *temp_path; // temp_path is NULL while writing to a device or pipe
    bool failed;
    int error; // errno of the first failure, 0 if unknown
};
bool file_create(struct file_writer *w, const char *path);
bool file_write(struct file_writer *w, const void *bytes, size_t len);
bool file_commit(struct file_writer *w);
void file_abort(struct file_writer *w); // accepts a committed or zeroed writer

// file_create + file_write + file_commit.
bool file_write_whole(const char *path, const void *bytes, size_t len);

// Copies a file byte for byte, whole or not at all.
bool file_copy(const char *from, const char *to);

// Lines of a plain or gzip file (told by content, not by name). A cut or damaged gzip stream is
// err_user naming the file. `line` is NUL-terminated without its newline (a "\r" at its
// end is removed too), and is valid until the next call.
struct file_lines {
    void *gz;
    char *path, *buffer;
    size_t capacity, number; // `number`: of the line last returned, from 1
};
bool file_lines_open(struct file_lines *f, const char *path);
// True with *line set, or with *line NULL at the end; false on failure. Lines over 256 MiB fail.
bool file_lines_next(struct file_lines *f, const char **line, size_t *len);
void file_lines_close(struct file_lines *f); // accepts a zeroed reader

bool file_exists(const char *path);
bool file_is_dir(const char *path);
bool file_same(const char *a, const char *b);       // both exist and are one file or folder
uint64_t file_size(const char *path);               // 0 if there is none
bool file_make_dirs(const char *path);              // like mkdir -p
bool file_remove(const char *path);                 // a file; absent is fine
bool file_remove_tree(const char *path);            // a folder and all in it; absent is fine
bool file_rename(const char *from, const char *to); // atomic, folder synced
// The folder `from` takes the name `to`, whose folder, if there is one, goes: at every moment one
// of the two has that name. (Where the file system cannot exchange names, there is a moment between
// two renames.) A kill may leave the old one as `from`.
bool file_replace_tree(const char *from, const char *to);
bool file_sync_dir(const char *path);

// Names in a folder without "." and "..", sorted bytewise. Free with file_list_free().
bool file_list(const char *path, char ***names, size_t *count);
void file_list_free(char **names, size_t count);

// "a/b" from two parts; caller frees with mem_free().
char *file_join(const char *dir, const char *name);

// The folder for this program's caches ($XDG_CACHE_HOME/trdpo-vk or ~/.cache/trdpo-vk), created
// if need be; NULL (without an error) if there is no home. Caller frees with mem_free().
char *file_cache_dir(void);

#endif
