"""Jobs of a search: how many run at once, and when."""

from __future__ import annotations

import threading

import joblib
import pytest

from skdann._selection.jobs import call_each, count_jobs, count_processes, meanwhile


def test_jobs_are_those_of_joblib():
    assert [count_jobs(None), count_jobs(1), count_jobs(3)] == [1, 1, 3]
    assert count_jobs(-1) == joblib.cpu_count()
    with joblib.parallel_config(n_jobs=3):
        assert count_jobs(None) == 3


def test_one_job_inside_another_parallel_loop():
    with joblib.Parallel(2, backend="threading") as parallel:
        assert parallel(joblib.delayed(count_jobs)(2) for _ in range(2)) == [1, 1]
        assert parallel(joblib.delayed(count_processes)(2, 5) for _ in range(2)) == [1, 1]


def test_processes_are_no_more_than_tasks_and_never_threads():
    assert [count_processes(n_jobs, 3) for n_jobs in (None, 2, 4)] == [1, 2, 3]
    with joblib.parallel_config("threading"):
        assert (count_jobs(2), count_processes(2, 3)) == (2, 1)


def test_in_one_process_a_call_waits_until_its_result_is_requested():
    results = call_each(divmod, [(7, 2), (1, 0)], 1)
    assert next(results) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_call_runs_meanwhile():
    called = threading.Event()
    with meanwhile(called.set, n_jobs=2):
        assert called.wait(60)
    with meanwhile(divmod, 7, 2, n_jobs=2) as result:
        assert result() == (3, 1)
    with pytest.raises(ZeroDivisionError), meanwhile(divmod, 1, 0, n_jobs=2) as result:
        result()


def test_with_one_job_a_call_waits_until_its_result_is_requested():
    called = threading.Event()
    with meanwhile(called.set, n_jobs=None) as result:
        assert not called.is_set()
        result()
        assert called.is_set()


def test_an_error_does_not_wait_for_the_call():
    go_on, ended = threading.Event(), threading.Event()

    def work():
        go_on.wait(60)
        ended.set()

    with pytest.raises(KeyboardInterrupt), meanwhile(work, n_jobs=2):
        raise KeyboardInterrupt
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(60)
