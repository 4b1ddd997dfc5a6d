// Loads a cluster, plans the loss of a node, verifies N+2, asks whether one more VM may start, and prints reasons. C++17.
// Build: c++ -std=c++17 -Isrc/capi examples/cpp/client.cpp target/release/liblifeboat.a -lpthread -ldl -lm -o client
// Run:   ./client examples/data/small.json kvm-1
#include "lifeboat.hpp"
#include <fstream>
#include <iostream>
#include <sstream>

static const char *word(std::int32_t answer) {
    return answer == LIFEBOAT_YES ? "yes" : answer == LIFEBOAT_NO ? "no" : "undecided";
}

static int run(const char *path, const char *node) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream document;
    document << file.rdbuf();
    auto [cluster, policy] = lifeboat::Cluster::load(document.str());

    const auto plan = cluster.plan(policy, {{"node", node}});
    std::cout << "plan: everything protected restarts: " << word(plan.summary().answer) << "\n";
    for (const auto &start : plan.placements()) {
        std::cout << "  " << start.vm << " -> " << start.node << ", wave " << start.wave << "\n";
    }
    for (const auto &left : plan.unplaced()) {
        std::cout << "  " << left.vm << " stays down: " << left.message << "\n";
        for (const auto &reason : left.reasons) std::cout << "    " << reason << "\n";
    }

    policy.tolerate_nodes(2);
    const auto verdict = cluster.verify(policy);
    std::cout << "N+2: " << word(verdict.answer()) << "\n";
    for (std::size_t at = 0; at < verdict.classes(); at++) {
        std::cout << "  " << lifeboat::text(verdict.of_class(at).message) << "\n";
    }

    lifeboat::Guard guard(cluster, policy);
    const auto decision = guard.admit(
        R"({"op": "add_vm", "vm": {"name": "new", "demand": {"cpu": 100, "memory": 256}, "power": "on"}})");
    std::cout << "admit: " << word(decision.summary().answer) << "\n";
    for (const auto &violation : decision.violations()) std::cout << "  " << violation << "\n";
    if (decision.admitted()) guard.apply(decision);

    try {
        lifeboat::Cluster::load("{}");
        return 3;
    } catch (const lifeboat::Error &error) {
        std::cout << "an empty document: status " << error.status() << ", " << error.details().size()
                  << " bytes of details\n";
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        std::cerr << "usage: " << argv[0] << " CLUSTER.json NODE\n";
        return 2;
    }
    try {
        return run(argv[1], argv[2]);
    } catch (const std::exception &error) {
        std::cerr << "error: " << error.what() << "\n";
        return 2;
    }
}
