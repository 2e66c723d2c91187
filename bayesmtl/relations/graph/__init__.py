"""Tasks that are linked by a graph: unknown, known, or a tree."""
