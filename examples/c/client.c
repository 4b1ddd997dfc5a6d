/* Loads a cluster, plans the loss of a node, verifies N+2, and prints why VMs stay down. C99.
 * Build: cargo rustc --release --lib --features capi --crate-type staticlib
 *        cc -std=c99 -Isrc/capi examples/c/client.c target/release/liblifeboat.a -lpthread -ldl -lm -o client
 * Run:   ./client examples/data/small.json kvm-1 */
#include "lifeboat.h"
#include <stdio.h>
#include <stdlib.h>

static lifeboat_str str(const char *text) {
    lifeboat_str view = {text, LIFEBOAT_NUL_TERMINATED};
    return view;
}

/* Ends the program on a failed call. */
static void must(lifeboat_status status, lifeboat_error *error) {
    lifeboat_str message = {"", 0};
    if (status == LIFEBOAT_OK) return;
    (void)lifeboat_error_message(error, &message);
    fprintf(stderr, "status %d: %s\n", (int)status, message.data);
    lifeboat_error_free(error);
    exit(2);
}

/* The whole of a file. */
static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    size_t room = 1 << 16;
    char *text = malloc(room);
    if (!file || !text) { perror(path); exit(2); }
    *length = 0;
    for (;;) {
        size_t got = fread(text + *length, 1, room - *length, file);
        *length += got;
        if (got == 0) break;
        if (*length == room) {
            char *larger = realloc(text, room *= 2);
            if (!larger) { perror(path); exit(2); }
            text = larger;
        }
    }
    if (ferror(file)) { perror(path); exit(2); }
    fclose(file);
    return text;
}

int main(int argc, char **argv) {
    lifeboat_error *error = NULL;
    lifeboat_cluster *cluster = NULL;
    lifeboat_policy *policy = NULL;
    lifeboat_plan *plan = NULL;
    lifeboat_verdict *verdict = NULL;
    lifeboat_buffer *stored = NULL;
    lifeboat_str document, failed, text;
    int32_t state, optimal, answer;
    size_t placed, unplaced, classes, reasons, i, j;

    if (argc != 3) { fprintf(stderr, "usage: %s CLUSTER.json NODE\n", argv[0]); return 2; }
    if (lifeboat_abi_version() < LIFEBOAT_ABI_VERSION) { fprintf(stderr, "the library is too old\n"); return 2; }
    document.data = read_file(argv[1], &document.length);
    must(lifeboat_cluster_from_json(document, &cluster, &policy, &error), error);
    free((void *)document.data);

    failed = str(argv[2]);
    must(lifeboat_plan_restart(cluster, policy, &failed, 1, NULL, &plan, &error), error);
    must(lifeboat_plan_summary(plan, &state, &optimal, &placed, &unplaced, &error), error);
    printf("plan: status %d, optimal %d\n", (int)state, (int)optimal);
    for (i = 0; i < placed; i++) {
        lifeboat_str vm, node;
        uint32_t wave;
        must(lifeboat_plan_placement(plan, i, &vm, &node, &wave, &error), error);
        printf("  %s -> %s, wave %u\n", vm.data, node.data, (unsigned)wave);
    }
    for (i = 0; i < unplaced; i++) {
        lifeboat_str vm, message, code;
        uint64_t nodes;
        must(lifeboat_plan_unplaced(plan, i, &vm, &message, &reasons, &error), error);
        printf("  %s stays down: %s\n", vm.data, message.data);
        for (j = 0; j < reasons; j++) {
            must(lifeboat_plan_reason(plan, i, j, &code, &nodes, &error), error);
            printf("    %s: %lu\n", code.data, (unsigned long)nodes);
        }
    }

    must(lifeboat_policy_tolerate(policy, str("node"), 2, &error), error);
    must(lifeboat_verify(cluster, policy, NULL, &verdict, &error), error);
    must(lifeboat_verdict_summary(verdict, &answer, &classes, &error), error);
    printf("N+2: %d\n", (int)answer);
    for (i = 0; i < classes; i++) {
        int32_t covers;
        must(lifeboat_verdict_class(verdict, i, &answer, &covers, &text, &error), error);
        printf("  %s\n", text.data);
    }
    if (answer == 0) {
        must(lifeboat_verdict_certificates(verdict, &stored, &error), error);
        must(lifeboat_buffer_text(stored, &text), NULL);
        must(lifeboat_certificates_check(cluster, policy, text, &classes, &error), error);
        printf("  certificates checked: %lu\n", (unsigned long)classes);
    }

    lifeboat_buffer_free(stored);
    lifeboat_verdict_free(verdict);
    lifeboat_plan_free(plan);
    lifeboat_policy_free(policy);
    lifeboat_cluster_free(cluster);
    return 0;
}
