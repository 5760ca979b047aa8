"""The study's report: one HTML file that opens offline (design 5, issue 5 point 8)."""
