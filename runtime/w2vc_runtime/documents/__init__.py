"""Documents that others wrote: JSON read within limits, and built into typed objects."""
