/* Answers one question: a request lifeboat-request/1 on standard input, the answer on standard output, and 0 yes, 1 no,
 * 2 bad input, 3 undecided as the exit status. Enough for scripts; clients.sh shows it from a shell. C99. */
#include "lifeboat.h"
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    lifeboat_buffer *buffer = NULL;
    lifeboat_str request, answer;
    size_t room = 1 << 16, got;
    int32_t exit_status = 2;
    char *text = malloc(room);

    request.length = 0;
    while (text && (got = fread(text + request.length, 1, room - request.length, stdin)) > 0) {
        request.length += got;
        if (request.length == room) text = realloc(text, room *= 2);
    }
    if (!text) { perror("ask"); return 2; }
    request.data = text;
    if (lifeboat_json_call(request, NULL, &exit_status, &buffer, NULL) == LIFEBOAT_OK &&
        lifeboat_buffer_text(buffer, &answer) == LIFEBOAT_OK) {
        fwrite(answer.data, 1, answer.length, stdout);
    }
    lifeboat_buffer_free(buffer);
    free(text);
    return exit_status;
}
