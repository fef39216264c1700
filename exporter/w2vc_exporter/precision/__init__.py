"""A graph in a precision within its budget, in the form that a provider computes fastest."""
