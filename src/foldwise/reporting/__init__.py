"""The report: one offline HTML file that opens with the answer. Drawn by hand in SVG, without torch."""
