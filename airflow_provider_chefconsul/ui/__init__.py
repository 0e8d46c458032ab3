"""The rollout board: a page in Airflow's UI that shows the shared data view and steers rollouts. Internal."""
