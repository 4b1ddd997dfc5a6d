/* lifeboat: decides where every VM restarts when hosts fail, and proves beforehand that there will be room.
 *
 * Ownership. A handle that a call gives belongs to the caller, who frees it with the function of its type; NULL is
 * fine. Results own their data: a plan does not need the cluster any more. Strings out are views, followed by NUL, and
 * valid until the handle that they came from is freed. Strings in are copied.
 *
 * Threads. Nothing is global. A handle serves one call at a time: a second one gets LIFEBOAT_BUSY. Only
 * lifeboat_cancel_set may be called while another call uses its flag. Free a handle when no other call can use it.
 *
 * Errors. Every call returns a status; 0 is success. `error` may be NULL; else, only on failure, it receives an error
 * to read and free. Out-parameters before it must not be NULL unless said. A panic inside is LIFEBOAT_PANIC; the
 * handles that the call used can then only be freed. Using a handle after it was freed is
 * undefined, as with any pointer; LIFEBOAT_BAD_HANDLE speaks of handles of another type.
 *
 * Units. Amounts stand in the order of the document's resource kinds and in their units. Budgets are node
 * evaluations.
 *
 * ABI policy. From the first release on nothing here changes its name, type or number; calls are added, and each
 * addition raises the version. A caller needs at least the version that it was built with. Numbers of statuses are
 * never used again. */
#ifndef LIFEBOAT_H
#define LIFEBOAT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LIFEBOAT_ABI_VERSION 1
/* As a length: the string ends in NUL. */
#define LIFEBOAT_NUL_TERMINATED SIZE_MAX

typedef int32_t lifeboat_status;
#define LIFEBOAT_OK 0
#define LIFEBOAT_NULL_ARGUMENT 1
#define LIFEBOAT_INVALID_ARGUMENT 2
#define LIFEBOAT_NOT_UTF8 3
#define LIFEBOAT_BAD_HANDLE 4
#define LIFEBOAT_BUSY 5
#define LIFEBOAT_POISONED 6
#define LIFEBOAT_PANIC 7
#define LIFEBOAT_BAD_DOCUMENT 8
#define LIFEBOAT_REFUSED 9
#define LIFEBOAT_NOT_FOUND 10
#define LIFEBOAT_CANCELLED 11
#define LIFEBOAT_NOT_VALID 12

typedef struct lifeboat_str { const char *data; size_t length; } lifeboat_str;
typedef struct lifeboat_error lifeboat_error;
typedef struct lifeboat_cluster lifeboat_cluster;
typedef struct lifeboat_policy lifeboat_policy;
typedef struct lifeboat_plan lifeboat_plan;
typedef struct lifeboat_verdict lifeboat_verdict;
typedef struct lifeboat_buffer lifeboat_buffer;
typedef struct lifeboat_cancel lifeboat_cancel;

uint32_t lifeboat_abi_version(void);

lifeboat_status lifeboat_error_free(lifeboat_error *error);
lifeboat_status lifeboat_error_status(lifeboat_error *error, int32_t *out);
lifeboat_status lifeboat_error_message(lifeboat_error *error, lifeboat_str *out);
lifeboat_status lifeboat_buffer_free(lifeboat_buffer *buffer);
lifeboat_status lifeboat_buffer_text(lifeboat_buffer *buffer, lifeboat_str *out);

/* A flag that ends long work with LIFEBOAT_CANCELLED. Once set it stays set. Wherever a call takes one, NULL is fine. */
lifeboat_status lifeboat_cancel_new(lifeboat_cancel **out);
lifeboat_status lifeboat_cancel_set(const lifeboat_cancel *cancel);
lifeboat_status lifeboat_cancel_free(lifeboat_cancel *cancel);

/* A document lifeboat/1 in and out. Either of `cluster` and `policy` may be NULL. The message of an error has all
 * errors of the document, one a line. */
lifeboat_status lifeboat_cluster_from_json(lifeboat_str document, lifeboat_cluster **cluster, lifeboat_policy **policy,
                                           lifeboat_error **error);
lifeboat_status lifeboat_cluster_to_json(lifeboat_cluster *cluster, lifeboat_policy *policy, lifeboat_buffer **out,
                                         lifeboat_error **error);
lifeboat_status lifeboat_cluster_free(lifeboat_cluster *cluster);

/* Edits. One that is refused changes nothing. */
lifeboat_status lifeboat_cluster_add_node(lifeboat_cluster *cluster, lifeboat_str name, const uint64_t *capacity,
                                          size_t count, lifeboat_error **error);
/* A VM that is on; with an empty name of a node it waits for a place. */
lifeboat_status lifeboat_cluster_add_vm(lifeboat_cluster *cluster, lifeboat_str name, const uint64_t *demand,
                                        size_t count, lifeboat_str node, uint32_t priority, lifeboat_error **error);
lifeboat_status lifeboat_cluster_remove_vm(lifeboat_cluster *cluster, lifeboat_str name, lifeboat_error **error);
lifeboat_status lifeboat_cluster_remove_node(lifeboat_cluster *cluster, lifeboat_str name, lifeboat_error **error);
/* `state` as in a document: online, cordoned, maintenance, unreachable, failed. */
lifeboat_status lifeboat_cluster_set_node_state(lifeboat_cluster *cluster, lifeboat_str name, lifeboat_str state,
                                                lifeboat_error **error);

lifeboat_status lifeboat_policy_new(lifeboat_policy **out, lifeboat_error **error);
/* Replaces the whole tolerance by one class: up to `count` domains of `level` ("node": nodes). */
lifeboat_status lifeboat_policy_tolerate(lifeboat_policy *policy, lifeboat_str level, uint32_t count,
                                         lifeboat_error **error);
lifeboat_status lifeboat_policy_budget_verify(lifeboat_policy *policy, uint64_t units, lifeboat_error **error);
lifeboat_status lifeboat_policy_free(lifeboat_policy *policy);

/* Where every VM restarts after these nodes fail. */
lifeboat_status lifeboat_plan_restart(lifeboat_cluster *cluster, lifeboat_policy *policy, const lifeboat_str *failed,
                                      size_t count, const lifeboat_cancel *cancel, lifeboat_plan **out,
                                      lifeboat_error **error);
/* `state`: 0 complete, 1 short (proved), 3 unproved. */
lifeboat_status lifeboat_plan_summary(lifeboat_plan *plan, int32_t *state, int32_t *optimal, size_t *placements,
                                      size_t *unplaced, lifeboat_error **error);
lifeboat_status lifeboat_plan_placement(lifeboat_plan *plan, size_t index, lifeboat_str *vm, lifeboat_str *node,
                                        uint32_t *wave, lifeboat_error **error);
lifeboat_status lifeboat_plan_unplaced(lifeboat_plan *plan, size_t index, lifeboat_str *vm, lifeboat_str *message,
                                       size_t *reasons, lifeboat_error **error);
lifeboat_status lifeboat_plan_reason(lifeboat_plan *plan, size_t unplaced, size_t index, lifeboat_str *code,
                                     uint64_t *nodes, lifeboat_error **error);
lifeboat_status lifeboat_plan_free(lifeboat_plan *plan);

/* Whether every failure in the policy's tolerance is survived. `answer`: 0 holds, 1 fails, 3 undecided. `covers`: 0
 * nothing, 1 losses at once, 2 losses in any order. */
lifeboat_status lifeboat_verify(lifeboat_cluster *cluster, lifeboat_policy *policy, const lifeboat_cancel *cancel,
                                lifeboat_verdict **out, lifeboat_error **error);
lifeboat_status lifeboat_verdict_summary(lifeboat_verdict *verdict, int32_t *answer, size_t *classes,
                                         lifeboat_error **error);
lifeboat_status lifeboat_verdict_class(lifeboat_verdict *verdict, size_t index, int32_t *answer, int32_t *covers,
                                       lifeboat_str *message, lifeboat_error **error);
/* The certificates of the classes that hold, as lifeboat-certificate/1, and the independent check of such. */
lifeboat_status lifeboat_verdict_certificates(lifeboat_verdict *verdict, lifeboat_buffer **out,
                                              lifeboat_error **error);
lifeboat_status lifeboat_certificates_check(lifeboat_cluster *cluster, lifeboat_policy *policy,
                                            lifeboat_str certificates, size_t *classes, lifeboat_error **error);
lifeboat_status lifeboat_verdict_free(lifeboat_verdict *verdict);

/* How many units of a level may be lost, as an interval; -1: none, not even what waits already has a place. */
lifeboat_status lifeboat_max_tolerable(lifeboat_cluster *cluster, lifeboat_policy *policy, lifeboat_str level,
                                       const lifeboat_cancel *cancel, int64_t *least, int64_t *most,
                                       lifeboat_error **error);

#ifdef __cplusplus
}
#endif
#endif
