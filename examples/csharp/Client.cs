// Loads a cluster, plans the loss of a node, verifies N+2, asks whether one more VM may start, and prints reasons.
//
// Mono, once the library is installed (examples/c/install.sh PREFIX), in this folder:
//
//     mcs -out:client.exe Client.cs Lifeboat.cs
//     LD_LIBRARY_PATH=PREFIX/lib mono client.exe ../data/small.json kvm-1
//
// .NET: put both files into a console project, and the library where the program is or where the system looks for it.
using System;
using System.IO;
using System.Threading;
using Lifeboat;

internal static class Client
{
    private static string Word(Answer answer) => answer == Answer.Yes ? "yes" : answer == Answer.No ? "no" : "undecided";

    private static void Print(Plan plan)
    {
        Console.WriteLine("plan: everything protected restarts: " + Word(plan.Answer) + (plan.IsOptimal ? ", and no plan restarts more" : ""));
        foreach (var start in plan.Placements) Console.WriteLine($"  {start.Vm} -> {start.Node}, wave {start.Wave}");
        foreach (var left in plan.Unplaced)
        {
            Console.WriteLine($"  {left.Vm} stays down: {left.Message}");
            foreach (var reason in left.Reasons) Console.WriteLine($"    {reason.Code} {reason.Name}: {reason.Nodes} nodes");
        }
        foreach (var counts in plan.Classes)
        {
            Console.WriteLine($"  priority {counts.Priority}: {counts.Placed} of {counts.Displaced}, at most {counts.Bound}");
        }
    }

    /// <summary>Whether any two nodes may fail, and the plan that keeps the certificate for one.</summary>
    private static void VerifyNPlus2(Cluster cluster, Policy policy, LostUnit[] lost)
    {
        policy.Tolerate("node", 2);
        using (var verdict = cluster.Verify(policy))
        {
            Console.WriteLine("N+2: " + Word(verdict.Answer));
            foreach (var found in verdict.Classes)
            {
                Console.WriteLine($"  {found.Message} ({found.Scenarios} failures)");
                foreach (var unit in found.Counterexample) Console.WriteLine($"    not together: {unit.Level} {unit.Name}");
            }
            if (verdict.Answer != Answer.Yes) return;
            using (var certificates = verdict.Certificates())
            {
                var stored = certificates.Save(cluster);
                using (var loaded = Certificates.Load(cluster, stored))
                {
                    loaded.Check(cluster, policy);
                    var bytes = System.Text.Encoding.UTF8.GetByteCount(stored);
                    Console.WriteLine($"  the certificate was stored, loaded and checked: {bytes} bytes");
                    using (var plan = loaded.Plan(0, cluster, policy, lost)) Print(plan);
                }
            }
        }
    }

    /// <summary>Whether one more VM may be started with everything kept.</summary>
    private static void Admit(Cluster cluster, Policy policy, string changes)
    {
        using (var guard = Guard.Of(cluster, policy))
        using (var decision = guard.Admit(changes))
        {
            Console.WriteLine("admit: " + Word(decision.Answer));
            var isAdmitted = decision.Answer == Answer.Yes;
            if (isAdmitted) foreach (var start in decision.Placed) Console.WriteLine($"  {start.Key} -> {start.Value}");
            foreach (var violation in decision.Violations) Console.WriteLine($"  {violation.Code}: {violation.Message}");
            if (isAdmitted) guard.Apply(decision);
            // Carried out once, or never.
            Fails(isAdmitted ? Status.Stale : Status.Refused, () => guard.Apply(decision));
        }
    }

    /// <summary>What fails says why.</summary>
    private static void Fails(Status status, Action call)
    {
        try
        {
            call();
        }
        catch (LifeboatException error) when (error.Status == status && error.Code != "" && error.Message != "")
        {
            return;
        }
        throw new InvalidOperationException("a call that should fail with " + status + " did not");
    }

    private static int Main(string[] arguments)
    {
        if (arguments.Length != 2)
        {
            Console.Error.WriteLine("usage: client CLUSTER.json NODE");
            return 2;
        }
        try
        {
            Policy policy;
            using (var cluster = Cluster.Load(File.ReadAllText(arguments[0]), out policy))
            using (policy)
            {
                var lost = new[] { LostUnit.Node(arguments[1]) };
                using (var plan = cluster.Plan(policy, lost)) Print(plan);
                long least, most;
                cluster.MaxTolerable(policy, "node", out least, out most);
                Console.WriteLine($"nodes that may be lost: {least} to {most}");
                VerifyNPlus2(cluster, policy, lost);
                Admit(cluster, policy, "{\"op\": \"add_vm\", \"vm\": {\"name\": \"new\", \"demand\": {\"cpu\": 100, \"memory\": 256}, \"power\": \"on\"}}");
                Admit(cluster, policy, "{\"op\": \"add_vm\", \"vm\": {\"name\": \"new\", \"demand\": {\"cpu\": 100, \"memory\": 999999999}, \"power\": \"on\"}}");
                cluster.Compare(policy);

                Fails(Status.NotFound, () => cluster.Plan(policy, new[] { LostUnit.Node("no such node") }));
                Policy unread;
                Fails(Status.BadDocument, () => Cluster.Load("{}", out unread));
                // What a token has cancelled ends as anywhere in .NET.
                var source = new CancellationTokenSource();
                source.Cancel();
                try
                {
                    cluster.Verify(policy, source.Token).Dispose();
                    return 3;
                }
                catch (OperationCanceledException)
                {
                }
            }
            return 0;
        }
        catch (LifeboatException error)
        {
            Console.Error.WriteLine($"{error.Status} ({error.Code}): {error.Message}\n{error.Details}");
            return 2;
        }
    }
}
