// A thin C# face of the C ABI: handles are SafeHandles and free themselves, failures are exceptions, lists are lists, and what
// can take long takes a CancellationToken. C# 6, by P/Invoke alone, no unsafe code; one file to copy into a project. The
// library is found as the platform does it: liblifeboat.so, liblifeboat.dylib or lifeboat.dll.
//
//     Policy policy;
//     using (var cluster = Cluster.Load(document, out policy))
//     using (policy)
//     using (var plan = cluster.Plan(policy, new[] { LostUnit.Node("esx-01") }))
//         foreach (var start in plan.Placements) Console.WriteLine(start.Vm + " -> " + start.Node);
//
// A handle serves one call at a time, as in C: a second thread gets LifeboatException with Status.Busy at once.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;

namespace Lifeboat
{
    /// <summary>What a call returned; more may be added.</summary>
    public enum Status
    {
        Ok = 0, NullArgument = 1, InvalidArgument = 2, NotUtf8 = 3, BadHandle = 4, Busy = 5, Poisoned = 6, Panic = 7,
        BadDocument = 8, Refused = 9, NotFound = 10, Cancelled = 11, NotValid = 12, Stale = 13, Unsupported = 14
    }

    /// <summary>What is answered: a "no" is an answer, and no exception.</summary>
    public enum Answer { Yes = 0, No = 1, Observed = 2, Undecided = 3 }

    /// <summary>A call that failed: why (Status), the stable code of the first thing that is wrong, the message for people,
    /// and all that is wrong as JSON, lifeboat-error/1.</summary>
    public sealed class LifeboatException : Exception
    {
        internal LifeboatException(Status status, string code, string message, string details) : base(message)
        {
            Status = status;
            Code = code;
            Details = details;
        }

        public Status Status { get; }
        public string Code { get; }
        public string Details { get; }
    }

    /// <summary>A node that fails, or a whole domain of a level.</summary>
    public sealed class LostUnit
    {
        public LostUnit(string level, string name) { Level = level; Name = name; }
        public string Level { get; }
        public string Name { get; }
        public static LostUnit Node(string name) => new LostUnit("node", name);
    }

    public sealed class Placement
    {
        internal Placement(string vm, string node, uint wave) { Vm = vm; Node = node; Wave = wave; }
        public string Vm { get; }
        public string Node { get; }
        public uint Wave { get; }
    }

    public sealed class Reason
    {
        internal Reason(ReasonView view)
        {
            Code = view.Code.Copy();
            Name = view.Name.Copy();
            Nodes = view.Nodes;
            Needed = view.Needed;
            Free = view.Free;
        }

        public string Code { get; }
        public string Name { get; }
        public ulong Nodes { get; }
        public ulong Needed { get; }
        public ulong Free { get; }
    }

    public sealed class Unplaced
    {
        internal Unplaced(string vm, string message, IReadOnlyList<Reason> reasons) { Vm = vm; Message = message; Reasons = reasons; }
        public string Vm { get; }
        public string Message { get; }
        public IReadOnlyList<Reason> Reasons { get; }
    }

    public sealed class ClassCounts
    {
        internal ClassCounts(PlanClassCounts counts)
        {
            Priority = counts.Priority;
            Displaced = counts.Displaced;
            Placed = counts.Placed;
            Bound = counts.Bound;
        }

        public uint Priority { get; }
        public uint Displaced { get; }
        public uint Placed { get; }
        public uint Bound { get; }
    }

    public sealed class FailureClass
    {
        internal FailureClass(Answer answer, string message, string scenarios, IReadOnlyList<LostUnit> counterexample)
        {
            Answer = answer;
            Message = message;
            Scenarios = scenarios;
            Counterexample = counterexample;
        }

        public Answer Answer { get; }
        public string Message { get; }
        /// <summary>How many failures there are in the class: as text, for it may be large.</summary>
        public string Scenarios { get; }
        public IReadOnlyList<LostUnit> Counterexample { get; }
    }

    public sealed class Violation
    {
        internal Violation(ViolationView view) { Code = view.Code.Copy(); Message = view.Message.Copy(); IsEnforced = view.Enforced != 0; }
        public string Code { get; }
        public string Message { get; }
        public bool IsEnforced { get; }
    }

    /// <summary>What the library has made: freed by Dispose, or when it is forgotten, and never while a call uses it.</summary>
    public abstract class Handle : SafeHandle
    {
        internal Handle() : base(IntPtr.Zero, true) { }
        public override bool IsInvalid => handle == IntPtr.Zero;

        /// <summary>Reads views into what the library has made: it lives until they are copied.</summary>
        internal T Read<T>(Func<T> read)
        {
            var held = false;
            try
            {
                DangerousAddRef(ref held);
                return read();
            }
            finally
            {
                if (held) DangerousRelease();
            }
        }

        /// <summary>A list, one place after another.</summary>
        internal IReadOnlyList<T> List<T>(UIntPtr count, Func<UIntPtr, T> at) => Read(() =>
        {
            var found = new List<T>();
            for (ulong index = 0; index < (ulong)count; index++) found.Add(at((UIntPtr)index));
            return found;
        });
    }

    /// <summary>What is promised and allowed.</summary>
    public sealed class Policy : Handle
    {
        internal Policy() { }
        protected override bool ReleaseHandle() => Native.lifeboat_policy_free(handle) == 0;

        /// <summary>Up to so many units of a level may fail together, and nothing else is promised.</summary>
        public void Tolerate(string level, uint count)
        {
            Failed.If(Native.lifeboat_policy_tolerate_nothing(this, out IntPtr error), error);
            using (var given = new Given())
            {
                var spec = new ToleranceSpec
                {
                    Size = Native.SizeOf<ToleranceSpec>(),
                    Levels = given.List(new[] { given.Text(level) }),
                    Counts = given.List(new[] { count }),
                    LevelCount = (UIntPtr)1
                };
                Failed.If(Native.lifeboat_policy_tolerate(this, ref spec, out error), error);
            }
        }
    }

    /// <summary>Nodes, VMs, fault domains and rules.</summary>
    public sealed class Cluster : Handle
    {
        internal Cluster() { }
        protected override bool ReleaseHandle() => Native.lifeboat_cluster_free(handle) == 0;

        /// <summary>Reads a document lifeboat/1: the cluster and its policy.</summary>
        public static Cluster Load(string document, out Policy policy)
        {
            Cluster cluster;
            using (var given = new Given())
            {
                Failed.If(Native.lifeboat_cluster_from_json(given.Text(document), out cluster, out policy, out IntPtr error), error);
            }
            return cluster;
        }

        /// <summary>The restarts after these units fail.</summary>
        public Plan Plan(Policy policy, IEnumerable<LostUnit> lost, CancellationToken token = default(CancellationToken))
        {
            Plan plan;
            using (var given = new Given())
            using (var flag = new CancelFlag(token))
            {
                UIntPtr count;
                var units = given.Units(lost, out count);
                Failed.If(Native.lifeboat_plan_restart(this, policy, units, count, flag.Raw, out plan, out IntPtr error), error, token);
            }
            return plan;
        }

        /// <summary>Whether every failure that the policy tolerates is survived.</summary>
        public Verdict Verify(Policy policy, CancellationToken token = default(CancellationToken))
        {
            Verdict verdict;
            using (var flag = new CancelFlag(token))
            {
                Failed.If(Native.lifeboat_verify(this, policy, flag.Raw, out verdict, out IntPtr error), error, token);
            }
            return verdict;
        }

        /// <summary>How many units of a level may be lost: at least, and at most; -1 where not even none.</summary>
        public void MaxTolerable(Policy policy, string level, out long least, out long most, CancellationToken token = default(CancellationToken))
        {
            using (var given = new Given())
            using (var flag = new CancelFlag(token))
            {
                Failed.If(Native.lifeboat_max_tolerable(this, policy, given.Text(level), flag.Raw, out least, out most, out IntPtr error), error, token);
            }
        }

        /// <summary>What other products' rules say: JSON, lifeboat-compare/1.</summary>
        public string Compare(Policy policy, CancellationToken token = default(CancellationToken))
        {
            Buffer text;
            using (var flag = new CancelFlag(token))
            {
                Failed.If(Native.lifeboat_compare(this, policy, flag.Raw, out text, out IntPtr error), error, token);
            }
            return text.Take();
        }
    }

    /// <summary>Which VM starts where, what stays down, and why.</summary>
    public sealed class Plan : Handle
    {
        internal Plan() { }
        protected override bool ReleaseHandle() => Native.lifeboat_plan_free(handle) == 0;

        private PlanSummary Summary
        {
            get
            {
                var summary = new PlanSummary { Size = Native.SizeOf<PlanSummary>() };
                Failed.If(Native.lifeboat_plan_summarize(this, ref summary, out IntPtr error), error);
                return summary;
            }
        }

        /// <summary>Whether all protected VMs restart.</summary>
        public Answer Answer => (Answer)Summary.Answer;

        /// <summary>Whether it is proved that no plan places more.</summary>
        public bool IsOptimal => Summary.Optimal != 0;

        public IReadOnlyList<Placement> Placements => List(Summary.Placements, at =>
        {
            Str vm, node;
            uint wave;
            Failed.If(Native.lifeboat_plan_placement(this, at, out vm, out node, out wave, out IntPtr error), error);
            return new Placement(vm.Copy(), node.Copy(), wave);
        });

        public IReadOnlyList<Unplaced> Unplaced => List(Summary.Unplaced, at =>
        {
            Str vm, message;
            UIntPtr reasons;
            Failed.If(Native.lifeboat_plan_unplaced(this, at, out vm, out message, out reasons, out IntPtr error), error);
            return new Unplaced(vm.Copy(), message.Copy(), List(reasons, index => Reason(at, index)));
        });

        private Reason Reason(UIntPtr unplaced, UIntPtr index)
        {
            var view = new ReasonView { Size = Native.SizeOf<ReasonView>() };
            Failed.If(Native.lifeboat_plan_reason(this, unplaced, index, ref view, out IntPtr error), error);
            return new Reason(view);
        }

        public IReadOnlyList<ClassCounts> Classes => List(Summary.Classes, at =>
        {
            var counts = new PlanClassCounts { Size = Native.SizeOf<PlanClassCounts>() };
            Failed.If(Native.lifeboat_plan_class(this, at, ref counts, out IntPtr error), error);
            return new ClassCounts(counts);
        });
    }

    /// <summary>Whether every failure that a policy tolerates is survived.</summary>
    public sealed class Verdict : Handle
    {
        internal Verdict() { }
        protected override bool ReleaseHandle() => Native.lifeboat_verdict_free(handle) == 0;

        private Answer Summary(out UIntPtr classes)
        {
            int answer;
            Failed.If(Native.lifeboat_verdict_summary(this, out answer, out classes, out IntPtr error), error);
            return (Answer)answer;
        }

        public Answer Answer
        {
            get
            {
                UIntPtr classes;
                return Summary(out classes);
            }
        }

        public IReadOnlyList<FailureClass> Classes
        {
            get
            {
                UIntPtr classes;
                Summary(out classes);
                return List(classes, at =>
                {
                    var view = new ClassVerdictView { Size = Native.SizeOf<ClassVerdictView>() };
                    Failed.If(Native.lifeboat_verdict_class(this, at, ref view, out IntPtr error), error);
                    var units = List(view.CounterexampleUnits, index => Unit(at, index));
                    return new FailureClass((Answer)view.Answer, view.Message.Copy(), view.Scenarios.Copy(), units);
                });
            }
        }

        private LostUnit Unit(UIntPtr of, UIntPtr index)
        {
            Unit unit;
            Failed.If(Native.lifeboat_verdict_counterexample_unit(this, of, index, out unit, out IntPtr error), error);
            return new LostUnit(unit.Level.Copy(), unit.Name.Copy());
        }

        /// <summary>The certificates of the classes that hold.</summary>
        public Certificates Certificates()
        {
            Certificates certificates;
            Failed.If(Native.lifeboat_verdict_certificates(this, out certificates, out IntPtr error), error);
            return certificates;
        }
    }

    /// <summary>Certificates, one for each failure class that holds.</summary>
    public sealed class Certificates : Handle
    {
        internal Certificates() { }
        protected override bool ReleaseHandle() => Native.lifeboat_certificate_free(handle) == 0;

        /// <summary>Reads stored certificates for a cluster as it was then.</summary>
        public static Certificates Load(Cluster cluster, string text)
        {
            Certificates certificates;
            using (var given = new Given())
            {
                Failed.If(Native.lifeboat_certificate_from_json(cluster, given.Text(text), out certificates, out IntPtr error), error);
            }
            return certificates;
        }

        /// <summary>Text to be stored: lifeboat-certificate/1.</summary>
        public string Save(Cluster cluster)
        {
            Buffer text;
            Failed.If(Native.lifeboat_certificate_to_json(this, cluster, out text, out IntPtr error), error);
            return text.Take();
        }

        /// <summary>Has the independent checker look at them; what is wrong is an exception with Status.NotValid.</summary>
        public void Check(Cluster cluster, Policy policy, CancellationToken token = default(CancellationToken))
        {
            using (var flag = new CancelFlag(token))
            {
                Failed.If(Native.lifeboat_certificate_check(this, cluster, policy, flag.Raw, out IntPtr error), error, token);
            }
        }

        /// <summary>The restarts after a loss, never worse than what the certificate at this position promises.</summary>
        public Plan Plan(
            uint index, Cluster cluster, Policy policy, IEnumerable<LostUnit> lost, CancellationToken token = default(CancellationToken))
        {
            Plan plan;
            using (var given = new Given())
            using (var flag = new CancelFlag(token))
            {
                UIntPtr count;
                var units = given.Units(lost, out count);
                var status = Native.lifeboat_plan_restart_with(
                    this, (UIntPtr)index, cluster, policy, units, count, flag.Raw, out plan, out IntPtr error);
                Failed.If(status, error, token);
            }
            return plan;
        }
    }

    /// <summary>A copy of a cluster with its policy, and the judge of what is to be changed.</summary>
    public sealed class Guard : Handle
    {
        internal Guard() { }
        protected override bool ReleaseHandle() => Native.lifeboat_guard_free(handle) == 0;

        public static Guard Of(Cluster cluster, Policy policy)
        {
            Guard guard;
            Failed.If(Native.lifeboat_guard_new(cluster, policy, out guard, out IntPtr error), error);
            return guard;
        }

        /// <summary>May this be done? JSON: an operation as a changes file has it, or a list of them. Nothing changes yet.</summary>
        public Decision Admit(string changes, CancellationToken token = default(CancellationToken))
        {
            Decision decision;
            using (var given = new Given())
            using (var flag = new CancelFlag(token))
            {
                Failed.If(Native.lifeboat_guard_admit(this, given.Text(changes), flag.Raw, out decision, out IntPtr error), error, token);
            }
            return decision;
        }

        /// <summary>This has happened: JSON as for Admit. What is cancelled was not taken in.</summary>
        public Decision Observe(string changes, CancellationToken token = default(CancellationToken))
        {
            Decision decision;
            using (var given = new Given())
            using (var flag = new CancelFlag(token))
            {
                Failed.If(Native.lifeboat_guard_observe(this, given.Text(changes), flag.Raw, out decision, out IntPtr error), error, token);
            }
            return decision;
        }

        /// <summary>Carries out an admitted decision.</summary>
        public void Apply(Decision decision)
        {
            Failed.If(Native.lifeboat_guard_apply(this, decision, out IntPtr error), error);
        }
    }

    /// <summary>What a guard says of a request.</summary>
    public sealed class Decision : Handle
    {
        internal Decision() { }
        protected override bool ReleaseHandle() => Native.lifeboat_decision_free(handle) == 0;

        private DecisionSummary Summary
        {
            get
            {
                var summary = new DecisionSummary { Size = Native.SizeOf<DecisionSummary>() };
                Failed.If(Native.lifeboat_decision_summarize(this, ref summary, out IntPtr error), error);
                return summary;
            }
        }

        public Answer Answer => (Answer)Summary.Answer;

        /// <summary>Which VMs start or move, and where.</summary>
        public IReadOnlyList<KeyValuePair<string, string>> Placed => List(Summary.Placed, at =>
        {
            Str vm, node;
            Failed.If(Native.lifeboat_decision_placed(this, at, out vm, out node, out IntPtr error), error);
            return new KeyValuePair<string, string>(vm.Copy(), node.Copy());
        });

        public IReadOnlyList<Violation> Violations => List(Summary.Violations, at =>
        {
            var view = new ViolationView { Size = Native.SizeOf<ViolationView>() };
            Failed.If(Native.lifeboat_decision_violation(this, at, ref view, out IntPtr error), error);
            return new Violation(view);
        });
    }

    /// <summary>Text that a call made.</summary>
    internal sealed class Buffer : Handle
    {
        protected override bool ReleaseHandle() => Native.lifeboat_buffer_free(handle) == 0;

        /// <summary>Copies the text and frees the buffer.</summary>
        internal string Take()
        {
            using (this)
            {
                return Read(() =>
                {
                    Str text;
                    Failed.If(Native.lifeboat_buffer_text(this, out text), IntPtr.Zero);
                    return text.Copy();
                });
            }
        }
    }

    /// <summary>A flag that a token sets: long work ends with OperationCanceledException.</summary>
    internal sealed class CancelFlag : IDisposable
    {
        internal readonly RawFlag Raw;
        private readonly CancellationTokenRegistration registration;

        internal CancelFlag(CancellationToken token)
        {
            Failed.If(Native.lifeboat_cancel_new(out Raw), IntPtr.Zero);
            registration = token.Register(() => Native.lifeboat_cancel_set(Raw));
        }

        /// <summary>After this no token sets it: the registration waits for a callback that runs.</summary>
        public void Dispose()
        {
            registration.Dispose();
            Raw.Dispose();
        }

        internal sealed class RawFlag : Handle
        {
            protected override bool ReleaseHandle() => Native.lifeboat_cancel_free(handle) == 0;
        }
    }

    /// <summary>What is lent to a call: arrays that stay where they are until it is disposed of.</summary>
    internal sealed class Given : IDisposable
    {
        private static readonly Encoding Utf8 = new UTF8Encoding(false, true);
        private readonly List<GCHandle> pins = new List<GCHandle>();

        /// <summary>UTF-8 and its length. A string that is no text (half a surrogate pair) is an ArgumentException.</summary>
        internal Str Text(string text)
        {
            if (text == null) throw new ArgumentNullException(nameof(text));
            var bytes = Utf8.GetBytes(text);
            return new Str { Data = List(bytes), Length = (UIntPtr)bytes.Length };
        }

        internal IntPtr Units(IEnumerable<LostUnit> lost, out UIntPtr count)
        {
            var units = new List<Unit>();
            foreach (var unit in lost) units.Add(new Unit { Level = Text(unit.Level), Name = Text(unit.Name) });
            count = (UIntPtr)units.Count;
            return List(units.ToArray());
        }

        internal IntPtr List<T>(T[] items) where T : struct
        {
            if (items.Length == 0) return IntPtr.Zero;
            var pin = GCHandle.Alloc(items, GCHandleType.Pinned);
            pins.Add(pin);
            return pin.AddrOfPinnedObject();
        }

        public void Dispose()
        {
            foreach (var pin in pins) pin.Free();
            pins.Clear();
        }
    }

    internal static class Failed
    {
        /// <summary>Makes an exception of a failed call, and frees the error.</summary>
        internal static void If(int status, IntPtr error, CancellationToken token = default(CancellationToken))
        {
            if (status == (int)Status.Ok) return;
            Str code, message, details;
            var failure = new LifeboatException((Status)status, "call", "status " + status, "");
            if (error != IntPtr.Zero && Native.lifeboat_error_code(error, out code) == 0
                && Native.lifeboat_error_message(error, out message) == 0 && Native.lifeboat_error_details(error, out details) == 0)
            {
                failure = new LifeboatException((Status)status, code.Copy(), message.Copy(), details.Copy());
            }
            Native.lifeboat_error_free(error);
            if (failure.Status == Status.Cancelled) throw new OperationCanceledException(failure.Message, failure, token);
            throw failure;
        }
    }

    // What crosses the boundary, field by field as in lifeboat.h. All of it is blittable: nothing is copied on the way.

    [StructLayout(LayoutKind.Sequential)]
    internal struct Str
    {
        internal IntPtr Data;
        internal UIntPtr Length;

        internal string Copy()
        {
            var bytes = new byte[checked((int)Length)];
            if (bytes.Length > 0) Marshal.Copy(Data, bytes, 0, bytes.Length);
            return Encoding.UTF8.GetString(bytes);
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct Unit
    {
        internal Str Level, Name;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ToleranceSpec
    {
        internal uint Size, Flags, MinPriority, Padding;
        internal Str Mode;
        internal IntPtr Levels, Counts;
        internal UIntPtr LevelCount;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct PlanSummary
    {
        internal uint Size;
        internal int Answer;
        internal uint Optimal, Padding;
        internal ulong Work;
        internal UIntPtr Placements, Evictions, Unplaced, Waiting, LeftAlone, Classes, Failed, BrokenRules;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ReasonView
    {
        internal uint Size, Padding;
        internal ulong Nodes, Needed, Free, LargestHole;
        internal Str Code, Name;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct PlanClassCounts
    {
        internal uint Size;
        internal int Restart;
        internal uint Priority, Displaced, Placed, Bound;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ClassVerdictView
    {
        internal uint Size;
        internal int Answer, Rest, Covers;
        internal uint MinPriority, Banks;
        internal ulong Work;
        internal UIntPtr FailingUnits, Uncoverable, CounterexampleUnits, CounterexampleNodes;
        internal Str Message, Way, Proof, Scenarios, Open;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct DecisionSummary
    {
        internal uint Size;
        internal int Answer;
        internal UIntPtr Placed, Violations, ItemsBefore, ItemsAfter;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ViolationView
    {
        internal uint Size, Enforced, BrokenBefore, Padding;
        internal Str Code, Message;
    }

    internal static class Native
    {
        private const string Library = "lifeboat";
        private const uint AbiVersion = 4;
        private const CallingConvention C = CallingConvention.Cdecl;

        static Native()
        {
            if (lifeboat_abi_version() < AbiVersion) throw new DllNotFoundException("the lifeboat library is too old");
        }

        internal static uint SizeOf<T>() => (uint)Marshal.SizeOf(typeof(T));

        [DllImport(Library, CallingConvention = C)] private static extern uint lifeboat_abi_version();

        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_cluster_free(IntPtr handle);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_policy_free(IntPtr handle);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_plan_free(IntPtr handle);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_verdict_free(IntPtr handle);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_certificate_free(IntPtr handle);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_guard_free(IntPtr handle);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_decision_free(IntPtr handle);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_buffer_free(IntPtr handle);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_cancel_free(IntPtr handle);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_error_free(IntPtr handle);

        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_error_code(IntPtr error, out Str text);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_error_message(IntPtr error, out Str text);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_error_details(IntPtr error, out Str text);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_buffer_text(Buffer buffer, out Str text);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_cancel_new(out CancelFlag.RawFlag flag);
        [DllImport(Library, CallingConvention = C)] internal static extern int lifeboat_cancel_set(CancelFlag.RawFlag flag);

        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_cluster_from_json(Str document, out Cluster cluster, out Policy policy, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_policy_tolerate_nothing(Policy policy, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_policy_tolerate(Policy policy, ref ToleranceSpec spec, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_max_tolerable(
            Cluster cluster, Policy policy, Str level, CancelFlag.RawFlag cancel, out long least, out long most, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_compare(
            Cluster cluster, Policy policy, CancelFlag.RawFlag cancel, out Buffer text, out IntPtr error);

        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_plan_restart(
            Cluster cluster, Policy policy, IntPtr units, UIntPtr count, CancelFlag.RawFlag cancel, out Plan plan, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_plan_restart_with(
            Certificates certificates, UIntPtr index, Cluster cluster, Policy policy, IntPtr units, UIntPtr count,
            CancelFlag.RawFlag cancel, out Plan plan, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_plan_summarize(Plan plan, ref PlanSummary summary, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_plan_placement(
            Plan plan, UIntPtr index, out Str vm, out Str node, out uint wave, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_plan_unplaced(
            Plan plan, UIntPtr index, out Str vm, out Str message, out UIntPtr reasons, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_plan_reason(
            Plan plan, UIntPtr unplaced, UIntPtr index, ref ReasonView reason, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_plan_class(Plan plan, UIntPtr index, ref PlanClassCounts counts, out IntPtr error);

        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_verify(
            Cluster cluster, Policy policy, CancelFlag.RawFlag cancel, out Verdict verdict, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_verdict_summary(Verdict verdict, out int answer, out UIntPtr classes, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_verdict_class(Verdict verdict, UIntPtr index, ref ClassVerdictView view, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_verdict_counterexample_unit(
            Verdict verdict, UIntPtr of, UIntPtr index, out Unit unit, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_verdict_certificates(Verdict verdict, out Certificates certificates, out IntPtr error);

        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_certificate_from_json(
            Cluster cluster, Str text, out Certificates certificates, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_certificate_to_json(
            Certificates certificates, Cluster cluster, out Buffer text, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_certificate_check(
            Certificates certificates, Cluster cluster, Policy policy, CancelFlag.RawFlag cancel, out IntPtr error);

        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_guard_new(Cluster cluster, Policy policy, out Guard guard, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_guard_admit(
            Guard guard, Str changes, CancelFlag.RawFlag cancel, out Decision decision, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_guard_observe(
            Guard guard, Str changes, CancelFlag.RawFlag cancel, out Decision decision, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_guard_apply(Guard guard, Decision decision, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_decision_summarize(Decision decision, ref DecisionSummary summary, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_decision_placed(
            Decision decision, UIntPtr index, out Str vm, out Str node, out IntPtr error);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int lifeboat_decision_violation(
            Decision decision, UIntPtr index, ref ViolationView violation, out IntPtr error);
    }
}
