"""What the report and MLflow show of models: a file each, its ``SECTION`` of the report and its still ``PICTURE``."""
