// A thin C++ face of the C ABI: handles free themselves, failures are exceptions, lists are vectors. C++17, header only.
#ifndef LIFEBOAT_HPP
#define LIFEBOAT_HPP

#include "lifeboat.h"
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace lifeboat {

inline lifeboat_str view(std::string_view text) { return lifeboat_str{text.data(), text.size()}; }
inline std::string text(lifeboat_str given) { return std::string(given.data, given.length); }

// A call that failed: its status, a message, and details as JSON.
class Error : public std::runtime_error {
public:
    Error(lifeboat_status status, const std::string &message, std::string details)
        : std::runtime_error(message), status_(status), details_(std::move(details)) {}
    lifeboat_status status() const { return status_; }
    const std::string &details() const { return details_; }

private:
    lifeboat_status status_;
    std::string details_;
};

// Runs a call that has an error out-parameter.
template <class Call> void check(Call call) {
    lifeboat_error *error = nullptr;
    const lifeboat_status status = call(&error);
    if (status == LIFEBOAT_OK) return;
    lifeboat_str message{"", 0}, details{"", 0};
    lifeboat_error_message(error, &message);
    lifeboat_error_details(error, &details);
    Error thrown(status, text(message), text(details));
    lifeboat_error_free(error);
    throw thrown;
}

template <class T, lifeboat_status (*Free)(T *)> struct Deleter {
    // A handle that another thread uses at this moment is freed once that is done: it would leak otherwise.
    void operator()(T *handle) const {
        while (Free(handle) == LIFEBOAT_BUSY) std::this_thread::yield();
    }
};
template <class T, lifeboat_status (*Free)(T *)> using Owned = std::unique_ptr<T, Deleter<T, Free>>;

// Runs a call that gives a handle or another single value.
template <class T, class Call> T get(Call call) {
    T out{};
    check([&](lifeboat_error **error) { return call(&out, error); });
    return out;
}

// Runs a call that fills a struct that says its size.
template <class T, class Call> T fill(Call call) {
    T out{};
    out.size = sizeof(T);
    check([&](lifeboat_error **error) { return call(&out, error); });
    return out;
}

struct Placement {
    std::string vm, node;
    std::uint32_t wave;
};
struct Unplaced {
    std::string vm, message;
    std::vector<std::string> reasons;
};
struct Unit {
    std::string level, name;
};

class Plan {
public:
    explicit Plan(lifeboat_plan *plan) : plan_(plan) {}
    lifeboat_plan_summary summary() const {
        return fill<lifeboat_plan_summary>([&](auto out, auto error) { return lifeboat_plan_summarize(raw(), out, error); });
    }
    std::vector<Placement> placements() const {
        std::vector<Placement> found;
        for (std::size_t at = 0, end = summary().placements; at < end; at++) {
            lifeboat_str vm, node;
            std::uint32_t wave;
            check([&](auto error) { return lifeboat_plan_placement(raw(), at, &vm, &node, &wave, error); });
            found.push_back({text(vm), text(node), wave});
        }
        return found;
    }
    std::vector<Unplaced> unplaced() const {
        std::vector<Unplaced> found;
        for (std::size_t at = 0, end = summary().unplaced; at < end; at++) {
            lifeboat_str vm, message;
            std::size_t reasons;
            check([&](auto error) { return lifeboat_plan_unplaced(raw(), at, &vm, &message, &reasons, error); });
            Unplaced one{text(vm), text(message), {}};
            for (std::size_t reason = 0; reason < reasons; reason++) {
                const auto told = fill<lifeboat_reason>(
                    [&](auto out, auto error) { return lifeboat_plan_reason(raw(), at, reason, out, error); });
                one.reasons.push_back(text(told.code) + " " + text(told.name));
            }
            found.push_back(std::move(one));
        }
        return found;
    }
    lifeboat_plan *raw() const { return plan_.get(); }

private:
    Owned<lifeboat_plan, lifeboat_plan_free> plan_;
};

class Verdict {
public:
    explicit Verdict(lifeboat_verdict *verdict) : verdict_(verdict) {}
    std::int32_t answer() const {
        return get<std::int32_t>(
            [&](auto out, auto error) { return lifeboat_verdict_summary(raw(), out, nullptr, error); });
    }
    std::size_t classes() const {
        return get<std::size_t>(
            [&](auto out, auto error) { return lifeboat_verdict_summary(raw(), nullptr, out, error); });
    }
    lifeboat_class_verdict of_class(std::size_t at) const {
        return fill<lifeboat_class_verdict>(
            [&](auto out, auto error) { return lifeboat_verdict_class(raw(), at, out, error); });
    }
    lifeboat_verdict *raw() const { return verdict_.get(); }

private:
    Owned<lifeboat_verdict, lifeboat_verdict_free> verdict_;
};

class Decision {
public:
    explicit Decision(lifeboat_decision *decision) : decision_(decision) {}
    lifeboat_decision_summary summary() const {
        return fill<lifeboat_decision_summary>(
            [&](auto out, auto error) { return lifeboat_decision_summarize(raw(), out, error); });
    }
    bool admitted() const { return summary().answer == LIFEBOAT_YES; }
    std::vector<std::string> violations() const {
        std::vector<std::string> found;
        for (std::size_t at = 0, end = summary().violations; at < end; at++) {
            const auto told = fill<lifeboat_violation>(
                [&](auto out, auto error) { return lifeboat_decision_violation(raw(), at, out, error); });
            found.push_back(text(told.code) + ": " + text(told.message));
        }
        return found;
    }
    lifeboat_decision *raw() const { return decision_.get(); }

private:
    Owned<lifeboat_decision, lifeboat_decision_free> decision_;
};

class Policy {
public:
    explicit Policy(lifeboat_policy *policy) : policy_(policy) {}
    // Any so many nodes may fail, and nothing else is promised.
    void tolerate_nodes(std::uint32_t count) {
        lifeboat_tolerance_spec spec{};
        const lifeboat_str level = view("node");
        spec.size = sizeof spec;
        spec.levels = &level;
        spec.counts = &count;
        spec.level_count = 1;
        check([&](auto error) { return lifeboat_policy_tolerate_nothing(raw(), error); });
        check([&](auto error) { return lifeboat_policy_tolerate(raw(), &spec, error); });
    }
    lifeboat_policy *raw() const { return policy_.get(); }

private:
    Owned<lifeboat_policy, lifeboat_policy_free> policy_;
};

class Cluster {
public:
    explicit Cluster(lifeboat_cluster *cluster) : cluster_(cluster) {}
    static std::pair<Cluster, Policy> load(std::string_view document) {
        lifeboat_cluster *cluster = nullptr;
        lifeboat_policy *policy = nullptr;
        check([&](auto error) { return lifeboat_cluster_from_json(view(document), &cluster, &policy, error); });
        return {Cluster(cluster), Policy(policy)};
    }
    Plan plan(const Policy &policy, const std::vector<Unit> &lost) {
        std::vector<lifeboat_unit> units;
        for (const Unit &unit : lost) units.push_back({view(unit.level), view(unit.name)});
        return Plan(get<lifeboat_plan *>([&](auto out, auto error) {
            return lifeboat_plan_restart(raw(), policy.raw(), units.data(), units.size(), nullptr, out, error);
        }));
    }
    Verdict verify(const Policy &policy) {
        return Verdict(get<lifeboat_verdict *>(
            [&](auto out, auto error) { return lifeboat_verify(raw(), policy.raw(), nullptr, out, error); }));
    }
    lifeboat_cluster *raw() const { return cluster_.get(); }

private:
    Owned<lifeboat_cluster, lifeboat_cluster_free> cluster_;
};

class Guard {
public:
    Guard(const Cluster &cluster, const Policy &policy)
        : guard_(get<lifeboat_guard *>([&](auto out, auto error) {
              return lifeboat_guard_new(cluster.raw(), policy.raw(), out, error);
          })) {}
    Decision admit(std::string_view changes) {
        return Decision(get<lifeboat_decision *>(
            [&](auto out, auto error) { return lifeboat_guard_admit(guard_.get(), view(changes), nullptr, out, error); }));
    }
    void apply(const Decision &decision) {
        check([&](auto error) { return lifeboat_guard_apply(guard_.get(), decision.raw(), error); });
    }

private:
    Owned<lifeboat_guard, lifeboat_guard_free> guard_;
};

} // namespace lifeboat

#endif
