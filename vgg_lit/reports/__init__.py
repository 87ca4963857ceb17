"""Reports on runs: comparisons, reproductions, figures and HTML pages."""
