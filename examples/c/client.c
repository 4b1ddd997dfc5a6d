/* Loads a cluster, plans the loss of a node, verifies N+2, asks whether one more VM may start, and prints reasons. C99.
 * Build: cargo rustc --release --lib --features capi --crate-type staticlib
 *        cc -std=c99 -Isrc/capi examples/c/client.c target/release/liblifeboat.a -lpthread -ldl -lm -o client
 *        or, once installed (install.sh): cc -std=c99 client.c $(pkg-config --cflags --libs lifeboat) -o client
 * Run:   ./client examples/data/small.json kvm-1 */
#include "lifeboat.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lifeboat_str str(const char *text) {
    lifeboat_str view;
    view.data = text;
    view.length = LIFEBOAT_NUL_TERMINATED;
    return view;
}

/* Ends the program on a failed call. The error is read through its address: C does not say which argument is worked out
 * first, the call or the error. */
static void must(lifeboat_status status, lifeboat_error **error) {
    lifeboat_str message = {"", 0}, details = {"", 0};
    if (status == LIFEBOAT_OK) return;
    if (error) {
        (void)lifeboat_error_message(*error, &message);
        (void)lifeboat_error_details(*error, &details);
    }
    fprintf(stderr, "status %d: %s\n%s", (int)status, message.data, details.data);
    if (error) lifeboat_error_free(*error);
    exit(2);
}

static const char *answer_word(int32_t answer) {
    return answer == LIFEBOAT_YES ? "yes" : answer == LIFEBOAT_NO ? "no" : "undecided";
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

static void print_plan(lifeboat_plan *plan) {
    lifeboat_error *error = NULL;
    lifeboat_plan_summary summary;
    lifeboat_str vm, node, message;
    size_t i, j, reasons;
    uint32_t wave;

    memset(&summary, 0, sizeof summary);
    summary.size = sizeof summary;
    must(lifeboat_plan_summarize(plan, &summary, &error), &error);
    printf("plan: everything protected restarts: %s%s\n", answer_word(summary.answer),
           summary.optimal ? ", and no plan restarts more" : "");
    for (i = 0; i < summary.placements; i++) {
        must(lifeboat_plan_placement(plan, i, &vm, &node, &wave, &error), &error);
        printf("  %s -> %s, wave %u\n", vm.data, node.data, (unsigned)wave);
    }
    for (i = 0; i < summary.unplaced; i++) {
        must(lifeboat_plan_unplaced(plan, i, &vm, &message, &reasons, &error), &error);
        printf("  %s stays down: %s\n", vm.data, message.data);
        for (j = 0; j < reasons; j++) {
            lifeboat_reason reason;
            memset(&reason, 0, sizeof reason);
            reason.size = sizeof reason;
            must(lifeboat_plan_reason(plan, i, j, &reason, &error), &error);
            printf("    %s %s: %lu nodes\n", reason.code.data, reason.name.data, (unsigned long)reason.nodes);
        }
    }
    for (i = 0; i < summary.classes; i++) {
        lifeboat_plan_class_counts counts;
        memset(&counts, 0, sizeof counts);
        counts.size = sizeof counts;
        must(lifeboat_plan_class(plan, i, &counts, &error), &error);
        printf("  priority %u: %u of %u, at most %u\n", (unsigned)counts.priority, (unsigned)counts.placed,
               (unsigned)counts.displaced, (unsigned)counts.bound);
    }
}

/* Whether any two nodes may fail, and the plan that the certificate has for one. */
static void verify_n_plus_2(lifeboat_cluster *cluster, lifeboat_policy *policy, const lifeboat_unit *lost) {
    lifeboat_error *error = NULL;
    lifeboat_verdict *verdict = NULL;
    lifeboat_certificate *certificate = NULL, *loaded = NULL;
    lifeboat_buffer *stored = NULL;
    lifeboat_plan *plan = NULL;
    lifeboat_tolerance_spec two;
    lifeboat_str level = str("node"), text;
    uint32_t count = 2;
    int32_t answer;
    size_t classes, i, j;

    memset(&two, 0, sizeof two);
    two.size = sizeof two;
    two.levels = &level;
    two.counts = &count;
    two.level_count = 1;
    must(lifeboat_policy_tolerate_nothing(policy, &error), &error);
    must(lifeboat_policy_tolerate(policy, &two, &error), &error);
    must(lifeboat_verify(cluster, policy, NULL, &verdict, &error), &error);
    must(lifeboat_verdict_summary(verdict, &answer, &classes, &error), &error);
    printf("N+2: %s\n", answer_word(answer));
    for (i = 0; i < classes; i++) {
        lifeboat_class_verdict class_verdict;
        memset(&class_verdict, 0, sizeof class_verdict);
        class_verdict.size = sizeof class_verdict;
        must(lifeboat_verdict_class(verdict, i, &class_verdict, &error), &error);
        printf("  %s (%s failures)\n", class_verdict.message.data, class_verdict.scenarios.data);
        for (j = 0; j < class_verdict.counterexample_units; j++) {
            lifeboat_unit unit;
            must(lifeboat_verdict_counterexample_unit(verdict, i, j, &unit, &error), &error);
            printf("    not together: %s %s\n", unit.level.data, unit.name.data);
        }
    }
    if (answer == LIFEBOAT_YES) {
        must(lifeboat_verdict_certificates(verdict, &certificate, &error), &error);
        must(lifeboat_certificate_to_json(certificate, cluster, &stored, &error), &error);
        must(lifeboat_buffer_text(stored, &text), NULL);
        must(lifeboat_certificate_from_json(cluster, text, &loaded, &error), &error);
        must(lifeboat_certificate_check(loaded, cluster, policy, NULL, &error), &error);
        printf("  the certificate was stored, loaded and checked: %lu bytes\n", (unsigned long)text.length);
        must(lifeboat_plan_restart_with(loaded, 0, cluster, policy, lost, 1, NULL, &plan, &error), &error);
        print_plan(plan);
    }
    lifeboat_plan_free(plan);
    lifeboat_buffer_free(stored);
    lifeboat_certificate_free(loaded);
    lifeboat_certificate_free(certificate);
    lifeboat_verdict_free(verdict);
}

/* Whether one more VM may be started with everything kept. */
static void admit(lifeboat_cluster *cluster, lifeboat_policy *policy, const char *changes) {
    lifeboat_error *error = NULL;
    lifeboat_guard *judge = NULL;
    lifeboat_decision *decision = NULL;
    lifeboat_decision_summary summary;
    lifeboat_str vm, node;
    size_t i;

    must(lifeboat_guard_new(cluster, policy, &judge, &error), &error);
    must(lifeboat_guard_admit(judge, str(changes), NULL, &decision, &error), &error);
    memset(&summary, 0, sizeof summary);
    summary.size = sizeof summary;
    must(lifeboat_decision_summarize(decision, &summary, &error), &error);
    printf("admit: %s\n", answer_word(summary.answer));
    for (i = 0; summary.answer == LIFEBOAT_YES && i < summary.placed; i++) {
        must(lifeboat_decision_placed(decision, i, &vm, &node, &error), &error);
        printf("  %s -> %s\n", vm.data, node.data);
    }
    for (i = 0; i < summary.violations; i++) {
        lifeboat_violation violation;
        memset(&violation, 0, sizeof violation);
        violation.size = sizeof violation;
        must(lifeboat_decision_violation(decision, i, &violation, &error), &error);
        printf("  %s: %s\n", violation.code.data, violation.message.data);
    }
    if (summary.answer == LIFEBOAT_YES) {
        must(lifeboat_guard_apply(judge, decision, &error), &error);
        if (lifeboat_guard_apply(judge, decision, NULL) != LIFEBOAT_STALE) exit(3);
    } else if (lifeboat_guard_apply(judge, decision, NULL) != LIFEBOAT_REFUSED) {
        exit(3);
    }
    lifeboat_decision_free(decision);
    lifeboat_guard_free(judge);
}

int main(int argc, char **argv) {
    lifeboat_error *error = NULL;
    lifeboat_cluster *cluster = NULL;
    lifeboat_policy *policy = NULL;
    lifeboat_plan *plan = NULL;
    lifeboat_buffer *compared = NULL;
    lifeboat_str document;
    lifeboat_unit lost;
    int64_t least, most;

    if (argc != 3) { fprintf(stderr, "usage: %s CLUSTER.json NODE\n", argv[0]); return 2; }
    if (lifeboat_abi_version() < LIFEBOAT_ABI_VERSION) { fprintf(stderr, "the library is too old\n"); return 2; }
    document.data = read_file(argv[1], &document.length);
    must(lifeboat_cluster_from_json(document, &cluster, &policy, &error), &error);
    free((void *)document.data);

    lost.level = str("node");
    lost.name = str(argv[2]);
    must(lifeboat_plan_restart(cluster, policy, &lost, 1, NULL, &plan, &error), &error);
    print_plan(plan);
    must(lifeboat_max_tolerable(cluster, policy, str("node"), NULL, &least, &most, &error), &error);
    printf("nodes that may be lost: %ld to %ld\n", (long)least, (long)most);
    verify_n_plus_2(cluster, policy, &lost);
    admit(cluster, policy,
          "{\"op\": \"add_vm\", \"vm\": {\"name\": \"new\", \"demand\": {\"cpu\": 100, \"memory\": 256}, \"power\": \"on\"}}");
    admit(cluster, policy,
          "{\"op\": \"add_vm\", \"vm\": {\"name\": \"new\", \"demand\": {\"cpu\": 100, \"memory\": 999999999}, \"power\": \"on\"}}");
    must(lifeboat_compare(cluster, policy, NULL, &compared, &error), &error);

    /* What fails says why. */
    if (lifeboat_plan_restart(cluster, policy, &lost, 1, NULL, NULL, &error) != LIFEBOAT_NULL_ARGUMENT) return 3;
    lifeboat_error_free(error);

    lifeboat_buffer_free(compared);
    lifeboat_plan_free(plan);
    lifeboat_policy_free(policy);
    lifeboat_cluster_free(cluster);
    return 0;
}
