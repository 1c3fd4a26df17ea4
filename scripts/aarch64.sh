#!/bin/sh
# aarch64.sh FOLDER [NAME]...: open golden archives on an aarch64 made of qemu-user, with the kernels that numba compiles there.
#
# Needs qemu-user-static, mmdebstrap, pip and the network: a Debian root without its configuration (nothing runs in it but
# Python) and wheels for aarch64 go into FOLDER, and stay there with the compiled kernels. NAME: of tests/golden/good, or
# "all"; by default some that are quick. Compiling takes some ten times as long as on the machine itself. constriction has
# no wheel for Linux on aarch64; it is the encoder's reference alone, and isn't needed here.
set -eu
work=$(mkdir -p "$1" && cd "$1" && pwd)
shift
root=$(cd "$(dirname "$0")/.." && pwd)
names=${*:-empty one-byte stored text-1}
if [ ! -d "$work/debian" ]; then
    mmdebstrap --variant=extract --architectures=arm64 --include=python3,libstdc++6,zlib1g bookworm "$work/debian"
fi
if [ ! -d "$work/wheels" ]; then
    platforms="--platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64"
    # Debian 12 has Python 3.11
    python3 -m pip install --quiet --target "$work/wheels" $platforms --python-version 3.11 --implementation cp \
        --only-binary=:all: --constraint "$root/constraints.txt" numba numpy safetensors click rich pytest
fi
export PYTHONPATH="$root:$root/tests:$work/wheels" NUMBA_CACHE_DIR="$work/kernels" PYTHONDONTWRITEBYTECODE=1
python="qemu-aarch64-static -L $work/debian $work/debian/usr/bin/python3"
$python -c 'import platform, numba; print(platform.machine(), platform.python_version(), "numba", numba.__version__)'
for name in $names; do
    test="tests/test_golden.py::test_golden_archive_opens[$name]"
    [ "$name" != all ] || test="tests/test_golden.py::test_golden_archive_opens"
    (cd "$root" && $python -m pytest -q --noconftest -c /dev/null --rootdir . -p no:cacheprovider --durations=0 "$test")
done
