"""Report text → labels with their evidence: normalisation, levels, sections, clauses, scope (design 4)."""
