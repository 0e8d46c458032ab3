"""The process that runs Dags under test: it reads a question per line from a socket, and answers each with a line."""

from __future__ import annotations

import json
import os
import socket
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.testing.airflow_home import DagNotRun

if TYPE_CHECKING:
    from airflow.sdk import DAG

BUNDLE = "dags-folder"


def main() -> None:
    """Answer until the other end is closed."""
    with socket.socket(fileno=int(sys.argv[1])) as questions:
        questions.set_inheritable(False)
        for number, line in enumerate(questions.makefile("r")):
            questions.sendall(json.dumps(_answer(json.loads(line), is_first=number == 0)).encode() + b"\n")


def _answer(question: dict[str, Any], *, is_first: bool) -> dict[str, Any]:
    log = os.open(question["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    os.environ.clear()
    os.environ.update(question["environment"])
    file = Path(question["dag_file"])
    sys.path[:] = [str(file.parent), *question["path"]]  # as in a Dags folder
    before = set(sys.modules)
    try:
        dag = _load(file, question["dag_id"], is_first=is_first)
        return _run(dag, question)
    except DagNotRun as error:
        return {"problem": str(error)}
    finally:
        for name in set(sys.modules) - before:  # modules beside different Dag files may have the same name
            if file.parent in Path(getattr(sys.modules[name], "__file__", None) or "/").parents:
                del sys.modules[name]
        sys.stdout.flush()
        sys.stderr.flush()


def _run(dag: DAG, question: dict[str, Any]) -> dict[str, Any]:
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.sdk import timezone

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


def _load(file: Path, dag_id: str | None, *, is_first: bool) -> DAG:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    if is_first:
        initdb()  # leaves existing tables alone
        DagBundlesManager().sync_bundles_to_db()
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
