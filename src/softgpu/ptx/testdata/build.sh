#!/bin/sh
# Rebuilds the fixtures of this folder; they were made by nvcc 13.0 and clang 14. Tests read the results alone.
set -eu
cd "$(dirname "$0")"

nvcc -arch=compute_75 -ptx features.cu -o features_nvcc.ptx
clang++ -x cuda --cuda-gpu-arch=sm_75 --cuda-device-only -nocudainc -nocudalib -Xclang -target-feature -Xclang +ptx75 \
  -O2 -gline-tables-only -S features.cu -o features_clang.ptx
sed -i "s|$PWD/||" features_clang.ptx

fatbin() { out=$1; shift; nvcc "$@" --fatbin vector_add.cu -o "$out"; }
ptx75="-gencode arch=compute_75,code=compute_75"
fatbin zstd.fatbin $ptx75
fatbin lz4.fatbin $ptx75 --compress-mode=speed
fatbin plain.fatbin $ptx75 --compress-mode=none
fatbin line_info.fatbin $ptx75 -lineinfo
fatbin several.fatbin -gencode arch=compute_80,code=compute_80 $ptx75 -gencode arch=compute_90a,code=compute_90a \
  -gencode arch=compute_80,code=sm_80 --compress-mode=size
fatbin sass_only.fatbin -gencode arch=compute_90,code=sm_90 -gencode arch=compute_80,code=sm_80 --compress-mode=size
