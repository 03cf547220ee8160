/* Requests on the control socket; see control_request.h. */
#include "daemon/control_request.h"

#include "daemon/base/exit_code.h"
#include "pool/policy.h"

#include <inttypes.h>
#include <string.h>

/* Fills in what `json` asks for; the request has it already. */
static int read_members(struct control_request *request, const char *name, const char *file,
                        struct problem *problem)
{
    json_int_t version;
    const char *meant = NULL;
    json_t *args = NULL;

    if (json_unpack(request->json, "{s:I,s:s,s?s,s?o}", "v", &version, "command", &request->command, "file",
                    &meant, "args", &args) < 0 ||
        (args && !json_is_object(args)))
        return problem_set(problem, EXIT_USAGE,
                           "a request is {\"v\":1,\"command\":NAME,\"file\":PATH,\"args\":{}}");
    if (version != 1)
        return problem_set(problem, EXIT_USAGE,
                           "version %" JSON_INTEGER_FORMAT " of the control protocol is not spoken here",
                           version);
    if (meant && strcmp(meant, file) != 0)
        return problem_set(problem, EXIT_NO_MASTER,
                           "the master that runs here as \"%s\" was started from %s, not from %s", name, file,
                           meant);
    request->args = args;
    return 0;
}

int control_request_init(struct control_request *ret_request, const char *line, size_t length,
                         const char *name, const char *file, struct problem *problem)
{
    json_error_t error;
    struct control_request request = {.json = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error)};

    if (!request.json)
        return problem_set(problem, EXIT_USAGE, "not a JSON object: %s", error.text);
    int code = read_members(&request, name, file, problem);
    if (code == 0)
        *ret_request = request;
    else
        json_decref(request.json);
    return code;
}

void control_request_fini(struct control_request *request)
{
    json_decref(request->json);
    *request = (struct control_request){0};
}

int control_request_scale(const json_t *args, int64_t low, int64_t high, int64_t *ret_number,
                          bool *ret_relative, struct problem *problem)
{
    const json_t *number_json = json_object_get(args, "number");
    const json_t *relative_json = json_object_get(args, "relative");

    if (!json_is_integer(number_json) || !json_is_boolean(relative_json))
        return problem_set(problem, EXIT_USAGE, "scale takes {\"number\":N,\"relative\":true|false}");
    int64_t number = json_integer_value(number_json);
    bool relative = json_is_true(relative_json);
    if (number > (relative ? POLICY_WORKERS_MAX : high) || number < (relative ? -POLICY_WORKERS_MAX : low))
        return problem_set(problem, EXIT_USAGE, "this pool can have %" PRId64 " to %" PRId64 " workers", low,
                           high);
    *ret_number = number;
    *ret_relative = relative;
    return 0;
}
