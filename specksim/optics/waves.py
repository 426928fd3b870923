"""Wave optics: the field behind a thin object, and its Fresnel propagation."""

import numpy as np
import scipy.fft

from specksim.compiled import kernel
from specksim.elementary import exponential, sine_cosine


def transmitted_wave(
    thickness_m: np.ndarray, delta: float, beta: float, wavenumber_per_m: float
) -> np.ndarray:
    """Plane wave of unit amplitude behind a thin object, u = exp(iφ − μT/2) = exp(−ikδT − kβT).

    Parameters
    ----------
    thickness_m : (H, W) array
        Projected thickness along the beam, m.
    delta, beta : float
        Refractive index n = 1 − δ + iβ.
    wavenumber_per_m : float
        k = 2π/λ, 1/m.

    Returns
    -------
    (H, W) complex64

    Raises
    ------
    ValueError
        If `thickness_m` is not 2-D.
    """
    thickness = np.asarray(thickness_m)
    if thickness.ndim != 2:
        raise ValueError(f"thickness_m must be 2-D, got shape {thickness.shape}")
    wave = np.ones(thickness.shape, np.complex64)
    pass_through(wave, thickness, delta, beta, wavenumber_per_m)
    return wave


def pass_through(
    wave: np.ndarray, thickness_m: np.ndarray, delta: float, beta: float, wavenumber_per_m: float
) -> None:
    """Multiply a wave, (H, W) complex64, by that behind a thin object, see `transmitted_wave`, in place.

    ValueError if the wave is of another type or shape, or not contiguous.
    """
    thickness = np.ascontiguousarray(thickness_m, np.float32)
    if wave.dtype != np.complex64 or not wave.flags.c_contiguous or wave.shape != thickness.shape:
        raise ValueError(
            f"wave must be contiguous complex64 of shape {thickness.shape}, got {wave.dtype} of {wave.shape}"
        )
    _pass_through(wave.view(np.float32), thickness, -wavenumber_per_m * delta, -wavenumber_per_m * beta)


@kernel
def _pass_through(wave, thickness, turn, loss):
    """Multiply a wave, real and imaginary parts in turn along a row, by exp(T (loss + i turn))."""
    turn, loss, columns = np.float32(turn), np.float32(loss), thickness.shape[1]
    # arrays of their own: of views of one the compiler cannot tell that they do not overlap
    angle, sine, cosine = (
        np.empty(columns, np.float32),
        np.empty(columns, np.float32),
        np.empty(columns, np.float32),
    )
    fading, amplitude = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for i in range(thickness.shape[0]):
        path, u = thickness[i], wave[i]
        for j in range(columns):
            angle[j] = turn * path[j]
            fading[j] = loss * path[j]
        sine_cosine(angle, sine, cosine)
        exponential(fading, amplitude)
        for j in range(columns):
            real, imaginary = u[2 * j], u[2 * j + 1]
            u[2 * j] = amplitude[j] * (real * cosine[j] - imaginary * sine[j])
            u[2 * j + 1] = amplitude[j] * (real * sine[j] + imaginary * cosine[j])


def fresnel_propagate(
    field: np.ndarray, pixel_size_m: float, distance_m: float, wavelength_m: float
) -> np.ndarray:
    """Paraxial free-space propagation of a wave on a periodic grid.

    Parameters
    ----------
    field : (H, W) complex array
        Wave u(x, y) exp(ikz − iωt), (row, column) = (y, x). It is left unchanged.
    pixel_size_m : float
        Pitch of the grid, m, equal along both axes.
    distance_m : float
        Distance along the beam, m; negative distances propagate backwards.
    wavelength_m : float
        Wavelength, m.

    Returns
    -------
    (H, W) complex array
        The wave at `distance_m`, in the precision of `field` (complex64 or complex128), without the
        common factor exp(ikz).

    Raises
    ------
    ValueError
        If `field` is not 2-D, or `pixel_size_m` or `wavelength_m` is not > 0, or `distance_m` not finite.

    Notes
    -----
    The transfer function is exp(−iπλz(fx² + fy²)) (Goodman, Introduction to Fourier Optics, section 4.2;
    Paganin, Coherent X-Ray Optics, doi:10.1093/acprof:oso/9780198567288.001.0001). The grid is periodic:
    what leaves at one edge comes back at the other. Energy is conserved.
    """
    field = np.asarray(field)
    if field.ndim != 2:
        raise ValueError(f"field must be 2-D, got shape {field.shape}")
    for name, value in (("pixel_size_m", pixel_size_m), ("wavelength_m", wavelength_m)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be > 0 and finite, got {value} m")
    if not np.isfinite(distance_m):
        raise ValueError(f"distance_m must be finite, got {distance_m} m")
    precision = np.complex64 if field.dtype in (np.complex64, np.float32) else np.complex128
    return propagate_in_place(field.astype(precision), pixel_size_m, distance_m, wavelength_m)


def propagate_in_place(
    wave: np.ndarray, pixel_size_m: float, distance_m: float, wavelength_m: float
) -> np.ndarray:
    """`fresnel_propagate` without its checks and its copy: `wave` is overwritten, and returned."""
    rows, columns = (
        _transfer(n, pixel_size_m, distance_m, wavelength_m).astype(wave.dtype) for n in wave.shape
    )
    wave = scipy.fft.fft2(wave, overwrite_x=True)
    _filter(wave, rows, columns)
    return scipy.fft.ifft2(wave, overwrite_x=True)


@kernel
def _filter(wave, rows, columns):
    """wave *= rows ⊗ columns, in one pass."""
    for i in range(wave.shape[0]):
        a, b, u = rows[i].real, rows[i].imag, wave[i]
        for j in range(u.shape[0]):
            x = a * columns[j].real - b * columns[j].imag
            y = a * columns[j].imag + b * columns[j].real
            u[j] = complex(u[j].real * x - u[j].imag * y, u[j].real * y + u[j].imag * x)


def _transfer(n: int, pixel_size_m: float, distance_m: float, wavelength_m: float) -> np.ndarray:
    """Fresnel's transfer function along one axis; the two axes multiply."""
    frequency = np.fft.fftfreq(n, pixel_size_m)
    return np.exp(-1j * np.pi * wavelength_m * distance_m * frequency**2)


def binned_intensity(wave: np.ndarray, factor: int) -> np.ndarray:
    """Mean of |wave|² over blocks of `factor` × `factor` samples.

    Parameters
    ----------
    wave : (H, W) complex64 array
    factor : int
        Divides H and W.

    Returns
    -------
    (H / factor, W / factor) float32

    Raises
    ------
    ValueError
        If `factor` does not divide the shape.
    """
    rows, columns = wave.shape
    if factor < 1 or rows % factor or columns % factor:
        raise ValueError(f"factor must divide the wave's shape {wave.shape}, got {factor}")
    intensity = np.empty((rows // factor, columns // factor), np.float32)
    _binned_intensity(wave, factor, intensity)
    return intensity


@kernel
def _binned_intensity(wave, factor, out):
    norm = np.float32(1.0 / (factor * factor))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total = np.float32(0.0)
            for a in range(factor):
                for b in range(factor):
                    u = wave[i * factor + a, j * factor + b]
                    total += u.real * u.real + u.imag * u.imag
            out[i, j] = norm * total
