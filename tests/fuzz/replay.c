/*
 * Runs a harness over every file of the folders named as arguments: the corpora as ordinary tests, for
 * compilers without libFuzzer. The file at hand is named when a harness gives up on it.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20 };

static char current[4096];

static void name_the_file(int number)
{
    static const char text[] = "while replaying ";

    if (write(STDERR_FILENO, text, sizeof text - 1) > 0 &&
        write(STDERR_FILENO, current, strlen(current)) > 0 && write(STDERR_FILENO, "\n", 1) > 0) {
    }
    signal(number, SIG_DFL);
    raise(number);
}

/* The copy has just the size of the file, so that a sanitizer sees reads beyond it. */
static bool replay_file(void)
{
    static uint8_t buffer[FILE_MAX];
    FILE *file = fopen(current, "rb");
    size_t size = file ? fread(buffer, 1, sizeof buffer, file) : 0;
    uint8_t *copy = malloc(size + 1);
    bool read = file && !ferror(file) && copy;

    if (read) {
        bytes_copy(copy + 1, (struct bytes){buffer, size});
        LLVMFuzzerTestOneInput(copy + 1, size);
    } else {
        perror(current);
    }
    free(copy);
    if (file)
        fclose(file);
    return read;
}

/* Returns the number of files, or -1. */
static int replay_folder(const char *folder)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    int count = 0;

    if (!directory) {
        perror(folder);
        return -1;
    }
    while (count >= 0 && (entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(current, sizeof current, "%s/%s", folder, entry->d_name);
        count = replay_file() ? count + 1 : -1;
    }
    closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    signal(SIGABRT, name_the_file);
    signal(SIGSEGV, name_the_file);
    for (int i = 1; i < argc; i++) {
        int count = replay_folder(argv[i]);

        if (count <= 0) {
            fprintf(stderr, "%s: nothing was replayed\n", argv[i]);
            return EXIT_FAILURE;
        }
        printf("%s: %d files\n", argv[i], count);
    }
    return argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
