"""lifeboat for Python: an idiomatic face of the C ABI, by ctypes alone.

    with lifeboat.load(open("cluster.json").read()) as (cluster, policy):
        with cluster.plan(policy, [("node", "esx-01")]) as plan:
            for start in plan.placements:
                print(start.vm, "->", start.node)

Handles are context managers, failures are exceptions (`Error`, with status and details), lists are lists. The library is
found as LIFEBOAT_LIBRARY says, else by the system's rules. As a program: lifeboat.py CLUSTER.json NODE
"""

import ctypes
import ctypes.util
import json
import os
import sys
from ctypes import POINTER, byref, c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import List, NamedTuple, Optional, Tuple

ABI_VERSION = 4
BUSY, CANCELLED = 5, 11
YES, NO, OBSERVED, UNDECIDED = 0, 1, 2, 3


class _Str(ctypes.Structure):
    _fields_ = [("data", POINTER(c_char)), ("length", c_size_t)]

    def text(self) -> str:
        return ctypes.string_at(self.data, self.length).decode() if self.length else ""


class _Unit(ctypes.Structure):
    _fields_ = [("level", _Str), ("name", _Str)]


class _Sized(ctypes.Structure):
    def __init__(self, **fields):
        super().__init__(**fields)
        self.size = ctypes.sizeof(self)


class _ToleranceSpec(_Sized):
    _fields_ = [
        ("size", c_uint32), ("flags", c_uint32), ("min_priority", c_uint32), ("padding", c_uint32), ("mode", _Str),
        ("levels", POINTER(_Str)), ("counts", POINTER(c_uint32)), ("level_count", c_size_t),
    ]


class _PlanSummary(_Sized):
    _fields_ = [("size", c_uint32), ("answer", c_int32), ("optimal", c_uint32), ("padding", c_uint32), ("work", c_uint64)] + [
        (name, c_size_t)
        for name in ("placements", "evictions", "unplaced", "waiting", "left_alone", "classes", "failed", "broken_rules")
    ]


class _Reason(_Sized):
    _fields_ = [
        ("size", c_uint32), ("padding", c_uint32), ("nodes", c_uint64), ("needed", c_uint64), ("free", c_uint64),
        ("largest_hole", c_uint64), ("code", _Str), ("name", _Str),
    ]


class _ClassVerdict(_Sized):
    _fields_ = [
        ("size", c_uint32), ("answer", c_int32), ("rest", c_int32), ("covers", c_int32), ("min_priority", c_uint32),
        ("banks", c_uint32), ("work", c_uint64), ("failing_units", c_size_t), ("uncoverable", c_size_t),
        ("counterexample_units", c_size_t), ("counterexample_nodes", c_size_t), ("message", _Str), ("way", _Str),
        ("proof", _Str), ("scenarios", _Str), ("open", _Str),
    ]


class _DecisionSummary(_Sized):
    _fields_ = [("size", c_uint32), ("answer", c_int32)] + [
        (name, c_size_t) for name in ("placed", "violations", "items_before", "items_after")
    ]


class _Violation(_Sized):
    _fields_ = [
        ("size", c_uint32), ("enforced", c_uint32), ("broken_before", c_uint32), ("padding", c_uint32), ("code", _Str),
        ("message", _Str),
    ]


def _library() -> ctypes.CDLL:
    path = os.environ.get("LIFEBOAT_LIBRARY") or ctypes.util.find_library("lifeboat")
    # Where find_library has no tools to ask, the loader may find it all the same: LD_LIBRARY_PATH.
    plain = {"win32": "lifeboat.dll", "darwin": "liblifeboat.dylib"}.get(sys.platform, "liblifeboat.so")
    try:
        library = ctypes.CDLL(path or plain)
    except OSError as error:
        raise OSError(f"there is no lifeboat library: set LIFEBOAT_LIBRARY ({error})") from error
    library.lifeboat_abi_version.restype = c_uint32
    if library.lifeboat_abi_version() < ABI_VERSION:
        raise OSError("the lifeboat library is too old")
    return library


_lib = _library()


class Error(Exception):
    """A call that failed: `status`, a message, and `faults`, each with path, object, code and message."""

    def __init__(self, status: int, message: str, faults: list):
        super().__init__(message)
        self.status, self.faults = status, faults


def _function(name, *kinds):
    function = getattr(_lib, "lifeboat_" + name)
    function.argtypes, function.restype = kinds, c_int32
    return function


_error_free = _function("error_free", c_void_p)
_error_message = _function("error_message", c_void_p, POINTER(_Str))
_error_details = _function("error_details", c_void_p, POINTER(_Str))
_buffer_text = _function("buffer_text", c_void_p, POINTER(_Str))
_buffer_free = _function("buffer_free", c_void_p)


def _str(text: str) -> _Str:
    data = text.encode()
    given = _Str(ctypes.cast(ctypes.create_string_buffer(data, len(data) + 1), POINTER(c_char)), len(data))
    return given


def _call(name, kinds, *arguments):
    """Runs a call whose last parameter is the error."""
    error = c_void_p()
    status = _function(name, *kinds, POINTER(c_void_p))(*arguments, byref(error))
    if status:
        message, details = _Str(), _Str()
        _error_message(error, byref(message))
        _error_details(error, byref(details))
        faults = json.loads(details.text())["errors"]
        raised = Error(status, message.text(), faults)
        _error_free(error)
        raise raised


def _buffer(name, kinds, *arguments) -> str:
    """Runs a call that gives text."""
    out, text = c_void_p(), _Str()
    _call(name, (*kinds, POINTER(c_void_p)), *arguments, byref(out))
    try:
        _buffer_text(out, byref(text))
        return text.text()
    finally:
        _buffer_free(out)


class _Handle:
    """Something that the library has made: freed at the end of a `with`, or when it is forgotten."""

    kind = ""

    def __init__(self, handle: c_void_p):
        self._as_parameter_ = handle

    def close(self) -> None:
        """Frees it. While another thread uses it that is an `Error`, and it is still there to be closed."""
        handle = getattr(self, "_as_parameter_", None)
        if handle is None:
            return
        status = _function(self.kind + "_free", c_void_p)(handle)
        if status == BUSY:
            raise Error(status, f"another thread uses the {self.kind}: close it once that is done", [])
        self._as_parameter_ = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()


class Cancel(_Handle):
    """A flag to give to a call that may take long: set by another thread, the call ends with an `Error`, status CANCELLED."""

    kind = "cancel"

    def __init__(self):
        out = c_void_p()
        _function("cancel_new", POINTER(c_void_p))(byref(out))
        super().__init__(out)

    def set(self) -> None:
        _function("cancel_set", c_void_p)(self)


class Placement(NamedTuple):
    vm: str
    node: str
    wave: int


class Reason(NamedTuple):
    code: str
    name: str
    nodes: int
    needed: int
    free: int


class Unplaced(NamedTuple):
    vm: str
    message: str
    reasons: List[Reason]


class Plan(_Handle):
    kind = "plan"

    @property
    def summary(self) -> _PlanSummary:
        out = _PlanSummary()
        _call("plan_summarize", (c_void_p, POINTER(_PlanSummary)), self, byref(out))
        return out

    @property
    def placements(self) -> List[Placement]:
        found = []
        kinds = (c_void_p, c_size_t, POINTER(_Str), POINTER(_Str), POINTER(c_uint32))
        for at in range(self.summary.placements):
            vm, node, wave = _Str(), _Str(), c_uint32()
            _call("plan_placement", kinds, self, at, byref(vm), byref(node), byref(wave))
            found.append(Placement(vm.text(), node.text(), wave.value))
        return found

    @property
    def unplaced(self) -> List[Unplaced]:
        found = []
        kinds = (c_void_p, c_size_t, POINTER(_Str), POINTER(_Str), POINTER(c_size_t))
        for at in range(self.summary.unplaced):
            vm, message, count = _Str(), _Str(), c_size_t()
            _call("plan_unplaced", kinds, self, at, byref(vm), byref(message), byref(count))
            reasons = []
            for index in range(count.value):
                told = _Reason()
                _call("plan_reason", (c_void_p, c_size_t, c_size_t, POINTER(_Reason)), self, at, index, byref(told))
                reasons.append(Reason(told.code.text(), told.name.text(), told.nodes, told.needed, told.free))
            found.append(Unplaced(vm.text(), message.text(), reasons))
        return found


class Verdict(_Handle):
    kind = "verdict"

    @property
    def answer(self) -> int:
        answer = c_int32()
        _call("verdict_summary", (c_void_p, POINTER(c_int32), c_void_p), self, byref(answer), None)
        return answer.value

    @property
    def messages(self) -> List[str]:
        count = c_size_t()
        _call("verdict_summary", (c_void_p, c_void_p, POINTER(c_size_t)), self, None, byref(count))
        found = []
        for at in range(count.value):
            told = _ClassVerdict()
            _call("verdict_class", (c_void_p, c_size_t, POINTER(_ClassVerdict)), self, at, byref(told))
            found.append(told.message.text())
        return found


class Decision(_Handle):
    kind = "decision"

    @property
    def summary(self) -> _DecisionSummary:
        out = _DecisionSummary()
        _call("decision_summarize", (c_void_p, POINTER(_DecisionSummary)), self, byref(out))
        return out

    @property
    def is_admitted(self) -> bool:
        return self.summary.answer == YES

    @property
    def placed(self) -> List[Tuple[str, str]]:
        found = []
        for at in range(self.summary.placed):
            vm, node = _Str(), _Str()
            kinds = (c_void_p, c_size_t, POINTER(_Str), POINTER(_Str))
            _call("decision_placed", kinds, self, at, byref(vm), byref(node))
            found.append((vm.text(), node.text()))
        return found

    @property
    def violations(self) -> List[Tuple[str, str]]:
        found = []
        for at in range(self.summary.violations):
            told = _Violation()
            _call("decision_violation", (c_void_p, c_size_t, POINTER(_Violation)), self, at, byref(told))
            found.append((told.code.text(), told.message.text()))
        return found


class Policy(_Handle):
    kind = "policy"

    def tolerate(self, **counts: int) -> None:
        """Up to so many units of each level may fail together, and nothing else is promised: tolerate(node=2)."""
        levels = (_Str * len(counts))(*[_str(level) for level in counts])
        numbers = (c_uint32 * len(counts))(*counts.values())
        spec = _ToleranceSpec(levels=levels, counts=numbers, level_count=len(counts))
        _call("policy_tolerate_nothing", (c_void_p,), self)
        _call("policy_tolerate", (c_void_p, POINTER(_ToleranceSpec)), self, byref(spec))


class Cluster(_Handle):
    kind = "cluster"

    def plan(self, policy: Policy, lost: List[Tuple[str, str]], cancel: Optional[Cancel] = None) -> Plan:
        """The restarts after units fail, each as level and name."""
        units = (_Unit * len(lost))(*[_Unit(_str(level), _str(name)) for level, name in lost])
        out = c_void_p()
        kinds = (c_void_p, c_void_p, POINTER(_Unit), c_size_t, c_void_p, POINTER(c_void_p))
        _call("plan_restart", kinds, self, policy, units, len(lost), cancel, byref(out))
        return Plan(out)

    def verify(self, policy: Policy, cancel: Optional[Cancel] = None) -> Verdict:
        out = c_void_p()
        _call("verify", (c_void_p, c_void_p, c_void_p, POINTER(c_void_p)), self, policy, cancel, byref(out))
        return Verdict(out)

    def max_tolerable(self, policy: Policy, level: str = "node") -> Tuple[int, int]:
        least, most = c_int64(), c_int64()
        kinds = (c_void_p, c_void_p, _Str, c_void_p, POINTER(c_int64), POINTER(c_int64))
        _call("max_tolerable", kinds, self, policy, _str(level), None, byref(least), byref(most))
        return least.value, most.value

    def edit(self, changes) -> None:
        """Carries out operations as a changes file has them: all or none."""
        _call("cluster_edit", (c_void_p, c_void_p, _Str), self, None, _str(json.dumps(changes)))

    def document(self, policy: Policy) -> dict:
        text = _buffer("cluster_to_json", (c_void_p, c_void_p, c_uint32), self, policy, 0)
        return json.loads(text)


class Guard(_Handle):
    kind = "guard"

    def __init__(self, cluster: Cluster, policy: Policy):
        out = c_void_p()
        _call("guard_new", (c_void_p, c_void_p, POINTER(c_void_p)), cluster, policy, byref(out))
        super().__init__(out)

    def admit(self, changes, cancel: Optional[Cancel] = None) -> Decision:
        """May this be done? An operation as a changes file has it, or a list of them."""
        out = c_void_p()
        kinds = (c_void_p, _Str, c_void_p, POINTER(c_void_p))
        _call("guard_admit", kinds, self, _str(json.dumps(changes)), cancel, byref(out))
        return Decision(out)

    def observe(self, changes, cancel: Optional[Cancel] = None) -> Decision:
        """This has happened. What is cancelled was not taken in."""
        out = c_void_p()
        kinds = (c_void_p, _Str, c_void_p, POINTER(c_void_p))
        _call("guard_observe", kinds, self, _str(json.dumps(changes)), cancel, byref(out))
        return Decision(out)

    def apply(self, decision: Decision) -> None:
        _call("guard_apply", (c_void_p, c_void_p), self, decision)


class _Pair(tuple):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self:
            handle.close()


def load(document: str):
    """A cluster and its policy from a document lifeboat/1."""
    cluster, policy = c_void_p(), c_void_p()
    kinds = (_Str, POINTER(c_void_p), POINTER(c_void_p))
    _call("cluster_from_json", kinds, _str(document), byref(cluster), byref(policy))
    return _Pair((Cluster(cluster), Policy(policy)))


def ask(question: str, cluster: dict, **fields):
    """One question, JSON in and JSON out: the answer, and 0 yes, 1 no, 2 bad input, 3 undecided."""
    request = {"format": "lifeboat-request/1", "question": question, "cluster": cluster, **fields}
    answer = c_int32()
    kinds = (_Str, c_void_p, POINTER(c_int32))
    text = _buffer("json_call", kinds, _str(json.dumps(request)), None, byref(answer))
    return text, answer.value


def main(path: str, node: str) -> None:
    """Loads a cluster, plans the loss of a node, verifies N+2, asks whether one more VM may start, and prints reasons."""
    words = {YES: "yes", NO: "no", UNDECIDED: "undecided"}
    with open(path, encoding="utf-8") as file:
        document = file.read()
    with load(document) as (cluster, policy):
        with cluster.plan(policy, [("node", node)]) as plan:
            print("plan: everything protected restarts:", words[plan.summary.answer])
            for start in plan.placements:
                print(f"  {start.vm} -> {start.node}, wave {start.wave}")
            for left in plan.unplaced:
                print(f"  {left.vm} stays down: {left.message}")
                for reason in left.reasons:
                    print(f"    {reason.code} {reason.name}: {reason.nodes} nodes")
            placed = [(start.vm, start.node) for start in plan.placements]
        text, _ = ask("plan", json.loads(document), fail=[node])
        assert placed == [(start["vm"], start["node"]) for start in json.loads(text)["placements"]]
        print("nodes that may be lost:", "{} to {}".format(*cluster.max_tolerable(policy)))
        policy.tolerate(node=2)
        with cluster.verify(policy) as verdict:
            print("N+2:", words[verdict.answer])
            for message in verdict.messages:
                print(" ", message)
        new = {"name": "new", "demand": {"cpu": 100, "memory": 256}, "power": "on"}
        with Guard(cluster, policy) as guard, guard.admit({"op": "add_vm", "vm": new}) as decision:
            print("admit:", words[decision.summary.answer])
            for vm, target in decision.placed:
                print(f"  {vm} -> {target}")
            for code, message in decision.violations:
                print(f"  {code}: {message}")
            if decision.is_admitted:
                guard.apply(decision)
        try:
            cluster.edit({"op": "stop", "vm": "no such VM"})
            sys.exit(3)
        except Error as error:
            print("a VM that is not there:", error.faults[0]["code"], "at", error.faults[0]["path"])
        with Cancel() as cancel:
            cancel.set()
            try:
                cluster.verify(policy, cancel)
                sys.exit(3)
            except Error as error:
                assert error.status == CANCELLED
        assert cluster.document(policy)["format"] == "lifeboat/1"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} CLUSTER.json NODE")
    main(sys.argv[1], sys.argv[2])
