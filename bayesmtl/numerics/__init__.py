"""Pure array functions: densities, slice sampling, small matrices, tasks as SIMD lanes."""

__all__: list[str] = []
