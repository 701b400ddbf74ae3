"""The pages' servers: Dagster's page and daemon and MLflow's page, on this machine only."""
