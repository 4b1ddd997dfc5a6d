#!/usr/bin/env bash
# Builds and runs the clients of the C ABI against an installed prefix, as their readers would: C under valgrind and under
# the sanitizers, C++, Python, Go and C# (Mono). A language without its tool is skipped, and said to be.
#
#   examples/c/clients.sh PREFIX
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 PREFIX" >&2; exit 2; }
prefix=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib LIFEBOAT_LIBRARY=$prefix/lib/liblifeboat.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
has() { command -v "$1" >/dev/null || { printf '    !!! skipped: there is no %s\n' "$1"; return 1; }; }
strict='-Wall -Wextra -Werror -pedantic'
documents=('small.json kvm-1' 'tight.json blade-a1' 'north-south.json hv-n11')
# run NAME COMMAND...: a client on every document; all clients must say the same of plan and verdict, and those that print as
# much as the C client the same of everything.
run() {
    local name=$1 document output
    shift
    for document in "${documents[@]}"; do
        output=$name.${document%.*}
        "$@" "examples/data/${document% *}" "${document#* }" >"$work/$output.txt"
        # The plan and the verdict: lines that every client prints in the same words.
        sed -n '1,/^N+2/p' "$work/$output.txt" | grep -E ' -> .*, wave | stays down|^N\+2' >"$work/$output"
        diff "$work/c.${document%.*}" "$work/$output"
        case $name in c-* | csharp) diff "$work/c.${document%.*}.txt" "$work/$output.txt" ;; esac
    done
    printf '    %s\n' "$name"
}

if has pkg-config; then
    flags=$(pkg-config --cflags --libs lifeboat) static=$(pkg-config --cflags --libs --static lifeboat)
else
    flags="-I$prefix/include -L$prefix/lib -llifeboat" static="$flags -lpthread -ldl -lm"
fi
static=${static/-llifeboat/-l:liblifeboat.a}

# shellcheck disable=SC2086
{
    cc -std=c99 $strict examples/c/client.c $flags -o "$work/client"
    run c "$work/client"
    # From a shell: one question, JSON in and JSON out.
    cc -std=c99 $strict examples/c/ask.c $flags -o "$work/ask"
    printf '{"format": "lifeboat-request/1", "question": "plan", "fail": ["kvm-1"], "cluster": %s}' \
        "$(cat examples/data/small.json)" | "$work/ask" | grep -q '"status": "complete"'
    printf '    shell\n'
    if has valgrind; then
        cc -std=c99 -g $strict examples/c/client.c $static -o "$work/client-static"
        # An optimised library branches on what it has loaded before it asks whether that is there, and goes by it only if it
        # is: valgrind takes the first for a fault. So values that are not set are looked for in a library without
        # optimisation alone (LIFEBOAT_PROFILE=dev install.sh); reads and writes of wrong memory, and leaks, in any.
        watch=
        grep -qx 'profile=dev' "$prefix/lib/pkgconfig/lifeboat.pc" || {
            watch=--undef-value-errors=no
            printf '    !!! skipped: values that are not set, as the library is optimised\n'
        }
        run c-valgrind valgrind --quiet --leak-check=full $watch --error-exitcode=9 "$work/client-static"
    fi
    if cc -fsanitize=address,undefined -x c - -o "$work/sanitized" <<<'int main(void) { return 0; }' 2>/dev/null; then
        cc -std=c99 -g -fsanitize=address,undefined -fno-sanitize-recover=all $strict examples/c/client.c $static \
            -o "$work/client-sanitized"
        run c-sanitizers "$work/client-sanitized"
    else
        printf '    !!! skipped: the C compiler has no sanitizers\n'
    fi
    if has c++; then
        c++ -std=c++17 $strict examples/cpp/client.cpp $flags -o "$work/client-cpp"
        run cpp "$work/client-cpp"
    fi
}
if has python3; then
    run python python3 examples/python/lifeboat.py
fi
if has go; then
    # The static library: a program of one file.
    (cd examples/go && GOFLAGS=-mod=mod CGO_ENABLED=1 CGO_CFLAGS="-I$prefix/include" CGO_LDFLAGS="$prefix/lib/liblifeboat.a -lpthread -ldl -lm" \
        go build -o "$work/client-go" .)
    run go "$work/client-go"
fi
if has mcs && has mono; then
    mcs -warnaserror -out:"$work/client.exe" examples/csharp/Client.cs examples/csharp/Lifeboat.cs
    run csharp mono "$work/client.exe"
fi
