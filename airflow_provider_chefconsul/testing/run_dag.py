"""One run of a Dag in a process of its own: reads what to run from standard input, writes how it ended to a file."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.exceptions import DagNotRun

if TYPE_CHECKING:
    from airflow.sdk import DAG

BUNDLE = "dags-folder"


def main() -> None:
    """Run the Dag that standard input asks for."""
    question = json.load(sys.stdin)
    try:
        found = _run(question)
    except DagNotRun as error:
        found = {"problem": str(error)}
    Path(question["answer"]).write_text(json.dumps(found))


def _run(question: dict[str, Any]) -> dict[str, Any]:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.sdk import timezone
    from airflow.utils.db import initdb

    if not question["is_prepared"]:
        initdb()
        DagBundlesManager().sync_bundles_to_db()
    dag = _load(Path(question["dag_file"]), question["dag_id"])
    bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], collect_dags=False, bundle_name=BUNDLE)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, BUNDLE, None)
    moment = question["logical_date"]
    run = dag.test(
        logical_date=datetime.fromisoformat(moment) if moment else timezone.utcnow(),
        run_conf=question["conf"],
        mark_success_pattern=question["mark_success"],
    )
    tasks = {
        each.task_id if each.map_index < 0 else f"{each.task_id}[{each.map_index}]": str(each.state)
        for each in run.get_task_instances()
    }
    return {"state": str(run.state), "tasks": tasks}


def _load(file: Path, dag_id: str | None) -> DAG:
    from airflow.dag_processing.dagbag import DagBag

    sys.path.insert(0, str(file.parent))  # as in a Dags folder
    bag = DagBag(file, safe_mode=False, bundle_path=file.parent, bundle_name=BUNDLE)
    if bag.import_errors:
        raise DagNotRun(f"{file} cannot be imported:\n" + "\n".join(bag.import_errors.values()))
    names = sorted(bag.dags)
    if dag_id is None and len(names) == 1:
        dag_id = names[0]
    if dag_id not in bag.dags:
        wanted = f"there is no Dag {dag_id}" if dag_id else "say which Dag to run, with dag_id"
        raise DagNotRun(f"{file}: {wanted}; it has {', '.join(names) or 'none'}")
    return bag.dags[dag_id]


if __name__ == "__main__":
    main()
