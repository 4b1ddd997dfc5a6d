/* lifeboat: decides where every VM restarts when hosts fail, and proves beforehand that there will be room.
 *
 * Made from the sources by cbindgen: do not edit.
 *
 * Ownership. A handle that a call gives belongs to the caller, who frees it with the function of its type; NULL is
 * fine. No handle borrows from another: a plan does not need its cluster any more, a guard has a copy of its own.
 * Strings out are views, followed by NUL, valid until the handle that they came from is freed. Strings in, and all
 * lists and structs in, are read during the call and not kept. Out-parameters are looked at before anything is done,
 * `error` too, and are written on success alone, all of them: one that is not aligned is LIFEBOAT_INVALID_ARGUMENT.
 *
 * Handles. Using a handle after it was freed is undefined, as with any pointer, and so is a pointer that is none of
 * this library's. A handle of another type is LIFEBOAT_BAD_HANDLE, NULL is LIFEBOAT_NULL_ARGUMENT.
 *
 * Threads. Nothing is global, and nothing belongs to a thread. A handle serves one call at a time: a second one gets
 * LIFEBOAT_BUSY, at once; it is for the caller to wait or to take turns. So does freeing a handle that is in use: it is
 * not freed, and to be freed again once the call has returned. Different handles can be used at the same time. Only
 * lifeboat_cancel_set and lifeboat_cancel_work_done may be called while another call uses their flag. One flag may serve
 * many calls at a time. A call needs up to 64 KiB of stack, whatever the size of the cluster.
 *
 * Errors. Every call returns a status; LIFEBOAT_OK is success. `error` may be NULL; else, on failure alone, it receives
 * an error to read and free. Out-parameters before it must not be NULL unless said. A panic inside is LIFEBOAT_PANIC;
 * the handles that the call had can then only be freed, and a line about it stands on standard error. (A library built
 * with panic=abort ends the process instead.) Out of memory ends the process: there is no status for it.
 *
 * Answers are no errors: "no" and "undecided" come with LIFEBOAT_OK, and the answer says LIFEBOAT_NO.
 *
 * Structs that begin with `size` are set to zero by the caller, then `size` is set to their sizeof: a library that is
 * newer takes what is left out for absent, one that is older refuses what it does not know (LIFEBOAT_UNSUPPORTED). What
 * is said to be 0, as padding, must be. In a list of such structs all say the same size. lifeboat_str and lifeboat_unit
 * have no size: a string is where it is and how long, a unit is a level and a name, and that is all for ever.
 *
 * Lists. A count that nobody can mean is LIFEBOAT_INVALID_ARGUMENT, before the list is read: more amounts than the
 * cluster has kinds, more kinds or levels than a cluster can have (16 each), more domains of a node than there are levels,
 * more allowed nodes than there are nodes, more units than there are nodes times levels (that of the nodes counted), more
 * than 2^30 labels or groups. Where there is nothing yet, one name may be given, and is not found.
 *
 * Names. Typed calls give no name with a NUL inside: it would read as another in C. A document may, and then the length
 * of a view tells.
 *
 * Units. Amounts stand in the order of the document's resource kinds and in their units; times are in seconds; budgets
 * and work are node evaluations, never time: the same input gives the same answer on every machine.
 *
 * Positions in lists begin with 0; one that is not there is LIFEBOAT_NOT_FOUND.
 *
 * ABI policy. From release 1.0 on nothing here changes its name, type, number or meaning. Calls, statuses and constants
 * are added, structs grow at their end; each addition raises LIFEBOAT_ABI_VERSION by one. The library's soname has the
 * major version of the package, which changes only if something must be taken away. A caller checks that
 * lifeboat_abi_version() is at least the LIFEBOAT_ABI_VERSION that it was built with. Numbers of statuses are never
 * used for anything else. A caller must expect statuses that it does not know. Until 1.0 anything may change. */


#ifndef LIFEBOAT_H
#define LIFEBOAT_H


#include <stddef.h>
#include <stdint.h>

/* As the length of a string: it ends in NUL. */
#define LIFEBOAT_NUL_TERMINATED SIZE_MAX


/** Done. */
#define LIFEBOAT_OK 0

/** A pointer that must not be NULL is. */
#define LIFEBOAT_NULL_ARGUMENT 1

/** An argument has a value that it cannot have; a struct is shorter than in the first version. */
#define LIFEBOAT_INVALID_ARGUMENT 2

/** A string is not UTF-8. */
#define LIFEBOAT_NOT_UTF8 3

/** A handle is of another type. */
#define LIFEBOAT_BAD_HANDLE 4

/** Another call uses the handle. */
#define LIFEBOAT_BUSY 5

/** A panic passed through the handle: it can only be freed. */
#define LIFEBOAT_POISONED 6

/** The library has a bug: it panicked. */
#define LIFEBOAT_PANIC 7

/** The document, the changes or the certificates cannot be read. */
#define LIFEBOAT_BAD_DOCUMENT 8

/** The change would make the cluster inconsistent, or the decision was a refusal. */
#define LIFEBOAT_REFUSED 9

/** Nothing has that name, or that position. */
#define LIFEBOAT_NOT_FOUND 10

/** The call was cancelled: nothing has changed. */
#define LIFEBOAT_CANCELLED 11

/** The certificates are not good for this cluster, or cover less than was asked. */
#define LIFEBOAT_NOT_VALID 12

/** The answer was made for another state of the cluster: ask again. */
#define LIFEBOAT_STALE 13

/** A struct says more than this version of the library knows of. */
#define LIFEBOAT_UNSUPPORTED 14

/** As an answer: yes. A plan is complete, a guarantee holds, a request is admitted. */
#define LIFEBOAT_YES 0

/** As an answer: no. A plan is short (proved), a guarantee fails, a request is refused. */
#define LIFEBOAT_NO 1

/** As an answer: a fact, which is taken in whatever it breaks. */
#define LIFEBOAT_OBSERVED 2

/** As an answer: not decided within the budget. */
#define LIFEBOAT_UNDECIDED 3

/** The version of the ABI: it grows when calls are added; what is there stays as it is. */
#define LIFEBOAT_ABI_VERSION 4

/** In `flags` of a VM: it must not be evicted. */
#define LIFEBOAT_VM_NOT_PREEMPTIBLE 1

/** In `flags` of a VM: it cannot be moved while it runs. */
#define LIFEBOAT_VM_NOT_MIGRATABLE 2

/** In `flags` of a VM: its priority is the field `priority`, even if that is 0. */
#define LIFEBOAT_VM_PRIORITY_IS_SET 4

/** In `flags` of a VM: it can run on the nodes in `allowed_nodes` alone, even if there are none. */
#define LIFEBOAT_VM_ALLOWED_IS_SET 8

/** In `flags` of a failure class: losses may come one after another, in any order. */
#define LIFEBOAT_TOLERATE_ANY_ORDER 1

/** The class of VMs that are part of every guarantee. */
#define LIFEBOAT_PROTECTED 0

/** The class of VMs that restart if there is room. */
#define LIFEBOAT_BEST_EFFORT 1

/** The class of VMs that are left alone. */
#define LIFEBOAT_NEVER 2

/** A certificate covers losses that come at once. */
#define LIFEBOAT_AT_ONCE 1

/** A certificate covers losses one after another, in any order. */
#define LIFEBOAT_ANY_ORDER 2

/** As the class of a certificate: it was read from text, which does not say it. lifeboat_certificate_find does. */
#define LIFEBOAT_CLASS_NOT_KNOWN UINT32_MAX

/** What ends the room for more VMs: what nodes have free. */
#define LIFEBOAT_LIMIT_ROOM 0

/** What ends the room for more VMs: a failure class of the policy. */
#define LIFEBOAT_LIMIT_TOLERATE 1

/** What ends the room for more VMs: a reserve of the policy. */
#define LIFEBOAT_LIMIT_RESERVE 2

/** Text that a call made. */
typedef struct lifeboat_buffer lifeboat_buffer;

/** A flag that ends long work. */
typedef struct lifeboat_cancel lifeboat_cancel;

/** Certificates, one for each failure class that holds, and for each that holds but for VMs that cannot be covered. */
typedef struct lifeboat_certificate lifeboat_certificate;

/** A cluster: nodes, VMs, fault domains and rules. */
typedef struct lifeboat_cluster lifeboat_cluster;

/** A certificate in use: told of losses one after another, it says what to do about each. */
typedef struct lifeboat_cover lifeboat_cover;

/** A decision on a transaction. */
typedef struct lifeboat_decision lifeboat_decision;

/** Why a call failed: a status, a message, and details. */
typedef struct lifeboat_error lifeboat_error;

/** A guard: a cluster with its policy, and the judge of what is to be changed. */
typedef struct lifeboat_guard lifeboat_guard;

/** A restart plan: which VM starts where, what stays down, and why. */
typedef struct lifeboat_plan lifeboat_plan;

/** A policy: what is promised and allowed. */
typedef struct lifeboat_policy lifeboat_policy;

/** A verdict: whether every failure that a policy tolerates is survived. */
typedef struct lifeboat_verdict lifeboat_verdict;

/** What a call returns: `LIFEBOAT_OK`, or why there is no answer. Numbers are never used for anything else. */
typedef int32_t lifeboat_status;

/**
 * A string: UTF-8 and its length in bytes, or LIFEBOAT_NUL_TERMINATED for one that ends in NUL. Given by the library it
 * is a view into its owner, and a NUL stands behind it.
 */
typedef struct lifeboat_str {
    /** The bytes; may be NULL if the length is 0. */
    const char *data;
    /** How many. */
    size_t length;
} lifeboat_str;

/**
 * A kind of resource: what is counted, for example memory in MiB. `size` is sizeof(lifeboat_resource_spec), the same in all
 * places of a list.
 */
typedef struct lifeboat_resource_spec {
    /** sizeof(lifeboat_resource_spec). */
    uint32_t size;
    /** Not 0: nodes and VMs may leave it out without a remark. */
    uint32_t optional;
    /** Its name. */
    struct lifeboat_str name;
    /** Its unit, for display. */
    struct lifeboat_str unit;
    /** Added to every demand and reservation. */
    uint64_t per_vm;
} lifeboat_resource_spec;

/** A node. `size` is sizeof(lifeboat_node_spec); zeros stand for what is left out. */
typedef struct lifeboat_node_spec {
    /** sizeof(lifeboat_node_spec). */
    uint32_t size;
    /** How many VMs it starts at a time; 0: no limit. */
    uint32_t start_limit;
    /** Its name. */
    struct lifeboat_str name;
    /** As in a document: online (if left out), cordoned, maintenance, unreachable, failed. */
    struct lifeboat_str state;
    /** As in a document: general (if left out), spare. */
    struct lifeboat_str role;
    /** What it has, in the order and units of the kinds. */
    const uint64_t *capacity;
    /** What the hypervisor keeps of it; NULL: nothing. */
    const uint64_t *reserved;
    /** Overcommitment in per cent; NULL: 100 of each; 0 in it: 100. */
    const uint64_t *overcommit;
    /** The same for restarts; NULL: as `overcommit`; 0 in it: as `overcommit`. */
    const uint64_t *failover_overcommit;
    /** How many amounts each of these lists has: at most as many as there are kinds. */
    size_t kind_count;
    /** Levels, each with the domain at the same position in `domains`. */
    const struct lifeboat_str *levels;
    /** Names of domains. */
    const struct lifeboat_str *domains;
    /** How many levels and domains: at most as many as the cluster has levels. */
    size_t domain_count;
    /** Labels. */
    const struct lifeboat_str *labels;
    /** How many labels. */
    size_t label_count;
} lifeboat_node_spec;

/** A VM. `size` is sizeof(lifeboat_vm_spec); zeros stand for what is left out. */
typedef struct lifeboat_vm_spec {
    /** sizeof(lifeboat_vm_spec). */
    uint32_t size;
    /** Larger is more important; 0 is medium (2000) unless LIFEBOAT_VM_PRIORITY_IS_SET. */
    uint32_t priority;
    /** LIFEBOAT_VM_* bits. */
    uint32_t flags;
    /** Seconds that it takes to start; 0: not known. */
    uint32_t start_s;
    /** Its name. */
    struct lifeboat_str name;
    /** Where it runs or, off, last ran; empty: nowhere. */
    struct lifeboat_str node;
    /** Where it is being moved to; empty: it is not. */
    struct lifeboat_str migrating_to;
    /** on or off; empty: on with a node, else off. */
    struct lifeboat_str power;
    /** protected (if left out), best_effort, never. */
    struct lifeboat_str restart;
    /** What it holds while it runs, in the order and units of the kinds. */
    const uint64_t *demand;
    /** What its node must have free to start it; NULL: as `demand`. */
    const uint64_t *restart_demand;
    /** What is reserved for it; NULL: as `demand`. */
    const uint64_t *reservation;
    /** How many amounts each of these lists has: at most as many as there are kinds. */
    size_t kind_count;
    /** Labels that its node must carry. */
    const struct lifeboat_str *requires;
    /** How many. */
    size_t requires_count;
    /** The nodes that it can run on; none: any, unless LIFEBOAT_VM_ALLOWED_IS_SET. */
    const struct lifeboat_str *allowed_nodes;
    /** How many: at most as many as there are nodes. */
    size_t allowed_count;
    /** Labels that the target of a live move must carry besides. */
    const struct lifeboat_str *migrate_requires;
    /** How many. */
    size_t migrate_requires_count;
    /** Groups that rules can use. */
    const struct lifeboat_str *groups;
    /** How many. */
    size_t group_count;
} lifeboat_vm_spec;

/** A failure class: up to so many units of each level. `size` is sizeof(lifeboat_tolerance_spec). */
typedef struct lifeboat_tolerance_spec {
    /** sizeof(lifeboat_tolerance_spec). */
    uint32_t size;
    /** LIFEBOAT_TOLERATE_* bits. */
    uint32_t flags;
    /** Only protected VMs of at least this priority; 0: all. */
    uint32_t min_priority;
    /** 0. */
    uint32_t padding;
    /** enforce, warn, off; empty: as the policy says. */
    struct lifeboat_str mode;
    /** Levels (node: nodes), each once, with the count at the same position in `counts`. */
    const struct lifeboat_str *levels;
    /** How many units of each. */
    const uint32_t *counts;
    /** How many levels and counts. */
    size_t level_count;
} lifeboat_tolerance_spec;

/** A unit that fails: a node, or a whole domain of a level. Like lifeboat_str it is what it is for ever, and never grows. */
typedef struct lifeboat_unit {
    /** The level; empty or `node` for a node. */
    struct lifeboat_str level;
    /** The name of the node or domain. */
    struct lifeboat_str name;
} lifeboat_unit;

/** What a plan says, and how long its lists are. `size` is sizeof(lifeboat_plan_summary). */
typedef struct lifeboat_plan_summary {
    /** sizeof(lifeboat_plan_summary), set by the caller. */
    uint32_t size;
    /**
     * LIFEBOAT_YES: all protected VMs restart; LIFEBOAT_NO: proved that not all can; LIFEBOAT_UNDECIDED: not all do, and
     * that more could is not excluded.
     */
    int32_t answer;
    /** 1 if it is proved that no plan places more. */
    uint32_t optimal;
    /** 0. */
    uint32_t padding;
    /** What it cost, in node evaluations. */
    uint64_t work;
    /** How many VMs start: lifeboat_plan_placement. */
    size_t placements;
    /** How many are stopped for them: lifeboat_plan_eviction. */
    size_t evictions;
    /** How many have no place: lifeboat_plan_unplaced. */
    size_t unplaced;
    /** How many wait on unreachable nodes: lifeboat_plan_waiting. */
    size_t waiting;
    /** How many are of class never: lifeboat_plan_left_alone. */
    size_t left_alone;
    /** How many classes there are: lifeboat_plan_class. */
    size_t classes;
    /** How many nodes have failed: lifeboat_plan_failed. */
    size_t failed;
    /** How many relaxed and preferred rules are broken; the JSON has them. */
    size_t broken_rules;
} lifeboat_plan_summary;

/** A reason why a VM has no place. `size` is sizeof(lifeboat_reason). */
typedef struct lifeboat_reason {
    /** sizeof(lifeboat_reason), set by the caller. */
    uint32_t size;
    /** 0. */
    uint32_t padding;
    /** How many nodes it bars; 0 where it is about the VM as a whole. */
    uint64_t nodes;
    /** Of insufficient: how much is needed. */
    uint64_t needed;
    /** Of insufficient: how much is free at most on one of the nodes; of fragmentation: in total. */
    uint64_t free;
    /** Of fragmentation: the most that is free on one node. */
    uint64_t largest_hole;
    /**
     * The stable code: failed, not_accepting, missing_label, not_allowed, rule, spare_reserved, insufficient,
     * fragmentation, prerequisite, preempted ...
     */
    struct lifeboat_str code;
    /** What the code is about: a kind of resource, a label, a rule, a state, a VM; empty where it is about nothing more. */
    struct lifeboat_str name;
} lifeboat_reason;

/** What became of the VMs of one class and priority. `size` is sizeof(lifeboat_plan_class_counts). */
typedef struct lifeboat_plan_class_counts {
    /** sizeof(lifeboat_plan_class_counts), set by the caller. */
    uint32_t size;
    /** LIFEBOAT_PROTECTED, LIFEBOAT_BEST_EFFORT. */
    int32_t restart;
    /** The priority. */
    uint32_t priority;
    /** How many need a place. */
    uint32_t displaced;
    /** How many get one. */
    uint32_t placed;
    /** How many any plan could place at most. */
    uint32_t bound;
} lifeboat_plan_class_counts;

/** The verdict on one failure class. `size` is sizeof(lifeboat_class_verdict). */
typedef struct lifeboat_class_verdict {
    /** sizeof(lifeboat_class_verdict), set by the caller. */
    uint32_t size;
    /** LIFEBOAT_YES: holds; LIFEBOAT_NO: fails; LIFEBOAT_UNDECIDED. */
    int32_t answer;
    /** The same, with the VMs aside that cannot be covered. */
    int32_t rest;
    /** LIFEBOAT_AT_ONCE, LIFEBOAT_ANY_ORDER, or 0: nothing. */
    int32_t covers;
    /** Only protected VMs of at least this priority; 0: all. */
    uint32_t min_priority;
    /** How many banks the proof has. */
    uint32_t banks;
    /** What it cost, in node evaluations. */
    uint64_t work;
    /** How many units may not fail alone: lifeboat_verdict_failing_unit. */
    size_t failing_units;
    /** How many VMs cannot be covered: lifeboat_verdict_uncoverable. */
    size_t uncoverable;
    /** How many units the counterexample has, 0 if there is none: lifeboat_verdict_counterexample_unit. */
    size_t counterexample_units;
    /** How many nodes they are: lifeboat_verdict_counterexample_node. */
    size_t counterexample_nodes;
    /** A sentence. */
    struct lifeboat_str message;
    /** How it was found: prices, banks, pairs, search. */
    struct lifeboat_str way;
    /** Of a counterexample: prices or search; else empty. */
    struct lifeboat_str proof;
    /** How many failures there are in the class, as text: it may be large. */
    struct lifeboat_str scenarios;
    /** How many of them are open. */
    struct lifeboat_str open;
} lifeboat_class_verdict;

/** What one certificate covers. `size` is sizeof(lifeboat_certificate_view). */
typedef struct lifeboat_certificate_view {
    /** sizeof(lifeboat_certificate_view), set by the caller. */
    uint32_t size;
    /** LIFEBOAT_AT_ONCE or LIFEBOAT_ANY_ORDER. */
    int32_t covers;
    /** Which failure class of the policy it is for, from 0, as in the verdict; or LIFEBOAT_CLASS_NOT_KNOWN. */
    uint32_t class_index;
    /** Only protected VMs of at least this priority; 0: all. */
    uint32_t min_priority;
    /** How many levels the class has: lifeboat_certificate_level. */
    size_t levels;
    /** How many banks it uses. */
    size_t banks;
    /** How many failures have plans of their own. */
    size_t exceptions;
    /** How many VMs it says nothing of: those that cannot be covered. Not 0: the class holds but for them. */
    size_t left_out;
    /** How many best-effort VMs may have to be stopped: promises tell which. */
    size_t evicts;
    /** How many VMs have places of their own, aside from banks. */
    size_t backups;
} lifeboat_certificate_view;

/** What a decision says, and how long its lists are. `size` is sizeof(lifeboat_decision_summary). */
typedef struct lifeboat_decision_summary {
    /** sizeof(lifeboat_decision_summary), set by the caller. */
    uint32_t size;
    /** LIFEBOAT_YES: admitted; LIFEBOAT_NO: refused; LIFEBOAT_OBSERVED: a fact, taken in. */
    int32_t answer;
    /** How many VMs it starts or moves: lifeboat_decision_placed. */
    size_t placed;
    /** What stands against it, was broken before, or (of a fact) is worse now: lifeboat_decision_violation. */
    size_t violations;
    /** How many items the policy had: lifeboat_decision_item. */
    size_t items_before;
    /** How many items it has after it. */
    size_t items_after;
} lifeboat_decision_summary;

/** Something that stands against a request. `size` is sizeof(lifeboat_violation). */
typedef struct lifeboat_violation {
    /** sizeof(lifeboat_violation), set by the caller. */
    uint32_t size;
    /** 1 if it makes the request refused. */
    uint32_t enforced;
    /** 1 if it was broken before. */
    uint32_t broken_before;
    /** 0. */
    uint32_t padding;
    /** The stable code: not_empty, not_accepting, insufficient, rule, no_node, tolerate, percentage ... */
    struct lifeboat_str code;
    /** A sentence. */
    struct lifeboat_str message;
} lifeboat_violation;

/** The state of one item of the policy. `size` is sizeof(lifeboat_policy_item). */
typedef struct lifeboat_policy_item {
    /** sizeof(lifeboat_policy_item), set by the caller. */
    uint32_t size;
    /** 0. */
    uint32_t padding;
    /** Its name: `tolerate node=2`, `percentage` ... */
    struct lifeboat_str name;
    /** ok, undecided, violated, off. */
    struct lifeboat_str state;
    /** enforce, warn, off. */
    struct lifeboat_str mode;
    /** A sentence. */
    struct lifeboat_str message;
} lifeboat_policy_item;

/** How many more VMs can be started with everything kept: an interval. `size` is sizeof(lifeboat_headroom_interval). */
typedef struct lifeboat_headroom_interval {
    /** sizeof(lifeboat_headroom_interval), set by the caller. */
    uint32_t size;
    /** What ends it: LIFEBOAT_LIMIT_*. */
    int32_t limit;
    /** Which failure class or reserve of the policy, from 0. */
    uint32_t limit_index;
    /** 0. */
    uint32_t padding;
    /** So many can be started, for certain. */
    uint64_t least;
    /** More than so many cannot. */
    uint64_t most;
} lifeboat_headroom_interval;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/** Frees an error; NULL is fine. */
lifeboat_status lifeboat_error_free(struct lifeboat_error *error);

/** The status of an error: what the call returned. */
lifeboat_status lifeboat_error_status(struct lifeboat_error *error, int32_t *out);

/**
 * The stable code of an error, for programs: finer than its status. Of a document that of the first thing that is wrong; the
 * details have all.
 */
lifeboat_status lifeboat_error_code(struct lifeboat_error *error,
                                    struct lifeboat_str *out);

/** The message of an error, for people: of a document all its errors, one a line. */
lifeboat_status lifeboat_error_message(struct lifeboat_error *error, struct lifeboat_str *out);

/**
 * The details of an error, for programs: JSON, lifeboat-error/1, with path, object, code and message of everything that
 * is wrong.
 */
lifeboat_status lifeboat_error_details(struct lifeboat_error *error, struct lifeboat_str *out);

/** The version of the ABI that the library has: at least the LIFEBOAT_ABI_VERSION that a caller was built with. */
uint32_t lifeboat_abi_version(void);

/** The version of the library, as "1.2.3": for people. Never freed. */
const char *lifeboat_version(void);

/** Frees a buffer; NULL is fine. */
lifeboat_status lifeboat_buffer_free(struct lifeboat_buffer *buffer);

/** The text of a buffer. */
lifeboat_status lifeboat_buffer_text(struct lifeboat_buffer *buffer, struct lifeboat_str *out);

/**
 * A flag that ends long work with LIFEBOAT_CANCELLED: the call has changed nothing then, and its handles serve on. Once set
 * it stays set. Wherever a call takes one, NULL is fine.
 */
lifeboat_status lifeboat_cancel_new(struct lifeboat_cancel **out);

/** Sets a cancel flag, from any thread, while another call uses it. */
lifeboat_status lifeboat_cancel_set(const struct lifeboat_cancel *cancel);

/** How much work was done under a cancel flag, in node evaluations: for showing progress, from any thread. */
lifeboat_status lifeboat_cancel_work_done(const struct lifeboat_cancel *cancel, uint64_t *out);

/** Frees a cancel flag; NULL is fine. LIFEBOAT_BUSY while a call uses it: free it once that has returned. */
lifeboat_status lifeboat_cancel_free(struct lifeboat_cancel *cancel);

/** Reads a document lifeboat/1. Either of `cluster` and `policy` may be NULL. */
lifeboat_status lifeboat_cluster_from_json(struct lifeboat_str document,
                                           struct lifeboat_cluster **cluster,
                                           struct lifeboat_policy **policy,
                                           struct lifeboat_error **error);

/** Writes a document lifeboat/1: for people if `pretty` is not 0. Without a policy (NULL) the default one. */
lifeboat_status lifeboat_cluster_to_json(struct lifeboat_cluster *cluster,
                                         struct lifeboat_policy *policy,
                                         uint32_t pretty,
                                         struct lifeboat_buffer **out,
                                         struct lifeboat_error **error);

/** An empty cluster with these kinds of resources, in this order, and these levels of fault domains, widest first. */
lifeboat_status lifeboat_cluster_new(const struct lifeboat_resource_spec *kinds,
                                     size_t kind_count,
                                     const struct lifeboat_str *levels,
                                     size_t level_count,
                                     struct lifeboat_cluster **out,
                                     struct lifeboat_error **error);

/** A cluster of its own that is the same. */
lifeboat_status lifeboat_cluster_clone(struct lifeboat_cluster *cluster,
                                       struct lifeboat_cluster **out,
                                       struct lifeboat_error **error);

/** Frees a cluster; NULL is fine. */
lifeboat_status lifeboat_cluster_free(struct lifeboat_cluster *cluster);

/** How many kinds of resources, nodes, VMs and rules there are; each out-parameter may be NULL. */
lifeboat_status lifeboat_cluster_counts(struct lifeboat_cluster *cluster,
                                        size_t *kinds,
                                        size_t *nodes,
                                        size_t *vms,
                                        size_t *rules,
                                        struct lifeboat_error **error);

/** What is odd about a cluster, rules that cannot all hold, and how full it is: JSON, lifeboat-check/1. */
lifeboat_status lifeboat_cluster_check(struct lifeboat_cluster *cluster,
                                       struct lifeboat_buffer **out,
                                       struct lifeboat_error **error);

/** Adds a node. */
lifeboat_status lifeboat_cluster_add_node(struct lifeboat_cluster *cluster,
                                          const struct lifeboat_node_spec *node,
                                          struct lifeboat_error **error);

/**
 * Describes the node of that name anew, as a whole: what the struct leaves out becomes the default. What it cannot say
 * stays: display name and annotations.
 */
lifeboat_status lifeboat_cluster_update_node(struct lifeboat_cluster *cluster,
                                             const struct lifeboat_node_spec *node,
                                             struct lifeboat_error **error);

/**
 * What the state of a cluster is known by, as text of 32 hexadecimal digits: the same content has the same, whatever the
 * order in which it was entered. Plans, verdicts and certificates are for one state.
 */
lifeboat_status lifeboat_cluster_fingerprint(struct lifeboat_cluster *cluster,
                                             struct lifeboat_buffer **out,
                                             struct lifeboat_error **error);

/** Removes a node; VMs that ran there wait for a place. */
lifeboat_status lifeboat_cluster_remove_node(struct lifeboat_cluster *cluster,
                                             struct lifeboat_str name,
                                             struct lifeboat_error **error);

/** Sets the state of a node, by its name in a document: online, cordoned, maintenance, unreachable, failed. */
lifeboat_status lifeboat_cluster_set_node_state(struct lifeboat_cluster *cluster,
                                                struct lifeboat_str name,
                                                struct lifeboat_str state,
                                                struct lifeboat_error **error);

/** Adds a VM. */
lifeboat_status lifeboat_cluster_add_vm(struct lifeboat_cluster *cluster,
                                        const struct lifeboat_vm_spec *vm,
                                        struct lifeboat_error **error);

/**
 * Describes the VM of that name anew, as a whole: what the struct leaves out becomes the default. What it cannot say
 * stays: what it starts after, display name and annotations.
 */
lifeboat_status lifeboat_cluster_update_vm(struct lifeboat_cluster *cluster,
                                           const struct lifeboat_vm_spec *vm,
                                           struct lifeboat_error **error);

/** Removes a VM from the cluster, its rules and its start edges. */
lifeboat_status lifeboat_cluster_remove_vm(struct lifeboat_cluster *cluster,
                                           struct lifeboat_str name,
                                           struct lifeboat_error **error);

/** A VM that is off starts on a node, or, with an empty name of a node, waits for a place. */
lifeboat_status lifeboat_cluster_start_vm(struct lifeboat_cluster *cluster,
                                          struct lifeboat_str name,
                                          struct lifeboat_str node,
                                          struct lifeboat_error **error);

/** A VM that is on stops. */
lifeboat_status lifeboat_cluster_stop_vm(struct lifeboat_cluster *cluster,
                                         struct lifeboat_str name,
                                         struct lifeboat_error **error);

/** A VM is on another node now; with an empty name of a node it waits for a place. */
lifeboat_status lifeboat_cluster_move_vm(struct lifeboat_cluster *cluster,
                                         struct lifeboat_str name,
                                         struct lifeboat_str node,
                                         struct lifeboat_error **error);

/** A live migration to a node begins: until it ends the VM counts on both. */
lifeboat_status lifeboat_cluster_start_migration(struct lifeboat_cluster *cluster,
                                                 struct lifeboat_str name,
                                                 struct lifeboat_str node,
                                                 struct lifeboat_error **error);

/** A live migration ends: it has arrived, or (`arrived` 0) was given up. */
lifeboat_status lifeboat_cluster_end_migration(struct lifeboat_cluster *cluster,
                                               struct lifeboat_str name,
                                               uint32_t arrived,
                                               struct lifeboat_error **error);

/** Adds a rule: JSON, as it stands in a document. */
lifeboat_status lifeboat_cluster_add_rule(struct lifeboat_cluster *cluster,
                                          struct lifeboat_str rule,
                                          struct lifeboat_error **error);

/** Describes the rule of that name anew: JSON, as it stands in a document. */
lifeboat_status lifeboat_cluster_update_rule(struct lifeboat_cluster *cluster,
                                             struct lifeboat_str rule,
                                             struct lifeboat_error **error);

/** Removes a rule. */
lifeboat_status lifeboat_cluster_remove_rule(struct lifeboat_cluster *cluster,
                                             struct lifeboat_str name,
                                             struct lifeboat_error **error);

/**
 * Carries out changes: JSON, an operation of a changes file or a list of them, all or none. `policy` is changed by
 * `set_policy`; without one (NULL) it is not kept.
 */
lifeboat_status lifeboat_cluster_edit(struct lifeboat_cluster *cluster,
                                      struct lifeboat_policy *policy,
                                      struct lifeboat_str changes,
                                      struct lifeboat_error **error);

/** The default policy: any one node may fail. */
lifeboat_status lifeboat_policy_new(struct lifeboat_policy **out, struct lifeboat_error **error);

/** A policy for a cluster: JSON, as it stands in a document. */
lifeboat_status lifeboat_policy_from_json(struct lifeboat_cluster *cluster,
                                          struct lifeboat_str policy,
                                          struct lifeboat_policy **out,
                                          struct lifeboat_error **error);

/** A policy of its own that is the same. */
lifeboat_status lifeboat_policy_clone(struct lifeboat_policy *policy,
                                      struct lifeboat_policy **out,
                                      struct lifeboat_error **error);

/** Frees a policy; NULL is fine. */
lifeboat_status lifeboat_policy_free(struct lifeboat_policy *policy);

/** Takes all failure classes out of a policy: it promises nothing then. */
lifeboat_status lifeboat_policy_tolerate_nothing(struct lifeboat_policy *policy, struct lifeboat_error **error);

/** Adds a failure class to a policy. Levels are looked up when the policy is used. */
lifeboat_status lifeboat_policy_tolerate(struct lifeboat_policy *policy,
                                         const struct lifeboat_tolerance_spec *class_,
                                         struct lifeboat_error **error);

/** Sets the budgets of plans, admissions and verdicts, in node evaluations; 0 leaves one as it is. */
lifeboat_status lifeboat_policy_set_budgets(struct lifeboat_policy *policy,
                                            uint64_t plan,
                                            uint64_t admit,
                                            uint64_t verify,
                                            struct lifeboat_error **error);

/** Plans the restarts after these units fail. */
lifeboat_status lifeboat_plan_restart(struct lifeboat_cluster *cluster,
                                      struct lifeboat_policy *policy,
                                      const struct lifeboat_unit *units,
                                      size_t unit_count,
                                      const struct lifeboat_cancel *cancel,
                                      struct lifeboat_plan **out,
                                      struct lifeboat_error **error);

/** Frees a plan; NULL is fine. */
lifeboat_status lifeboat_plan_free(struct lifeboat_plan *plan);

/**
 * What a plan says, and how long its lists are. Of what a certificate promises the answer is LIFEBOAT_UNDECIDED: it speaks
 * of the VMs of its class alone.
 */
lifeboat_status lifeboat_plan_summarize(struct lifeboat_plan *plan,
                                        struct lifeboat_plan_summary *out,
                                        struct lifeboat_error **error);

/** One VM that starts: which, where, and in which wave. */
lifeboat_status lifeboat_plan_placement(struct lifeboat_plan *plan,
                                        size_t index,
                                        struct lifeboat_str *vm,
                                        struct lifeboat_str *node,
                                        uint32_t *wave,
                                        struct lifeboat_error **error);

/** One VM that is stopped to make room: which, and where it runs. */
lifeboat_status lifeboat_plan_eviction(struct lifeboat_plan *plan,
                                       size_t index,
                                       struct lifeboat_str *vm,
                                       struct lifeboat_str *node,
                                       struct lifeboat_error **error);

/** One VM without a place: which, a sentence, and how many reasons there are. */
lifeboat_status lifeboat_plan_unplaced(struct lifeboat_plan *plan,
                                       size_t index,
                                       struct lifeboat_str *vm,
                                       struct lifeboat_str *message,
                                       size_t *reasons,
                                       struct lifeboat_error **error);

/** One reason of a VM without a place. */
lifeboat_status lifeboat_plan_reason(struct lifeboat_plan *plan,
                                     size_t unplaced,
                                     size_t index,
                                     struct lifeboat_reason *out,
                                     struct lifeboat_error **error);

/** One VM that waits on an unreachable node. */
lifeboat_status lifeboat_plan_waiting(struct lifeboat_plan *plan,
                                      size_t index,
                                      struct lifeboat_str *vm,
                                      struct lifeboat_error **error);

/** One VM of class never, which is left alone. */
lifeboat_status lifeboat_plan_left_alone(struct lifeboat_plan *plan,
                                         size_t index,
                                         struct lifeboat_str *vm,
                                         struct lifeboat_error **error);

/** One node that has failed. */
lifeboat_status lifeboat_plan_failed(struct lifeboat_plan *plan,
                                     size_t index,
                                     struct lifeboat_str *node,
                                     struct lifeboat_error **error);

/** One class: how many VMs need a place, how many get one, and how many any plan could place. */
lifeboat_status lifeboat_plan_class(struct lifeboat_plan *plan,
                                    size_t index,
                                    struct lifeboat_plan_class_counts *out,
                                    struct lifeboat_error **error);

/**
 * What is free once a plan is carried out, per kind: in total, and on the node that has most. `count` is how many kinds
 * the cluster has; either list may be NULL.
 */
lifeboat_status lifeboat_plan_free_amounts(struct lifeboat_plan *plan,
                                           struct lifeboat_cluster *cluster,
                                           uint64_t *total,
                                           uint64_t *largest,
                                           size_t count,
                                           struct lifeboat_error **error);

/**
 * Works out when everything is back, in seconds from the beginning of the restarts: after how many all are ready, and
 * how many times there are to read with lifeboat_plan_start_time. Views into an earlier estimate are no longer valid.
 */
lifeboat_status lifeboat_plan_estimate(struct lifeboat_plan *plan,
                                       struct lifeboat_cluster *cluster,
                                       struct lifeboat_policy *policy,
                                       uint64_t *ready_s,
                                       size_t *starts,
                                       struct lifeboat_error **error);

/** One time of an estimate: when a VM starts, and when it is ready. */
lifeboat_status lifeboat_plan_start_time(struct lifeboat_plan *plan,
                                         size_t index,
                                         struct lifeboat_str *vm,
                                         uint64_t *start_s,
                                         uint64_t *ready_s,
                                         struct lifeboat_error **error);

/** A plan as JSON, lifeboat-plan/1, with what would help the VMs without a place. */
lifeboat_status lifeboat_plan_to_json(struct lifeboat_plan *plan,
                                      struct lifeboat_cluster *cluster,
                                      struct lifeboat_policy *policy,
                                      const struct lifeboat_cancel *cancel,
                                      struct lifeboat_buffer **out,
                                      struct lifeboat_error **error);

/** Verifies that a policy's tolerance is survived. */
lifeboat_status lifeboat_verify(struct lifeboat_cluster *cluster,
                                struct lifeboat_policy *policy,
                                const struct lifeboat_cancel *cancel,
                                struct lifeboat_verdict **out,
                                struct lifeboat_error **error);

/** Frees a verdict; NULL is fine. */
lifeboat_status lifeboat_verdict_free(struct lifeboat_verdict *verdict);

/** The answer of a verdict (LIFEBOAT_YES: holds, LIFEBOAT_NO: fails, LIFEBOAT_UNDECIDED), and how many classes it has. */
lifeboat_status lifeboat_verdict_summary(struct lifeboat_verdict *verdict,
                                         int32_t *answer,
                                         size_t *classes,
                                         struct lifeboat_error **error);

/** The verdict on one class. */
lifeboat_status lifeboat_verdict_class(struct lifeboat_verdict *verdict,
                                       size_t index,
                                       struct lifeboat_class_verdict *out,
                                       struct lifeboat_error **error);

/** One unit that may not fail alone, of a class of one unit. */
lifeboat_status lifeboat_verdict_failing_unit(struct lifeboat_verdict *verdict,
                                              size_t class_,
                                              size_t index,
                                              struct lifeboat_unit *out,
                                              struct lifeboat_error **error);

/** One unit of a class's counterexample: they cannot all fail together. */
lifeboat_status lifeboat_verdict_counterexample_unit(struct lifeboat_verdict *verdict,
                                                     size_t class_,
                                                     size_t index,
                                                     struct lifeboat_unit *out,
                                                     struct lifeboat_error **error);

/** One node of the units of a class's counterexample. */
lifeboat_status lifeboat_verdict_counterexample_node(struct lifeboat_verdict *verdict,
                                                     size_t class_,
                                                     size_t index,
                                                     struct lifeboat_str *node,
                                                     struct lifeboat_error **error);

/** One VM that some failure of a class leaves without any node that could take it: which, and a sentence. */
lifeboat_status lifeboat_verdict_uncoverable(struct lifeboat_verdict *verdict,
                                             size_t class_,
                                             size_t index,
                                             struct lifeboat_str *vm,
                                             struct lifeboat_str *message,
                                             struct lifeboat_error **error);

/**
 * The certificates of a verdict, to look plans up in, check or store: of each class that holds, and of each that fails
 * for VMs alone that cannot be covered (its `rest` holds), which the certificate leaves out. lifeboat_certificate_class
 * says for which class each is.
 */
lifeboat_status lifeboat_verdict_certificates(struct lifeboat_verdict *verdict,
                                              struct lifeboat_certificate **out,
                                              struct lifeboat_error **error);

/** A verdict as JSON, lifeboat-verdict/1, with what the independent checker says of its evidence. */
lifeboat_status lifeboat_verdict_to_json(struct lifeboat_verdict *verdict,
                                         struct lifeboat_cluster *cluster,
                                         struct lifeboat_policy *policy,
                                         const struct lifeboat_cancel *cancel,
                                         struct lifeboat_buffer **out,
                                         struct lifeboat_error **error);

/**
 * Reads stored certificates, lifeboat-certificate/1, for the cluster as it was then: LIFEBOAT_STALE if it has changed.
 * Whether they are good says lifeboat_certificate_check.
 */
lifeboat_status lifeboat_certificate_from_json(struct lifeboat_cluster *cluster,
                                               struct lifeboat_str certificates,
                                               struct lifeboat_certificate **out,
                                               struct lifeboat_error **error);

/** Writes certificates, lifeboat-certificate/1, to be stored. */
lifeboat_status lifeboat_certificate_to_json(struct lifeboat_certificate *certificates,
                                             struct lifeboat_cluster *cluster,
                                             struct lifeboat_buffer **out,
                                             struct lifeboat_error **error);

/** Frees certificates; NULL is fine. */
lifeboat_status lifeboat_certificate_free(struct lifeboat_certificate *certificates);

/** How many classes there are certificates for. */
lifeboat_status lifeboat_certificate_count(struct lifeboat_certificate *certificates,
                                           size_t *out,
                                           struct lifeboat_error **error);

/** What one certificate covers, and for which class. */
lifeboat_status lifeboat_certificate_class(struct lifeboat_certificate *certificates,
                                           size_t index,
                                           struct lifeboat_certificate_view *out,
                                           struct lifeboat_error **error);

/** One level of the class of a certificate, and how many of its units may be lost, as the policy had it. */
lifeboat_status lifeboat_certificate_level(struct lifeboat_certificate *certificates,
                                           size_t index,
                                           size_t level_index,
                                           struct lifeboat_str *level,
                                           uint32_t *count,
                                           struct lifeboat_error **error);

/**
 * Which certificate is for a failure class of a policy, by the position of the class: also where they were read from
 * text. LIFEBOAT_NOT_FOUND if there is none.
 */
lifeboat_status lifeboat_certificate_find(struct lifeboat_certificate *certificates,
                                          struct lifeboat_policy *policy,
                                          size_t class_,
                                          size_t *out,
                                          struct lifeboat_error **error);

/**
 * Has the independent checker look at certificates: LIFEBOAT_OK if all are good for the cluster and the policy, else
 * LIFEBOAT_NOT_VALID with everything that is wrong.
 */
lifeboat_status lifeboat_certificate_check(struct lifeboat_certificate *certificates,
                                           struct lifeboat_cluster *cluster,
                                           struct lifeboat_policy *policy,
                                           const struct lifeboat_cancel *cancel,
                                           struct lifeboat_error **error);

/**
 * Looks up what a certificate promises for a loss: placements in wave 0, and the evictions they need. No search. It is no
 * whole plan: it says nothing of VMs that the certificate's class does not speak of, its summary answers
 * LIFEBOAT_UNDECIDED, and there is no JSON of it; lifeboat_plan_restart_with makes a whole plan that keeps it.
 */
lifeboat_status lifeboat_certificate_plan_for(struct lifeboat_certificate *certificates,
                                              size_t index,
                                              struct lifeboat_cluster *cluster,
                                              const struct lifeboat_unit *units,
                                              size_t unit_count,
                                              struct lifeboat_plan **out,
                                              struct lifeboat_error **error);

/**
 * Plans the restarts after a loss and keeps a certificate's promise: never worse than what was promised, and room for the
 * losses that are still covered stays.
 */
lifeboat_status lifeboat_plan_restart_with(struct lifeboat_certificate *certificates,
                                           size_t index,
                                           struct lifeboat_cluster *cluster,
                                           struct lifeboat_policy *policy,
                                           const struct lifeboat_unit *units,
                                           size_t unit_count,
                                           const struct lifeboat_cancel *cancel,
                                           struct lifeboat_plan **out,
                                           struct lifeboat_error **error);

/**
 * Begins to use a certificate for a cluster in the state for which it was made: LIFEBOAT_STALE if it is in another. The
 * cover has copies of both.
 */
lifeboat_status lifeboat_cover_begin(struct lifeboat_certificate *certificates,
                                     size_t index,
                                     struct lifeboat_cluster *cluster,
                                     struct lifeboat_cover **out,
                                     struct lifeboat_error **error);

/** Frees a cover; NULL is fine. */
lifeboat_status lifeboat_cover_free(struct lifeboat_cover *cover);

/**
 * Tells a cover of a loss: the plan has the placements because of it, in wave 0, and the evictions that they need; the first
 * has also those of VMs that waited for a place. LIFEBOAT_NOT_VALID if it is more than is covered: nothing has changed then.
 * The plan is for the state in which the cover began.
 */
lifeboat_status lifeboat_cover_lose(struct lifeboat_cover *cover,
                                    const struct lifeboat_unit *units,
                                    size_t unit_count,
                                    struct lifeboat_plan **out,
                                    struct lifeboat_error **error);

/** How many more units may be lost and are covered. */
lifeboat_status lifeboat_cover_remaining(struct lifeboat_cover *cover, uint32_t *out, struct lifeboat_error **error);

/**
 * A guard of a copy of a cluster, with a copy of a policy. A broken cluster can be guarded, too; a policy that speaks of
 * a level or a kind which the cluster does not have is LIFEBOAT_NOT_FOUND, as for lifeboat_verify.
 */
lifeboat_status lifeboat_guard_new(struct lifeboat_cluster *cluster,
                                   struct lifeboat_policy *policy,
                                   struct lifeboat_guard **out,
                                   struct lifeboat_error **error);

/** Frees a guard; NULL is fine. */
lifeboat_status lifeboat_guard_free(struct lifeboat_guard *judge);

/** Copies of the cluster and the policy of a guard, as they are now; either may be NULL. */
lifeboat_status lifeboat_guard_state(struct lifeboat_guard *judge,
                                     struct lifeboat_cluster **cluster,
                                     struct lifeboat_policy **policy,
                                     struct lifeboat_error **error);

/**
 * A certificate for one failure class of a guard's policy, by its position, as things are now: to plan with
 * lifeboat_plan_restart_with at any time. LIFEBOAT_NOT_FOUND if the class does not hold, or is not looked at.
 */
lifeboat_status lifeboat_guard_certificate(struct lifeboat_guard *judge,
                                           size_t class_,
                                           const struct lifeboat_cancel *cancel,
                                           struct lifeboat_certificate **out,
                                           struct lifeboat_error **error);

/** The state of every item of a guard's policy now: JSON, lifeboat-items/1, with the items as a decision has them. */
lifeboat_status lifeboat_guard_items(struct lifeboat_guard *judge,
                                     const struct lifeboat_cancel *cancel,
                                     struct lifeboat_buffer **out,
                                     struct lifeboat_error **error);

/** May this be done? JSON: an operation of a changes file or a list of them, judged as a whole. Nothing changes yet. */
lifeboat_status lifeboat_guard_admit(struct lifeboat_guard *judge,
                                     struct lifeboat_str changes,
                                     const struct lifeboat_cancel *cancel,
                                     struct lifeboat_decision **out,
                                     struct lifeboat_error **error);

/** May this VM start on this node? With an empty name of a node the guard chooses one. */
lifeboat_status lifeboat_guard_admit_start(struct lifeboat_guard *judge,
                                           struct lifeboat_str vm,
                                           struct lifeboat_str node,
                                           const struct lifeboat_cancel *cancel,
                                           struct lifeboat_decision **out,
                                           struct lifeboat_error **error);

/** May this VM stop? */
lifeboat_status lifeboat_guard_admit_stop(struct lifeboat_guard *judge,
                                          struct lifeboat_str vm,
                                          const struct lifeboat_cancel *cancel,
                                          struct lifeboat_decision **out,
                                          struct lifeboat_error **error);

/** May this VM be moved live to this node? With an empty name of a node the guard chooses one. */
lifeboat_status lifeboat_guard_admit_migrate(struct lifeboat_guard *judge,
                                             struct lifeboat_str vm,
                                             struct lifeboat_str node,
                                             const struct lifeboat_cancel *cancel,
                                             struct lifeboat_decision **out,
                                             struct lifeboat_error **error);

/**
 * This has happened: JSON as for lifeboat_guard_admit. It is taken in unless it is inconsistent. `out` may be NULL. With
 * LIFEBOAT_CANCELLED nothing was taken in: observe it again, alone or with what has happened since.
 */
lifeboat_status lifeboat_guard_observe(struct lifeboat_guard *judge,
                                       struct lifeboat_str changes,
                                       const struct lifeboat_cancel *cancel,
                                       struct lifeboat_decision **out,
                                       struct lifeboat_error **error);

/** A node is in another state now: online, cordoned, maintenance, unreachable, failed. `out` may be NULL. */
lifeboat_status lifeboat_guard_observe_node_state(struct lifeboat_guard *judge,
                                                  struct lifeboat_str node,
                                                  struct lifeboat_str state,
                                                  const struct lifeboat_cancel *cancel,
                                                  struct lifeboat_decision **out,
                                                  struct lifeboat_error **error);

/**
 * Carries out an admitted decision: LIFEBOAT_STALE if the guard's cluster has changed since, LIFEBOAT_REFUSED if it was
 * refused.
 */
lifeboat_status lifeboat_guard_apply(struct lifeboat_guard *judge,
                                     struct lifeboat_decision *decision,
                                     struct lifeboat_error **error);

/** Frees a decision; NULL is fine. */
lifeboat_status lifeboat_decision_free(struct lifeboat_decision *decision);

/** What a decision says, and how long its lists are. */
lifeboat_status lifeboat_decision_summarize(struct lifeboat_decision *decision,
                                            struct lifeboat_decision_summary *out,
                                            struct lifeboat_error **error);

/** One VM that a decision starts or moves: which, and where. */
lifeboat_status lifeboat_decision_placed(struct lifeboat_decision *decision,
                                         size_t index,
                                         struct lifeboat_str *vm,
                                         struct lifeboat_str *node,
                                         struct lifeboat_error **error);

/** One thing that stands against a request. */
lifeboat_status lifeboat_decision_violation(struct lifeboat_decision *decision,
                                            size_t index,
                                            struct lifeboat_violation *out,
                                            struct lifeboat_error **error);

/** The state of one item of the policy: before a decision, or (`after` not 0) after it. */
lifeboat_status lifeboat_decision_item(struct lifeboat_decision *decision,
                                       uint32_t after,
                                       size_t index,
                                       struct lifeboat_policy_item *out,
                                       struct lifeboat_error **error);

/** A decision as JSON in one line, lifeboat-decision/1. `judge` is the guard that made it. */
lifeboat_status lifeboat_decision_to_json(struct lifeboat_decision *decision,
                                          struct lifeboat_guard *judge,
                                          struct lifeboat_buffer **out,
                                          struct lifeboat_error **error);

/** How many units of a level may be lost: the interval from `least` to `most`; -1 where not even no loss is survived. */
lifeboat_status lifeboat_max_tolerable(struct lifeboat_cluster *cluster,
                                       struct lifeboat_policy *policy,
                                       struct lifeboat_str level,
                                       const struct lifeboat_cancel *cancel,
                                       int64_t *least,
                                       int64_t *most,
                                       struct lifeboat_error **error);

/** How many more VMs that hold so much, per kind, can be started with everything kept. */
lifeboat_status lifeboat_headroom(struct lifeboat_cluster *cluster,
                                  struct lifeboat_policy *policy,
                                  const uint64_t *demand,
                                  size_t kind_count,
                                  const struct lifeboat_cancel *cancel,
                                  struct lifeboat_headroom_interval *out,
                                  struct lifeboat_error **error);

/** How many more VMs like this one, with its limits and rules, can be started with everything kept. */
lifeboat_status lifeboat_headroom_like(struct lifeboat_cluster *cluster,
                                       struct lifeboat_policy *policy,
                                       struct lifeboat_str vm,
                                       const struct lifeboat_cancel *cancel,
                                       struct lifeboat_headroom_interval *out,
                                       struct lifeboat_error **error);

/**
 * How large one more VM of this proportion can be, with everything kept, per kind: `least` for certain (zeros if there
 * is no room), and no larger than `most`. All lists have `kind_count` places; `least` and `most` may be NULL.
 */
lifeboat_status lifeboat_largest_vm(struct lifeboat_cluster *cluster,
                                    struct lifeboat_policy *policy,
                                    const uint64_t *proportion,
                                    size_t kind_count,
                                    const struct lifeboat_cancel *cancel,
                                    uint64_t *least,
                                    uint64_t *most,
                                    struct lifeboat_error **error);

/** All of that as JSON, lifeboat-capacity/1: losses of every level, and more VMs of the average size of those that are on. */
lifeboat_status lifeboat_capacity(struct lifeboat_cluster *cluster,
                                  struct lifeboat_policy *policy,
                                  const struct lifeboat_cancel *cancel,
                                  struct lifeboat_buffer **out,
                                  struct lifeboat_error **error);

/**
 * Answers a question without any handle. The request is JSON, lifeboat-request/1:
 *
 * ```text
 * {"format": "lifeboat-request/1", "question": "plan", "cluster": {...}, "fail": ["kvm-1"]}
 * ```
 *
 * `cluster` is a document lifeboat/1, with its policy. The questions, each with the fields that it can have besides:
 *
 * ```text
 * check              strict
 * plan               fail, explain
 * check_plan         plan, fail
 * verify             tolerate
 * certify            tolerate
 * check_certificate  certificate
 * admit, observe     changes
 * capacity           level, shape, like, nodes
 * compare            tolerate
 * ```
 *
 * examples/c/requests.md says what they mean and what is answered.
 * The answer is what the example program prints with --json, or lifeboat-error/1: the call succeeds in either case.
 * `answer` (may be NULL) is 0 yes, 1 no, 2 bad input, 3 undecided, 4 cancelled.
 */
lifeboat_status lifeboat_json_call(struct lifeboat_str request,
                                   const struct lifeboat_cancel *cancel,
                                   int32_t *answer,
                                   struct lifeboat_buffer **out,
                                   struct lifeboat_error **error);

/** What other products' rules say about a cluster, beside the exact verdict: JSON, lifeboat-compare/1. */
lifeboat_status lifeboat_compare(struct lifeboat_cluster *cluster,
                                 struct lifeboat_policy *policy,
                                 const struct lifeboat_cancel *cancel,
                                 struct lifeboat_buffer **out,
                                 struct lifeboat_error **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus


/* What both sides take the structs to be: where it is not so, this does not compile. */
#define LIFEBOAT_LAYOUT(name, holds) typedef char lifeboat_layout_of_##name[(holds) ? 1 : -1]
#if UINTPTR_MAX > 0xffffffffu
LIFEBOAT_LAYOUT(lifeboat_str, sizeof(lifeboat_str) == 16 &&
    offsetof(lifeboat_str, data) == 0 &&
    offsetof(lifeboat_str, length) == 8);
LIFEBOAT_LAYOUT(lifeboat_resource_spec, sizeof(lifeboat_resource_spec) == 48 &&
    offsetof(lifeboat_resource_spec, size) == 0 &&
    offsetof(lifeboat_resource_spec, optional) == 4 &&
    offsetof(lifeboat_resource_spec, name) == 8 &&
    offsetof(lifeboat_resource_spec, unit) == 24 &&
    offsetof(lifeboat_resource_spec, per_vm) == 40);
LIFEBOAT_LAYOUT(lifeboat_node_spec, sizeof(lifeboat_node_spec) == 136 &&
    offsetof(lifeboat_node_spec, size) == 0 &&
    offsetof(lifeboat_node_spec, start_limit) == 4 &&
    offsetof(lifeboat_node_spec, name) == 8 &&
    offsetof(lifeboat_node_spec, state) == 24 &&
    offsetof(lifeboat_node_spec, role) == 40 &&
    offsetof(lifeboat_node_spec, capacity) == 56 &&
    offsetof(lifeboat_node_spec, reserved) == 64 &&
    offsetof(lifeboat_node_spec, overcommit) == 72 &&
    offsetof(lifeboat_node_spec, failover_overcommit) == 80 &&
    offsetof(lifeboat_node_spec, kind_count) == 88 &&
    offsetof(lifeboat_node_spec, levels) == 96 &&
    offsetof(lifeboat_node_spec, domains) == 104 &&
    offsetof(lifeboat_node_spec, domain_count) == 112 &&
    offsetof(lifeboat_node_spec, labels) == 120 &&
    offsetof(lifeboat_node_spec, label_count) == 128);
LIFEBOAT_LAYOUT(lifeboat_vm_spec, sizeof(lifeboat_vm_spec) == 192 &&
    offsetof(lifeboat_vm_spec, size) == 0 &&
    offsetof(lifeboat_vm_spec, priority) == 4 &&
    offsetof(lifeboat_vm_spec, flags) == 8 &&
    offsetof(lifeboat_vm_spec, start_s) == 12 &&
    offsetof(lifeboat_vm_spec, name) == 16 &&
    offsetof(lifeboat_vm_spec, node) == 32 &&
    offsetof(lifeboat_vm_spec, migrating_to) == 48 &&
    offsetof(lifeboat_vm_spec, power) == 64 &&
    offsetof(lifeboat_vm_spec, restart) == 80 &&
    offsetof(lifeboat_vm_spec, demand) == 96 &&
    offsetof(lifeboat_vm_spec, restart_demand) == 104 &&
    offsetof(lifeboat_vm_spec, reservation) == 112 &&
    offsetof(lifeboat_vm_spec, kind_count) == 120 &&
    offsetof(lifeboat_vm_spec, requires) == 128 &&
    offsetof(lifeboat_vm_spec, requires_count) == 136 &&
    offsetof(lifeboat_vm_spec, allowed_nodes) == 144 &&
    offsetof(lifeboat_vm_spec, allowed_count) == 152 &&
    offsetof(lifeboat_vm_spec, migrate_requires) == 160 &&
    offsetof(lifeboat_vm_spec, migrate_requires_count) == 168 &&
    offsetof(lifeboat_vm_spec, groups) == 176 &&
    offsetof(lifeboat_vm_spec, group_count) == 184);
LIFEBOAT_LAYOUT(lifeboat_tolerance_spec, sizeof(lifeboat_tolerance_spec) == 56 &&
    offsetof(lifeboat_tolerance_spec, size) == 0 &&
    offsetof(lifeboat_tolerance_spec, flags) == 4 &&
    offsetof(lifeboat_tolerance_spec, min_priority) == 8 &&
    offsetof(lifeboat_tolerance_spec, padding) == 12 &&
    offsetof(lifeboat_tolerance_spec, mode) == 16 &&
    offsetof(lifeboat_tolerance_spec, levels) == 32 &&
    offsetof(lifeboat_tolerance_spec, counts) == 40 &&
    offsetof(lifeboat_tolerance_spec, level_count) == 48);
LIFEBOAT_LAYOUT(lifeboat_unit, sizeof(lifeboat_unit) == 32 &&
    offsetof(lifeboat_unit, level) == 0 &&
    offsetof(lifeboat_unit, name) == 16);
LIFEBOAT_LAYOUT(lifeboat_plan_summary, sizeof(lifeboat_plan_summary) == 88 &&
    offsetof(lifeboat_plan_summary, size) == 0 &&
    offsetof(lifeboat_plan_summary, answer) == 4 &&
    offsetof(lifeboat_plan_summary, optimal) == 8 &&
    offsetof(lifeboat_plan_summary, padding) == 12 &&
    offsetof(lifeboat_plan_summary, work) == 16 &&
    offsetof(lifeboat_plan_summary, placements) == 24 &&
    offsetof(lifeboat_plan_summary, evictions) == 32 &&
    offsetof(lifeboat_plan_summary, unplaced) == 40 &&
    offsetof(lifeboat_plan_summary, waiting) == 48 &&
    offsetof(lifeboat_plan_summary, left_alone) == 56 &&
    offsetof(lifeboat_plan_summary, classes) == 64 &&
    offsetof(lifeboat_plan_summary, failed) == 72 &&
    offsetof(lifeboat_plan_summary, broken_rules) == 80);
LIFEBOAT_LAYOUT(lifeboat_reason, sizeof(lifeboat_reason) == 72 &&
    offsetof(lifeboat_reason, size) == 0 &&
    offsetof(lifeboat_reason, padding) == 4 &&
    offsetof(lifeboat_reason, nodes) == 8 &&
    offsetof(lifeboat_reason, needed) == 16 &&
    offsetof(lifeboat_reason, free) == 24 &&
    offsetof(lifeboat_reason, largest_hole) == 32 &&
    offsetof(lifeboat_reason, code) == 40 &&
    offsetof(lifeboat_reason, name) == 56);
LIFEBOAT_LAYOUT(lifeboat_plan_class_counts, sizeof(lifeboat_plan_class_counts) == 24 &&
    offsetof(lifeboat_plan_class_counts, size) == 0 &&
    offsetof(lifeboat_plan_class_counts, restart) == 4 &&
    offsetof(lifeboat_plan_class_counts, priority) == 8 &&
    offsetof(lifeboat_plan_class_counts, displaced) == 12 &&
    offsetof(lifeboat_plan_class_counts, placed) == 16 &&
    offsetof(lifeboat_plan_class_counts, bound) == 20);
LIFEBOAT_LAYOUT(lifeboat_class_verdict, sizeof(lifeboat_class_verdict) == 144 &&
    offsetof(lifeboat_class_verdict, size) == 0 &&
    offsetof(lifeboat_class_verdict, answer) == 4 &&
    offsetof(lifeboat_class_verdict, rest) == 8 &&
    offsetof(lifeboat_class_verdict, covers) == 12 &&
    offsetof(lifeboat_class_verdict, min_priority) == 16 &&
    offsetof(lifeboat_class_verdict, banks) == 20 &&
    offsetof(lifeboat_class_verdict, work) == 24 &&
    offsetof(lifeboat_class_verdict, failing_units) == 32 &&
    offsetof(lifeboat_class_verdict, uncoverable) == 40 &&
    offsetof(lifeboat_class_verdict, counterexample_units) == 48 &&
    offsetof(lifeboat_class_verdict, counterexample_nodes) == 56 &&
    offsetof(lifeboat_class_verdict, message) == 64 &&
    offsetof(lifeboat_class_verdict, way) == 80 &&
    offsetof(lifeboat_class_verdict, proof) == 96 &&
    offsetof(lifeboat_class_verdict, scenarios) == 112 &&
    offsetof(lifeboat_class_verdict, open) == 128);
LIFEBOAT_LAYOUT(lifeboat_certificate_view, sizeof(lifeboat_certificate_view) == 64 &&
    offsetof(lifeboat_certificate_view, size) == 0 &&
    offsetof(lifeboat_certificate_view, covers) == 4 &&
    offsetof(lifeboat_certificate_view, class_index) == 8 &&
    offsetof(lifeboat_certificate_view, min_priority) == 12 &&
    offsetof(lifeboat_certificate_view, levels) == 16 &&
    offsetof(lifeboat_certificate_view, banks) == 24 &&
    offsetof(lifeboat_certificate_view, exceptions) == 32 &&
    offsetof(lifeboat_certificate_view, left_out) == 40 &&
    offsetof(lifeboat_certificate_view, evicts) == 48 &&
    offsetof(lifeboat_certificate_view, backups) == 56);
LIFEBOAT_LAYOUT(lifeboat_decision_summary, sizeof(lifeboat_decision_summary) == 40 &&
    offsetof(lifeboat_decision_summary, size) == 0 &&
    offsetof(lifeboat_decision_summary, answer) == 4 &&
    offsetof(lifeboat_decision_summary, placed) == 8 &&
    offsetof(lifeboat_decision_summary, violations) == 16 &&
    offsetof(lifeboat_decision_summary, items_before) == 24 &&
    offsetof(lifeboat_decision_summary, items_after) == 32);
LIFEBOAT_LAYOUT(lifeboat_violation, sizeof(lifeboat_violation) == 48 &&
    offsetof(lifeboat_violation, size) == 0 &&
    offsetof(lifeboat_violation, enforced) == 4 &&
    offsetof(lifeboat_violation, broken_before) == 8 &&
    offsetof(lifeboat_violation, padding) == 12 &&
    offsetof(lifeboat_violation, code) == 16 &&
    offsetof(lifeboat_violation, message) == 32);
LIFEBOAT_LAYOUT(lifeboat_policy_item, sizeof(lifeboat_policy_item) == 72 &&
    offsetof(lifeboat_policy_item, size) == 0 &&
    offsetof(lifeboat_policy_item, padding) == 4 &&
    offsetof(lifeboat_policy_item, name) == 8 &&
    offsetof(lifeboat_policy_item, state) == 24 &&
    offsetof(lifeboat_policy_item, mode) == 40 &&
    offsetof(lifeboat_policy_item, message) == 56);
LIFEBOAT_LAYOUT(lifeboat_headroom_interval, sizeof(lifeboat_headroom_interval) == 32 &&
    offsetof(lifeboat_headroom_interval, size) == 0 &&
    offsetof(lifeboat_headroom_interval, limit) == 4 &&
    offsetof(lifeboat_headroom_interval, limit_index) == 8 &&
    offsetof(lifeboat_headroom_interval, padding) == 12 &&
    offsetof(lifeboat_headroom_interval, least) == 16 &&
    offsetof(lifeboat_headroom_interval, most) == 24);
#elif UINTPTR_MAX == 0xffffffffu
LIFEBOAT_LAYOUT(lifeboat_str, sizeof(lifeboat_str) == 8 &&
    offsetof(lifeboat_str, data) == 0 &&
    offsetof(lifeboat_str, length) == 4);
LIFEBOAT_LAYOUT(lifeboat_resource_spec, sizeof(lifeboat_resource_spec) == 32 &&
    offsetof(lifeboat_resource_spec, size) == 0 &&
    offsetof(lifeboat_resource_spec, optional) == 4 &&
    offsetof(lifeboat_resource_spec, name) == 8 &&
    offsetof(lifeboat_resource_spec, unit) == 16 &&
    offsetof(lifeboat_resource_spec, per_vm) == 24);
LIFEBOAT_LAYOUT(lifeboat_node_spec, sizeof(lifeboat_node_spec) == 72 &&
    offsetof(lifeboat_node_spec, size) == 0 &&
    offsetof(lifeboat_node_spec, start_limit) == 4 &&
    offsetof(lifeboat_node_spec, name) == 8 &&
    offsetof(lifeboat_node_spec, state) == 16 &&
    offsetof(lifeboat_node_spec, role) == 24 &&
    offsetof(lifeboat_node_spec, capacity) == 32 &&
    offsetof(lifeboat_node_spec, reserved) == 36 &&
    offsetof(lifeboat_node_spec, overcommit) == 40 &&
    offsetof(lifeboat_node_spec, failover_overcommit) == 44 &&
    offsetof(lifeboat_node_spec, kind_count) == 48 &&
    offsetof(lifeboat_node_spec, levels) == 52 &&
    offsetof(lifeboat_node_spec, domains) == 56 &&
    offsetof(lifeboat_node_spec, domain_count) == 60 &&
    offsetof(lifeboat_node_spec, labels) == 64 &&
    offsetof(lifeboat_node_spec, label_count) == 68);
LIFEBOAT_LAYOUT(lifeboat_vm_spec, sizeof(lifeboat_vm_spec) == 104 &&
    offsetof(lifeboat_vm_spec, size) == 0 &&
    offsetof(lifeboat_vm_spec, priority) == 4 &&
    offsetof(lifeboat_vm_spec, flags) == 8 &&
    offsetof(lifeboat_vm_spec, start_s) == 12 &&
    offsetof(lifeboat_vm_spec, name) == 16 &&
    offsetof(lifeboat_vm_spec, node) == 24 &&
    offsetof(lifeboat_vm_spec, migrating_to) == 32 &&
    offsetof(lifeboat_vm_spec, power) == 40 &&
    offsetof(lifeboat_vm_spec, restart) == 48 &&
    offsetof(lifeboat_vm_spec, demand) == 56 &&
    offsetof(lifeboat_vm_spec, restart_demand) == 60 &&
    offsetof(lifeboat_vm_spec, reservation) == 64 &&
    offsetof(lifeboat_vm_spec, kind_count) == 68 &&
    offsetof(lifeboat_vm_spec, requires) == 72 &&
    offsetof(lifeboat_vm_spec, requires_count) == 76 &&
    offsetof(lifeboat_vm_spec, allowed_nodes) == 80 &&
    offsetof(lifeboat_vm_spec, allowed_count) == 84 &&
    offsetof(lifeboat_vm_spec, migrate_requires) == 88 &&
    offsetof(lifeboat_vm_spec, migrate_requires_count) == 92 &&
    offsetof(lifeboat_vm_spec, groups) == 96 &&
    offsetof(lifeboat_vm_spec, group_count) == 100);
LIFEBOAT_LAYOUT(lifeboat_tolerance_spec, sizeof(lifeboat_tolerance_spec) == 36 &&
    offsetof(lifeboat_tolerance_spec, size) == 0 &&
    offsetof(lifeboat_tolerance_spec, flags) == 4 &&
    offsetof(lifeboat_tolerance_spec, min_priority) == 8 &&
    offsetof(lifeboat_tolerance_spec, padding) == 12 &&
    offsetof(lifeboat_tolerance_spec, mode) == 16 &&
    offsetof(lifeboat_tolerance_spec, levels) == 24 &&
    offsetof(lifeboat_tolerance_spec, counts) == 28 &&
    offsetof(lifeboat_tolerance_spec, level_count) == 32);
LIFEBOAT_LAYOUT(lifeboat_unit, sizeof(lifeboat_unit) == 16 &&
    offsetof(lifeboat_unit, level) == 0 &&
    offsetof(lifeboat_unit, name) == 8);
LIFEBOAT_LAYOUT(lifeboat_plan_summary, sizeof(lifeboat_plan_summary) == 56 &&
    offsetof(lifeboat_plan_summary, size) == 0 &&
    offsetof(lifeboat_plan_summary, answer) == 4 &&
    offsetof(lifeboat_plan_summary, optimal) == 8 &&
    offsetof(lifeboat_plan_summary, padding) == 12 &&
    offsetof(lifeboat_plan_summary, work) == 16 &&
    offsetof(lifeboat_plan_summary, placements) == 24 &&
    offsetof(lifeboat_plan_summary, evictions) == 28 &&
    offsetof(lifeboat_plan_summary, unplaced) == 32 &&
    offsetof(lifeboat_plan_summary, waiting) == 36 &&
    offsetof(lifeboat_plan_summary, left_alone) == 40 &&
    offsetof(lifeboat_plan_summary, classes) == 44 &&
    offsetof(lifeboat_plan_summary, failed) == 48 &&
    offsetof(lifeboat_plan_summary, broken_rules) == 52);
LIFEBOAT_LAYOUT(lifeboat_reason, sizeof(lifeboat_reason) == 56 &&
    offsetof(lifeboat_reason, size) == 0 &&
    offsetof(lifeboat_reason, padding) == 4 &&
    offsetof(lifeboat_reason, nodes) == 8 &&
    offsetof(lifeboat_reason, needed) == 16 &&
    offsetof(lifeboat_reason, free) == 24 &&
    offsetof(lifeboat_reason, largest_hole) == 32 &&
    offsetof(lifeboat_reason, code) == 40 &&
    offsetof(lifeboat_reason, name) == 48);
LIFEBOAT_LAYOUT(lifeboat_plan_class_counts, sizeof(lifeboat_plan_class_counts) == 24 &&
    offsetof(lifeboat_plan_class_counts, size) == 0 &&
    offsetof(lifeboat_plan_class_counts, restart) == 4 &&
    offsetof(lifeboat_plan_class_counts, priority) == 8 &&
    offsetof(lifeboat_plan_class_counts, displaced) == 12 &&
    offsetof(lifeboat_plan_class_counts, placed) == 16 &&
    offsetof(lifeboat_plan_class_counts, bound) == 20);
LIFEBOAT_LAYOUT(lifeboat_class_verdict, sizeof(lifeboat_class_verdict) == 88 &&
    offsetof(lifeboat_class_verdict, size) == 0 &&
    offsetof(lifeboat_class_verdict, answer) == 4 &&
    offsetof(lifeboat_class_verdict, rest) == 8 &&
    offsetof(lifeboat_class_verdict, covers) == 12 &&
    offsetof(lifeboat_class_verdict, min_priority) == 16 &&
    offsetof(lifeboat_class_verdict, banks) == 20 &&
    offsetof(lifeboat_class_verdict, work) == 24 &&
    offsetof(lifeboat_class_verdict, failing_units) == 32 &&
    offsetof(lifeboat_class_verdict, uncoverable) == 36 &&
    offsetof(lifeboat_class_verdict, counterexample_units) == 40 &&
    offsetof(lifeboat_class_verdict, counterexample_nodes) == 44 &&
    offsetof(lifeboat_class_verdict, message) == 48 &&
    offsetof(lifeboat_class_verdict, way) == 56 &&
    offsetof(lifeboat_class_verdict, proof) == 64 &&
    offsetof(lifeboat_class_verdict, scenarios) == 72 &&
    offsetof(lifeboat_class_verdict, open) == 80);
LIFEBOAT_LAYOUT(lifeboat_certificate_view, sizeof(lifeboat_certificate_view) == 40 &&
    offsetof(lifeboat_certificate_view, size) == 0 &&
    offsetof(lifeboat_certificate_view, covers) == 4 &&
    offsetof(lifeboat_certificate_view, class_index) == 8 &&
    offsetof(lifeboat_certificate_view, min_priority) == 12 &&
    offsetof(lifeboat_certificate_view, levels) == 16 &&
    offsetof(lifeboat_certificate_view, banks) == 20 &&
    offsetof(lifeboat_certificate_view, exceptions) == 24 &&
    offsetof(lifeboat_certificate_view, left_out) == 28 &&
    offsetof(lifeboat_certificate_view, evicts) == 32 &&
    offsetof(lifeboat_certificate_view, backups) == 36);
LIFEBOAT_LAYOUT(lifeboat_decision_summary, sizeof(lifeboat_decision_summary) == 24 &&
    offsetof(lifeboat_decision_summary, size) == 0 &&
    offsetof(lifeboat_decision_summary, answer) == 4 &&
    offsetof(lifeboat_decision_summary, placed) == 8 &&
    offsetof(lifeboat_decision_summary, violations) == 12 &&
    offsetof(lifeboat_decision_summary, items_before) == 16 &&
    offsetof(lifeboat_decision_summary, items_after) == 20);
LIFEBOAT_LAYOUT(lifeboat_violation, sizeof(lifeboat_violation) == 32 &&
    offsetof(lifeboat_violation, size) == 0 &&
    offsetof(lifeboat_violation, enforced) == 4 &&
    offsetof(lifeboat_violation, broken_before) == 8 &&
    offsetof(lifeboat_violation, padding) == 12 &&
    offsetof(lifeboat_violation, code) == 16 &&
    offsetof(lifeboat_violation, message) == 24);
LIFEBOAT_LAYOUT(lifeboat_policy_item, sizeof(lifeboat_policy_item) == 40 &&
    offsetof(lifeboat_policy_item, size) == 0 &&
    offsetof(lifeboat_policy_item, padding) == 4 &&
    offsetof(lifeboat_policy_item, name) == 8 &&
    offsetof(lifeboat_policy_item, state) == 16 &&
    offsetof(lifeboat_policy_item, mode) == 24 &&
    offsetof(lifeboat_policy_item, message) == 32);
LIFEBOAT_LAYOUT(lifeboat_headroom_interval, sizeof(lifeboat_headroom_interval) == 32 &&
    offsetof(lifeboat_headroom_interval, size) == 0 &&
    offsetof(lifeboat_headroom_interval, limit) == 4 &&
    offsetof(lifeboat_headroom_interval, limit_index) == 8 &&
    offsetof(lifeboat_headroom_interval, padding) == 12 &&
    offsetof(lifeboat_headroom_interval, least) == 16 &&
    offsetof(lifeboat_headroom_interval, most) == 24);
#endif
#undef LIFEBOAT_LAYOUT

#endif  /* LIFEBOAT_H */
