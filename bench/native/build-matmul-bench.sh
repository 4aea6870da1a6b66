#!/bin/sh
# Builds matmul-bench alone, without the addon: build-matmul-bench.sh [output]. CXX chooses the compiler.
set -e
cd "$(dirname "$0")/../.."
out=${1:-/tmp/matmul-bench}
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
compiler=${CXX:-g++}
for source in native/host/worker.cc native/host/kernels/quant*.cc native/host/kernels/mat*.cc \
  native/host/kernels/gated-matmul.cc native/host/kernels/cpu-variant.cc bench/native/matmul-bench.cc; do
  # native/flags.json
  case $source in
    *.avx2.cc) flags='-mavx2 -mfma -mf16c' ;;
    *.avx512.cc) flags='-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mprefer-vector-width=512 -mfma -mf16c' ;;
    *) flags= ;;
  esac
  case $compiler in *aarch64*) flags= ;; esac
  "$compiler" -std=c++20 -O3 -DNDEBUG -fno-math-errno -fno-trapping-math -Wall -Wextra $flags -c "$source" -o "$objects/$(basename "$source").o"
done
"$compiler" "$objects"/*.o -o "$out" -pthread ${LDFLAGS:-}
