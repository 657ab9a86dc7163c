"""`fpplm up` and `fpplm schedule`."""
