"""`fpplm up` and `fpplm schedule`: Prefect's server, worker and deployment."""
