#!/bin/sh
# Installs the C ABI into a prefix with plain cargo: header, shared and static library, pkg-config file.
#
#   examples/c/install.sh PREFIX [DESTDIR]
#
# The profile is `release`, or what LIFEBOAT_PROFILE says. Debug information, which is most of the libraries, is stripped;
# LIFEBOAT_DEBUG_INFO=1 keeps it. Cargo's own settings are honoured: CARGO_TARGET_DIR, CARGO_BUILD_TARGET and the like.
#
# For those without cargo-c; with it: cargo cinstall --release --prefix PREFIX --libdir lib
#
# For Windows (GNU), also from elsewhere: CARGO_BUILD_TARGET=x86_64-pc-windows-gnu; the DLL goes to bin, its import library to
# lib. MSVC, from a developer prompt (the import library is made beside the DLL):
#   cargo rustc --release --lib --features capi --crate-type cdylib,staticlib
#   copy src\capi\lifeboat.h, target\release\lifeboat.dll, lifeboat.dll.lib
#   cl /Isrc\capi examples\c\client.c target\release\lifeboat.dll.lib
set -eu
[ $# -ge 1 ] || { echo "usage: $0 PREFIX [DESTDIR]" >&2; exit 2; }
prefix=$1
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
destination=${2:-}
here=$(cd "$(dirname "$0")/../.." && pwd)
profile=${LIFEBOAT_PROFILE:-release}

cd "$here"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
description=$(sed -n 's/^description = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# Before 1.0 each minor version is an interface of its own.
case $version in 0.*) major=0.$(echo "$version" | cut -d. -f2) ;; *) major=$(echo "$version" | cut -d. -f1) ;; esac

private='-lpthread -ldl -lm' windows=
case ${CARGO_BUILD_TARGET:-$(uname -s)} in
    *windows-gnu* | MINGW* | MSYS*)
        windows=1 plain=lifeboat.dll flags=
        private='-lkernel32 -lntdll -luserenv -lws2_32 -ldbghelp' ;;
    Darwin | *darwin*)
        real=liblifeboat.$version.dylib soname=liblifeboat.$major.dylib plain=liblifeboat.dylib
        flags="-Clink-arg=-Wl,-install_name,$prefix/lib/$soname" ;;
    *)
        real=liblifeboat.so.$version soname=liblifeboat.so.$major plain=liblifeboat.so
        flags="-Clink-arg=-Wl,-soname,$soname" ;;
esac
strip=debuginfo
[ -z "${LIFEBOAT_DEBUG_INFO:-}" ] || strip=none
# The static library is not linked: what is said to the linker is for the shared one alone. Where the files are only cargo
# knows, whatever its settings.
built=$(cargo rustc --profile "$profile" --lib --features capi --crate-type cdylib,staticlib \
    --message-format json-render-diagnostics -- ${flags:+"$flags"} "-Cstrip=$strip")
path_of() {
    found=$(printf '%s\n' "$built" | grep -o "\"[^\"]*/$1\"" | tail -n 1 | tr -d '"')
    [ -n "$found" ] || { echo "cargo has built no $1" >&2; exit 1; }
    printf '%s\n' "$found"
}
shared=$(path_of "$plain") archive=$(path_of liblifeboat.a)

root=$destination$prefix
mkdir -p "$root/include" "$root/lib/pkgconfig"
cp src/capi/lifeboat.h "$root/include/lifeboat.h"
cp "$archive" "$root/lib/liblifeboat.a"
if [ -n "$windows" ]; then
    mkdir -p "$root/bin"
    cp "$shared" "$root/bin/$plain"
    cp "$(path_of liblifeboat.dll.a)" "$root/lib/liblifeboat.dll.a"
else
    cp "$shared" "$root/lib/$real"
    ln -sf "$real" "$root/lib/$soname"
    ln -sf "$soname" "$root/lib/$plain"
fi
# The compiler strips what is linked alone.
if [ "$strip" != none ]; then
    ${STRIP:-strip} -S "$root/lib/liblifeboat.a" 2>/dev/null || echo "liblifeboat.a keeps its debug information: no strip for it"
fi
cat >"$root/lib/pkgconfig/lifeboat.pc" <<END
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include
profile=$profile

Name: lifeboat
Description: $description
Version: $version
Libs: -L\${libdir} -llifeboat
Libs.private: $private
Cflags: -I\${includedir}
END
echo "installed lifeboat $version into $root"
