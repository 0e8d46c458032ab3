# Airflow with this provider. The image of Airflow already has the providers for Celery, Postgres, Redis and SSH.
FROM apache/airflow:3.3.2-python3.12

COPY --chown=airflow:0 pyproject.toml README.md LICENSE /opt/chefconsul/
COPY --chown=airflow:0 airflow_provider_chefconsul /opt/chefconsul/airflow_provider_chefconsul

# Naming Airflow's version keeps pip from replacing it with another one.
RUN pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" /opt/chefconsul
