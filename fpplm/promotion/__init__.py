"""May the new bundle take the old one's place, and what was decided before."""
