// Loads a cluster, plans the loss of a node, verifies N+2, asks whether one more VM may start, and prints reasons.
//
// Build, in this folder, after cargo rustc --release --lib --features capi --crate-type staticlib (cgo wants whole paths):
//
//	root=$(cd ../.. && pwd)
//	CGO_CFLAGS="-I$root/src/capi" CGO_LDFLAGS="$root/target/release/liblifeboat.a -lpthread -ldl -lm" go build -o client .
//
// or, once installed (install.sh):
//
//	CGO_CFLAGS="$(pkg-config --cflags lifeboat)" CGO_LDFLAGS="$(pkg-config --libs lifeboat)" go build -o client .
//
// Run: ./client ../data/small.json kvm-1
package main

/*
#include <stdlib.h>
#include "lifeboat.h"
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"
)

// Error is a call that failed.
type Error struct {
	Status           int
	Message, Details string
}

func (e *Error) Error() string { return e.Message }

// check runs a call, and makes an error of the library's.
func check(call func(err **C.lifeboat_error) C.lifeboat_status) error {
	var given *C.lifeboat_error
	status := call(&given)
	if status == C.LIFEBOAT_OK {
		return nil
	}
	var message, details C.lifeboat_str
	C.lifeboat_error_message(given, &message)
	C.lifeboat_error_details(given, &details)
	err := &Error{int(status), text(message), text(details)}
	C.lifeboat_error_free(given)
	return err
}

func text(given C.lifeboat_str) string { return C.GoStringN(given.data, C.int(given.length)) }

// str copies a string for C; the second result frees it.
func str(given string) (C.lifeboat_str, func()) {
	data := C.CString(given)
	return C.lifeboat_str{data: data, length: C.size_t(len(given))}, func() { C.free(unsafe.Pointer(data)) }
}

// Cluster is a cluster with its policy. Close it.
type Cluster struct {
	cluster *C.lifeboat_cluster
	policy  *C.lifeboat_policy
}

// Load reads a document lifeboat/1.
func Load(document string) (*Cluster, error) {
	given, free := str(document)
	defer free()
	loaded := &Cluster{}
	err := check(func(err **C.lifeboat_error) C.lifeboat_status {
		return C.lifeboat_cluster_from_json(given, &loaded.cluster, &loaded.policy, err)
	})
	if err != nil {
		return nil, err
	}
	runtime.SetFinalizer(loaded, (*Cluster).Close)
	return loaded, nil
}

// Close frees what the library has made, once no other goroutine uses it.
func (c *Cluster) Close() {
	for C.lifeboat_cluster_free(c.cluster) == C.LIFEBOAT_BUSY {
		runtime.Gosched()
	}
	for C.lifeboat_policy_free(c.policy) == C.LIFEBOAT_BUSY {
		runtime.Gosched()
	}
	c.cluster, c.policy = nil, nil
}

// Placement is a VM that starts on a node.
type Placement struct {
	VM, Node string
	Wave     int
}

// Unplaced is a VM without a place.
type Unplaced struct {
	VM, Message string
	Reasons     []string
}

// Plan is what restarts after a failure.
type Plan struct {
	Answer     int
	Placements []Placement
	Unplaced   []Unplaced
}

// PlanLoss plans the restarts after the loss of nodes.
func (c *Cluster) PlanLoss(nodes ...string) (*Plan, error) {
	defer runtime.KeepAlive(c) // no finalizer frees what a call is about to use
	units := (*C.lifeboat_unit)(C.calloc(C.size_t(len(nodes)+1), C.size_t(unsafe.Sizeof(C.lifeboat_unit{}))))
	defer C.free(unsafe.Pointer(units))
	for at, node := range nodes {
		name, free := str(node)
		defer free()
		unsafe.Slice(units, len(nodes))[at] = C.lifeboat_unit{name: name}
	}
	var handle *C.lifeboat_plan
	if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
		return C.lifeboat_plan_restart(c.cluster, c.policy, units, C.size_t(len(nodes)), nil, &handle, err)
	}); err != nil {
		return nil, err
	}
	defer C.lifeboat_plan_free(handle)
	var summary C.lifeboat_plan_summary
	summary.size = C.uint32_t(unsafe.Sizeof(summary))
	if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
		return C.lifeboat_plan_summarize(handle, &summary, err)
	}); err != nil {
		return nil, err
	}
	plan := &Plan{Answer: int(summary.answer)}
	for at := C.size_t(0); at < summary.placements; at++ {
		var vm, node C.lifeboat_str
		var wave C.uint32_t
		if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
			return C.lifeboat_plan_placement(handle, at, &vm, &node, &wave, err)
		}); err != nil {
			return nil, err
		}
		plan.Placements = append(plan.Placements, Placement{text(vm), text(node), int(wave)})
	}
	for at := C.size_t(0); at < summary.unplaced; at++ {
		var vm, message C.lifeboat_str
		var reasons C.size_t
		if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
			return C.lifeboat_plan_unplaced(handle, at, &vm, &message, &reasons, err)
		}); err != nil {
			return nil, err
		}
		left := Unplaced{VM: text(vm), Message: text(message)}
		for index := C.size_t(0); index < reasons; index++ {
			var reason C.lifeboat_reason
			reason.size = C.uint32_t(unsafe.Sizeof(reason))
			if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
				return C.lifeboat_plan_reason(handle, at, index, &reason, err)
			}); err != nil {
				return nil, err
			}
			left.Reasons = append(left.Reasons, fmt.Sprintf("%s %s: %d nodes", text(reason.code), text(reason.name), reason.nodes))
		}
		plan.Unplaced = append(plan.Unplaced, left)
	}
	return plan, nil
}

// VerifyNodes says whether any so many nodes may fail, and a sentence for it.
func (c *Cluster) VerifyNodes(count int) (int, string, error) {
	defer runtime.KeepAlive(c) // no finalizer frees what a call is about to use
	level, free := str("node")
	defer free()
	levels := (*C.lifeboat_str)(C.malloc(C.size_t(unsafe.Sizeof(level))))
	counts := (*C.uint32_t)(C.malloc(4))
	defer C.free(unsafe.Pointer(levels))
	defer C.free(unsafe.Pointer(counts))
	*levels, *counts = level, C.uint32_t(count)
	var spec C.lifeboat_tolerance_spec
	spec.size = C.uint32_t(unsafe.Sizeof(spec))
	spec.levels, spec.counts, spec.level_count = levels, counts, 1
	if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
		return C.lifeboat_policy_tolerate_nothing(c.policy, err)
	}); err != nil {
		return 0, "", err
	}
	if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
		return C.lifeboat_policy_tolerate(c.policy, &spec, err)
	}); err != nil {
		return 0, "", err
	}
	var verdict *C.lifeboat_verdict
	if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
		return C.lifeboat_verify(c.cluster, c.policy, nil, &verdict, err)
	}); err != nil {
		return 0, "", err
	}
	defer C.lifeboat_verdict_free(verdict)
	var class C.lifeboat_class_verdict
	class.size = C.uint32_t(unsafe.Sizeof(class))
	if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
		return C.lifeboat_verdict_class(verdict, 0, &class, err)
	}); err != nil {
		return 0, "", err
	}
	return int(class.answer), text(class.message), nil
}

// Admit says whether changes (JSON) may be made, and what stands against them.
func (c *Cluster) Admit(changes string) (int, []string, error) {
	defer runtime.KeepAlive(c) // no finalizer frees what a call is about to use
	var judge *C.lifeboat_guard
	var decision *C.lifeboat_decision
	if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
		return C.lifeboat_guard_new(c.cluster, c.policy, &judge, err)
	}); err != nil {
		return 0, nil, err
	}
	defer C.lifeboat_guard_free(judge)
	given, free := str(changes)
	defer free()
	if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
		return C.lifeboat_guard_admit(judge, given, nil, &decision, err)
	}); err != nil {
		return 0, nil, err
	}
	defer C.lifeboat_decision_free(decision)
	var summary C.lifeboat_decision_summary
	summary.size = C.uint32_t(unsafe.Sizeof(summary))
	if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
		return C.lifeboat_decision_summarize(decision, &summary, err)
	}); err != nil {
		return 0, nil, err
	}
	var found []string
	for at := C.size_t(0); at < summary.violations; at++ {
		var violation C.lifeboat_violation
		violation.size = C.uint32_t(unsafe.Sizeof(violation))
		if err := check(func(err **C.lifeboat_error) C.lifeboat_status {
			return C.lifeboat_decision_violation(decision, at, &violation, err)
		}); err != nil {
			return 0, nil, err
		}
		found = append(found, text(violation.code)+": "+text(violation.message))
	}
	return int(summary.answer), found, nil
}

func word(answer int) string {
	return map[int]string{0: "yes", 1: "no", 3: "undecided"}[answer]
}

func run(path, node string) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	cluster, err := Load(string(document))
	if err != nil {
		return err
	}
	defer cluster.Close()
	plan, err := cluster.PlanLoss(node)
	if err != nil {
		return err
	}
	fmt.Println("plan: everything protected restarts:", word(plan.Answer))
	for _, start := range plan.Placements {
		fmt.Printf("  %s -> %s, wave %d\n", start.VM, start.Node, start.Wave)
	}
	for _, left := range plan.Unplaced {
		fmt.Printf("  %s stays down: %s\n", left.VM, left.Message)
		for _, reason := range left.Reasons {
			fmt.Println("   ", reason)
		}
	}
	answer, message, err := cluster.VerifyNodes(2)
	if err != nil {
		return err
	}
	fmt.Printf("N+2: %s\n  %s\n", word(answer), message)
	answer, violations, err := cluster.Admit(`{"op": "add_vm", "vm": {"name": "new", "demand": {"cpu": 100, "memory": 256}, "power": "on"}}`)
	if err != nil {
		return err
	}
	fmt.Println("admit:", word(answer))
	for _, violation := range violations {
		fmt.Println(" ", violation)
	}
	if _, err := Load("{}"); err == nil {
		return fmt.Errorf("an empty document was read")
	} else {
		fmt.Printf("an empty document: status %d, %d bytes of details\n", err.(*Error).Status, len(err.(*Error).Details))
	}
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: client CLUSTER.json NODE")
		os.Exit(2)
	}
	if C.lifeboat_abi_version() < C.LIFEBOAT_ABI_VERSION {
		fmt.Fprintln(os.Stderr, "the library is too old")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
}
