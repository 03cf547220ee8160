/* Pictures by gnuplot, which works in a directory of its own; see plot.h. */
#include "daemon/simulate/plot.h"

#include "daemon/base/fd.h"
#include "daemon/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define WIDTH  1000
#define HEIGHT 300 /* of each picture */

static const char *const files[] = {"script", "data", "picture"};

/* ---- the directory ---- */

static FILE *open_file(int directory, const char *name)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 ? NULL : fdopen(fd, "w");
}

static int close_file(FILE *stream)
{
    bool failed = ferror(stream) != 0;
    return fclose(stream) != 0 ? -errno : failed ? -EIO : 0;
}

static void remove_all(const char *path, int directory)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        (void)unlinkat(directory, files[i], 0);
    (void)rmdir(path);
}

/* ---- what gnuplot gets ---- */

static const char *suffix_of(const char *file)
{
    const char *suffix = strrchr(file, '.');
    return suffix ? suffix : "";
}

bool plot_is_known(const char *file)
{
    return strcmp(suffix_of(file), ".svg") == 0 || strcmp(suffix_of(file), ".png") == 0;
}

static int write_data(int directory, const struct run_outcome *outcomes, size_t count)
{
    FILE *stream = open_file(directory, "data");
    if (!stream)
        return -errno;
    for (size_t i = 0; i < count; i++) {
        const struct track *track = &outcomes[i].track;
        for (size_t j = 0; j < track->count; j++)
            fprintf(stream, "%g %" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
                    (double)j * (double)track->step_us / 1e6, track->points[j].demand,
                    track->points[j].workers, track->points[j].queue);
        fputs("\n\n", stream);
    }
    return close_file(stream);
}

static int write_script(int directory, const char *file, const struct run_outcome *outcomes, size_t count)
{
    FILE *stream = open_file(directory, "script");
    bool svg = strcmp(suffix_of(file), ".svg") == 0;
    if (!stream)
        return -errno;
    fprintf(
        stream,
        "set terminal %s noenhanced size %d,%zu\nset output 'picture'\nset multiplot layout %zu,1\n"
        "set key outside right\nset xlabel 'seconds'\nset yrange [0:*]\nset style fill solid 0.25 noborder\n",
        svg ? "svg" : "pngcairo", WIDTH, count * HEIGHT, count);
    for (size_t i = 0; i < count; i++)
        fprintf(stream,
                "set title '%s'\nplot 'data' index %zu using 1:2 with filledcurves x1 title 'demand', "
                "'' index %zu using 1:3 with steps lw 2 title 'workers', "
                "'' index %zu using 1:4 with lines title 'queue'\n",
                outcomes[i].name, i, i, i);
    fputs("unset multiplot\nset output\n", stream);
    return close_file(stream);
}

/* ---- gnuplot ---- */

static int run_gnuplot(const char *path, struct problem *problem)
{
    char program[] = "gnuplot", script[] = "script";
    char *const argv[] = {program, script, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, path);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    int error = posix_spawnp(&pid, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == ENOENT)
        return problem_set(problem, -ENOENT,
                           "--plot needs gnuplot, which is not in PATH; Debian has it in gnuplot-nox");
    if (error)
        return problem_set(problem, -error, "gnuplot: %s", strerror(error));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0)
        return problem_set(problem, -EIO, "gnuplot has failed");
    return 0;
}

static int pump(int from, FILE *to)
{
    char buffer[65536];
    ssize_t got;
    while ((got = read(from, buffer, sizeof buffer)) > 0)
        (void)fwrite(buffer, 1, (size_t)got, to);
    int error = got < 0 ? -errno : 0;
    int closed = close_file(to);
    return error ? error : closed;
}

static int copy(int directory, const char *file)
{
    int from = openat(directory, "picture", O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return -errno;
    FILE *to = fopen(file, "we");
    int error = to ? pump(from, to) : -errno;
    close(from);
    return error;
}

static int write_in(const char *path, int directory, const char *file, const struct run_outcome *outcomes,
                    size_t count, struct problem *problem)
{
    int r = write_data(directory, outcomes, count);
    if (r == 0)
        r = write_script(directory, file, outcomes, count);
    if (r != 0)
        return problem_set(problem, r, "%s: %s", path, strerror(-r));
    r = run_gnuplot(path, problem);
    if (r != 0)
        return r;
    r = copy(directory, file);
    return r == 0 ? 0 : problem_set(problem, r, "%s: %s", file, strerror(-r));
}

int plot_write(const char *file, const struct run_outcome *outcomes, size_t count, struct problem *problem)
{
    const char *top = getenv("TMPDIR");
    __attribute__((cleanup(memory_free_text))) char *path =
        memory_text("%s/fcgipool-plot-XXXXXX", top && *top ? top : "/tmp");
    if (!mkdtemp(path))
        return problem_set(problem, -errno, "%s: %s", path, strerror(errno));
    __attribute__((cleanup(fd_close))) int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = directory < 0 ? problem_set(problem, -errno, "%s: %s", path, strerror(errno))
                          : write_in(path, directory, file, outcomes, count, problem);
    remove_all(path, directory);
    return r;
}
