"""What each verb of the command line prints: results on standard output, notes and progress on standard error."""
