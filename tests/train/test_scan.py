"""The recurrence three ways: tensor operations, the operator that the compiler doesn't look into, Triton kernels."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from arzip.train import scan  # noqa: E402

NO_TRITON = importlib.util.find_spec("triton") is None
GRID = 2.0**-5  # of the read-out


def inputs(steps: int, batch: int, d: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Pre-activations of which some are clipped, bias, state, gradient of the read-out."""
    g = torch.Generator().manual_seed(steps)
    z = (torch.randn(steps, batch, 3 * d, generator=g) * 4).to(dtype)
    bias, h0 = torch.randn(3 * d, generator=g), torch.randn(batch, d, generator=g)
    return z, bias, h0, torch.randn(steps, batch, d, generator=g).to(dtype)


def reference(z: torch.Tensor, bias: torch.Tensor, h0: torch.Tensor, du: torch.Tensor) -> list[torch.Tensor]:
    """Read-out, states, gradients of z and bias, by autograd."""
    leaves = z.clone().requires_grad_(), bias.clone().requires_grad_()
    u, h = scan.recurrence(*leaves, h0)
    u.backward(du.float())
    return [u.detach(), h.detach(), *(leaf.grad for leaf in leaves)]


def check_alike(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    """States and gradients to float rounding; read-outs on the same grid point but for ties."""
    u, h, dz, dbias = (value.float() for value in found)
    u_there, h_there, dz_there, dbias_there = (value.float() for value in expected)
    assert torch.allclose(h, h_there, rtol=1e-5, atol=1e-5)
    assert torch.equal(u, (u / GRID).round() * GRID)
    assert ((u - u_there).abs() < 1e-6).float().mean() > 0.999 and (u - u_there).abs().max() <= 1.01 * GRID
    coarse = found[2].dtype == torch.bfloat16
    assert torch.allclose(dz, dz_there, rtol=0.02 if coarse else 1e-4, atol=1e-4)
    assert torch.allclose(dbias, dbias_there, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_operator_is_the_reference(dtype: torch.dtype) -> None:
    z, bias, h0, du = inputs(9, 3, 16, dtype)
    leaves = z.clone().requires_grad_(), bias.clone().requires_grad_()
    u, h = scan.fused_recurrence(*leaves, h0)
    u.backward(du)
    assert u.dtype == dtype
    check_alike([u.detach(), h.detach(), *(leaf.grad for leaf in leaves)], reference(z, bias, h0, du))


def test_operator_keeps_what_the_compiler_asks_of_it() -> None:
    z, bias, h0, _ = inputs(3, 2, 4, torch.float32)
    torch.library.opcheck(scan.fused_recurrence, (z.requires_grad_(), bias.requires_grad_(), h0))


def compare_kernels() -> None:
    """Run by the test below, in a process that interprets kernels."""
    from arzip.train import scan_triton

    for steps, batch, d in ((1, 1, 64), (2, 3, 64), (5, 3, 192), (16, 2, 64), (31, 1, 200)):
        for dtype in (torch.float32, torch.bfloat16):
            z, bias, h0, du = inputs(steps, batch, d, dtype)
            u, h = scan_triton.forward(z, bias, h0)
            dz, dbias = scan_triton.backward(z, bias, h0, h, du)
            assert u.dtype == dz.dtype == dtype
            check_alike([u, h, dz, dbias], reference(z, bias, h0, du))
            print("alike", steps, batch, d, dtype)


@pytest.mark.skipif(NO_TRITON, reason="triton is not installed (pip install triton)")
def test_kernels_are_the_reference_under_tritons_interpreter() -> None:
    code = "import test_scan; test_scan.compare_kernels()"
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("alike") == 10


@pytest.mark.skipif(NO_TRITON, reason="triton is not installed (pip install triton)")
@pytest.mark.parametrize("architecture", [80, 90])
def test_kernels_compile_for_gpus(architecture: int) -> None:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from arzip.train import scan_triton

    width = {"width": "i32", "d": "i32", "STEPS": "constexpr", "BLOCK": "constexpr"}
    some = {"z": "*bf16", "bias": "*fp32", "h0": "*fp32"}
    signatures = [
        (scan_triton.forward_kernel, some | {"u": "*bf16", "h": "*fp32"} | width),
        (scan_triton.backward_kernel, some | {"h": "*fp32", "du": "*bf16", "dz": "*bf16", "db": "*fp32"} | width),
    ]
    for kernel, signature in signatures:
        source = ASTSource(fn=kernel, signature=signature, constexprs={"STEPS": 256, "BLOCK": scan_triton.BLOCK})
        built = compile(source, target=GPUTarget("cuda", architecture, 32), options={"num_warps": scan_triton.WARPS})
        assert ".entry" in built.asm["ptx"]
