#!/bin/sh
# Installs the C ABI into a prefix with plain cargo: header, shared and static library, pkg-config file.
#
#   examples/c/install.sh PREFIX [DESTDIR]     the profile is `release`, or what LIFEBOAT_PROFILE says
#
# For those without cargo-c; with it: cargo cinstall --release --prefix PREFIX
#
# Windows (from a developer prompt; the import library is made beside the DLL):
#   cargo rustc --release --lib --features capi --crate-type cdylib,staticlib
#   copy src\capi\lifeboat.h, target\release\lifeboat.dll, lifeboat.dll.lib (MSVC) or liblifeboat.dll.a (GNU)
#   cl /Isrc\capi examples\c\client.c target\release\lifeboat.dll.lib
set -eu
[ $# -ge 1 ] || { echo "usage: $0 PREFIX [DESTDIR]" >&2; exit 2; }
prefix=$1
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
destination=${2:-}
here=$(cd "$(dirname "$0")/../.." && pwd)
profile=${LIFEBOAT_PROFILE:-release}
case $profile in dev) folder=debug ;; *) folder=$profile ;; esac

cd "$here"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# Before 1.0 each minor version is an interface of its own.
case $version in 0.*) major=0.$(echo "$version" | cut -d. -f2) ;; *) major=$(echo "$version" | cut -d. -f1) ;; esac
target=${CARGO_TARGET_DIR:-target}
target=$target/$folder

case $(uname -s) in
    Darwin)
        real=liblifeboat.$version.dylib soname=liblifeboat.$major.dylib plain=liblifeboat.dylib
        flags="-Clink-arg=-Wl,-install_name,$prefix/lib/$soname" ;;
    *)
        real=liblifeboat.so.$version soname=liblifeboat.so.$major plain=liblifeboat.so
        flags="-Clink-arg=-Wl,-soname,$soname" ;;
esac
# The static library is not linked: what is said to the linker is for the shared one alone.
cargo rustc --profile "$profile" --lib --features capi --crate-type cdylib,staticlib -- "$flags"

root=$destination$prefix
mkdir -p "$root/include" "$root/lib/pkgconfig"
cp src/capi/lifeboat.h "$root/include/lifeboat.h"
cp "$target/liblifeboat.a" "$root/lib/liblifeboat.a"
cp "$target/$plain" "$root/lib/$real"
ln -sf "$real" "$root/lib/$soname"
ln -sf "$soname" "$root/lib/$plain"
cat >"$root/lib/pkgconfig/lifeboat.pc" <<END
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: lifeboat
Description: Decides where every VM restarts when hosts fail, and proves beforehand that there will be room
Version: $version
Libs: -L\${libdir} -llifeboat
Libs.private: -lpthread -ldl -lm
Cflags: -I\${includedir}
END
echo "installed lifeboat $version into $root"
