"""fpplm: how the pipeline is run on this machine, with DVC, Git, Great Expectations and Prefect."""
