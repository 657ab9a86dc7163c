"""What every command and stage shows in the same way: progress, tables, pages, and output that survives its reader."""
