# Airflow with this provider. The Airflow image already has the providers for Celery, Postgres, Redis and SSH.
FROM apache/airflow:3.3.2-python3.12

COPY --chown=airflow:0 pyproject.toml hatch_build.py README.md LICENSE /opt/chefconsul/
COPY --chown=airflow:0 airflow_provider_chefconsul /opt/chefconsul/airflow_provider_chefconsul

# Pinning Airflow's version keeps pip from replacing it.
RUN pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" "/opt/chefconsul[ssh]"
