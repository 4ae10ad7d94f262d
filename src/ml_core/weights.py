"""What a row weighs: whole numbers throughout, so that sums of them are exact in any order."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Sums stay below 2**52, so that they are exact in float64 too.
_BITS = 51

Weights = NDArray[np.int64]
ClassWeight = Mapping[Any, float] | str | None

BALANCED, OF_SUBSAMPLE = "balanced", "balanced_subsample"


def are_whole(weights: NDArray[np.float64]) -> bool:
    """Whether they are small whole numbers, which count as repetitions of their rows."""
    if weights.max() >= 2.0**_BITS or (weights != np.floor(weights)).any():
        return False
    return math.fsum(weights) < 2.0**_BITS


def at_most_one(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Weights of any size without what could overflow: as numbers up to 1, times 2**exponent.

    Dividing by a power of two is exact, so that nothing but the scale of sums is another.
    """
    mantissa, exponent = math.frexp(weights.max())
    # Weights that are all 1 stay so, and need not be read.
    exponent -= mantissa == 0.5
    return np.ldexp(weights, -exponent) if exponent else weights, exponent


def inertia_times(inertia: float, exponent: int) -> float:
    """A sum of such weights times 2**exponent, which is exact; refused beyond float64."""
    try:
        return math.ldexp(inertia, exponent)
    except OverflowError as error:
        raise ValueError(
            "the inertia is too large for float64; divide sample_weight by a common factor"
        ) from error


def fixed_point(weights: NDArray[np.float64]) -> Weights:
    """Weights as whole numbers: themselves, or times a power of two and rounded.

    Raises
    ------
    ValueError
        If one is so small beside their sum that nothing would be left of it.
    """
    if are_whole(weights):
        return weights.astype(np.int64)
    # Below 1 each, so that their sum is finite.
    scaled = np.ldexp(weights, -math.frexp(weights.max())[1])
    fixed = np.rint(np.ldexp(scaled, _BITS - math.frexp(math.fsum(scaled))[1])).astype(np.int64)
    if ((fixed == 0) & (weights > 0)).any():
        raise ValueError(
            f"sample_weight has a positive number below 2**-{_BITS} of their sum, which is too "
            "small to count; set it to 0 or make it larger"
        )
    return fixed


def check_class_weight(class_weight: object, *, of_subsample: bool) -> None:
    """Refuse what is neither None, a dict of numbers of at least 0, nor a name."""
    if class_weight is None:
        return
    names = (BALANCED, OF_SUBSAMPLE) if of_subsample else (BALANCED,)
    if isinstance(class_weight, str):
        if class_weight in names:
            return
    elif isinstance(class_weight, Mapping):
        _check_numbers(class_weight.values())
        return
    quoted = ", ".join(repr(name) for name in names)
    raise ValueError(f"class_weight must be dict, {quoted}, or None, got: {class_weight!r}")


def _check_numbers(weights: Any) -> None:
    for weight in weights:
        real = isinstance(weight, int | float | np.integer | np.floating)
        if not real or not 0.0 <= float(weight) < math.inf:
            raise ValueError(f"class_weight must hold finite numbers of at least 0, got {weight!r}")


def class_scales(
    class_weight: ClassWeight, classes: NDArray[Any], sums: Weights
) -> NDArray[np.float64] | None:
    """By what the weight of each class is multiplied, (n_classes,); None for 1.

    ``sums`` are the weights of the rows of each class. "balanced" is ``n / (n_classes * sum)`` for
    classes that have rows: scikit-learn's definition, but its trees take the number of a class's
    rows for their sum, so that a row of weight 2 is not two rows there. All are divided by one
    power of two, which changes no choice, so that the largest lies between 1/2 and 1.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, Mapping):
        scales = _of_labels(class_weight, classes.tolist())
    else:
        present = sums > 0
        total, n_classes = float(sums.sum()), float(np.count_nonzero(present))
        scales = np.where(present, total / (n_classes * np.maximum(sums, 1)), 0.0)
    return np.ldexp(scales, -math.frexp(scales.max())[1])


def _of_labels(class_weight: Mapping[Any, float], labels: list[Any]) -> NDArray[np.float64]:
    missing = [label for label in labels if label not in class_weight]
    if missing and len(labels) - len(missing) != len(class_weight):
        raise ValueError(f"The classes, {missing}, are not in class_weight")
    scales = np.array([float(class_weight.get(label, 1.0)) for label in labels])
    if not scales.any():
        raise ValueError("class_weight must hold at least one non-zero number")
    return scales
