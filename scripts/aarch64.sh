#!/bin/sh
# aarch64.sh FOLDER [NAME]...: open golden archives on an aarch64 made of qemu-user.
#
# Needs qemu-user-static, mmdebstrap, pip and the network: a Debian root without its configuration (nothing runs in it but
# Python) and wheels for aarch64 go into FOLDER, and stay there with the compiled kernels. NAME: of tests/golden/good; by
# default some that are quick. KERNELS=numba: compiled by numba under qemu, some ten times as long as on the machine
# itself; else on this machine (aarch64_kernels.py; PYTHON has numba, and ld for aarch64 is needed). constriction has no
# wheel for Linux on aarch64; it is the encoder's reference alone, and isn't needed here.
set -eu
work=$(mkdir -p "$1" && cd "$1" && pwd)
shift
root=$(cd "$(dirname "$0")/.." && pwd)
names=${*:-empty one-byte stored text-1 network-1-lane nano-6 picture-palette-9}
if [ ! -d "$work/debian" ]; then
    mmdebstrap --variant=extract --architectures=arm64 --include=python3,libstdc++6,zlib1g bookworm "$work/debian"
fi
if [ ! -d "$work/wheels" ]; then
    platforms="--platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64"
    # Debian 12 has Python 3.11
    python3 -m pip install --quiet --target "$work/wheels" $platforms --python-version 3.11 --implementation cp \
        --only-binary=:all: --constraint "$root/constraints.txt" numba numpy safetensors click rich pytest
fi
kernels=
if [ "${KERNELS:-cross}" != numba ]; then
    (cd "$root" && PYTHONPATH="$root" "${PYTHON:-python3}" -m scripts.aarch64_kernels "$work/cross")
    kernels="--kernels $work/cross"
fi
export PYTHONPATH="$root:$root/tests:$work/wheels" NUMBA_CACHE_DIR="$work/kernels" PYTHONDONTWRITEBYTECODE=1 NUMBA_OPT=1
cd "$root"
exec qemu-aarch64-static -L "$work/debian" "$work/debian/usr/bin/python3" tests/torture/open_golden.py $kernels $names
