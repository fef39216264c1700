"""Bundles behind HTTP: what ``w2vc serve`` runs. Needs the extra ``serve``."""
