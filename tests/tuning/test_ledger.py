import datetime as dt
import math
import multiprocessing
import re
import sqlite3
import threading
import time

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.performance import deflated_sharpe_ratio
from pipeline.tuning.ledger import Ledger
from tests.tuning.ledgers import NOON, day, looks_of, sessions, trial


def test_record_of_a_trial_is_read_back_as_it_was(url):
    ledger = Ledger(url)
    params = {"k": 1.25, "hours": "rth", "window": np.int64(20), "rules": True, "stop": None}
    ledger.record([trial(3, params=params, values=(-1.5, math.inf), seconds=2.25)])
    ledger.record([trial(1, params={}, values=(), state="failed")])

    frame = ledger.trials("ES strategy")

    assert list(frame.columns) == ["number", "state", "values", "params", "seconds", "finished"]
    assert frame["number"].tolist() == [1, 3]
    assert frame["state"].tolist() == ["failed", "complete"]
    assert frame["values"].tolist() == [(), (-1.5, math.inf)]
    assert frame["params"].tolist() == [{}, params]
    assert frame["seconds"].tolist() == [0.5, 2.25]
    assert frame["finished"].iloc[1] == pd.Timestamp("2026-03-02 12:03", tz="UTC")
    assert ledger.trials("another").empty


def test_record_twice_keeps_one_and_adds_the_returns_it_did_not_have(url):
    ledger = Ledger(url)
    series = pd.Series([0.5, 0.0, -0.25], index=sessions("2024-01-01", 3))
    bare = trial(0, first=day("2024-01-01"), last=day("2024-01-03"))
    ledger.record([bare, bare, trial(1)])
    assert looks_of(ledger).trial_returns.shape == (0, 0)

    ledger.record([trial(0, series), trial(1)])
    ledger.record([bare])

    looks = looks_of(ledger)
    assert looks.count == 2
    assert looks.trial_returns[0].tolist() == [0.5, 0.0, -0.25]
    assert list(looks.trial_returns.index) == list(series.index)


def test_returns_of_a_trial_are_those_recorded_and_none_where_none_are_known(url):
    ledger = Ledger(url)
    returns = pd.Series([0.25, -0.5, 0.0], sessions("2024-03-04", 3))
    ledger.record([trial(0, returns), trial(1), trial(2, returns * 2)])

    found = ledger.returns("ES strategy", 2)

    pd.testing.assert_series_equal(found, (returns * 2).astype("float32"), check_names=False, check_freq=False)
    assert ledger.returns("ES strategy", 1) is None
    assert ledger.returns("another", 0) is None


def test_record_renewed_is_the_same_look_with_what_it_shows_on_all_sessions_seen(url):
    ledger = Ledger(url)
    early, grown = sessions("2024-01-01", 3), sessions("2024-01-02", 4)
    ledger.record([trial(0, pd.Series([0.5, 0.0, -0.25], index=early), values=(1.0,))], renew=True)
    later = trial(0, pd.Series([4.0, 3.0, 2.0, 1.0], index=grown), values=(2.0,), finished=NOON + dt.timedelta(days=1))

    ledger.record([later], renew=True)
    ledger.record([later], renew=True)

    frame = ledger.trials("ES strategy")
    assert frame["values"].tolist() == [(2.0,)]
    assert frame["finished"].tolist() == [pd.Timestamp(NOON)]  # when it was first looked at
    looks = looks_of(ledger)
    assert looks.count == 1
    assert looks.trial_returns[0].tolist() == [4.0, 3.0, 2.0, 1.0]
    assert list(looks.trial_returns.index) == list(grown)
    assert looks_of(ledger, "2024-01-01", "2024-01-01").count == 1  # the session that was cut off was seen
    assert looks_of(ledger, "2024-01-05", "2024-01-05").count == 1
    assert looks_of(ledger, "2024-01-06", "2024-12-31").count == 0
    ledger.record([trial(0, params={"k": 9.0})], renew=True)
    assert looks_of(ledger).count == 2


def test_record_renewed_at_another_period_is_a_further_look_and_the_same_again_none(url):
    ledger = Ledger(url)
    index = sessions("2024-01-01", 250)
    series = pd.Series(np.random.default_rng(1).normal(size=250), index=index)
    windows = [(0, 250), (0, 100), (60, 250), (60, 160)]

    for first, last in windows * 2:
        ledger.record([trial(0, series.iloc[first:last])], renew=True)

    assert looks_of(ledger).count == 4
    # A night later, and a month: the same look, which then shows what it shows on all of it.
    for more in (251, 270):
        grown = pd.Series(1.0, index=sessions("2024-01-01", more))
        ledger.record([trial(0, grown)], renew=True)
    assert looks_of(ledger, "2024-01-01", "2025-12-31").count == 4
    ledger.record([trial(0, pd.Series(1.0, index=sessions("2024-01-01", 400)))], renew=True)
    assert looks_of(ledger, "2024-01-01", "2025-12-31").count == 5


def test_record_renewed_at_periods_that_shrink_or_move_by_small_steps_counts_each(url):
    ledger = Ledger(url)
    series = pd.Series(np.random.default_rng(1).normal(size=600), index=sessions("2024-01-01", 600))
    shrinking = [(0, 600 - 20 * step) for step in range(12)]
    moving = [(20 * step, 260 + 20 * step) for step in range(1, 13)]

    for first, last in [*shrinking, *moving]:
        ledger.record([trial(0, series.iloc[first:last])], renew=True)

    assert looks_of(ledger, "2023-01-01", "2027-12-31").count == 24


def test_record_renewed_of_a_look_from_before_periods_were_chosen_is_that_look(url):
    ledger = Ledger(url)
    series = pd.Series([0.5, 0.25, 0.0], index=sessions("2024-01-01", 3))
    ledger.record([trial(0, series)])

    ledger.record([trial(0, series)], renew=True)

    assert looks_of(ledger).count == 1


def test_record_of_a_study_made_again_counts_its_trials_as_further_looks(url):
    ledger = Ledger(url)
    ledger.record([trial(0, params={"k": 1.0}), trial(1, params={"k": 2.0})])
    ledger.record([trial(0, params={"k": 3.0}), trial(1, params={"k": 2.0})])
    assert looks_of(ledger).count == 3


def test_looks_count_overlapping_periods_of_the_symbol_and_no_failed_ones(url):
    ledger = Ledger(url)
    ledger.record(
        [
            trial(0, first=day("2020-01-02"), last=day("2024-01-02")),
            trial(1, first=day("2024-12-31"), last=day("2026-01-02"), state="pruned"),
            trial(2, first=day("2020-01-02"), last=day("2023-12-29")),
            trial(3, first=day("2025-01-02"), last=day("2026-01-02")),
            trial(4, state="failed", values=()),
            trial(5, symbol="NQ"),
            trial(0, study="ES lightgbm", target="model:lightgbm"),
        ]
    )

    looks = looks_of(ledger, "2024-01-02", "2024-12-31")

    assert looks.count == 3
    assert ledger.looks("ES", day("2024-01-02"), day("2024-12-31"), target="strategy").count == 2
    assert looks.sentence() == (
        "3 trials in 2 studies recorded on ES between 2024-01-02 and 2024-12-31, 1 of them pruned, "
        "1 more failed and not counted."
    )
    by_study = looks.by_study()
    assert by_study.index.tolist() == ["ES lightgbm", "ES strategy"]
    assert by_study.loc["ES strategy", ["complete", "pruned", "failed"]].tolist() == [1, 1, 1]
    assert by_study.loc["ES lightgbm", "target"] == "model:lightgbm"
    assert by_study.loc["ES strategy", "seconds"] == 1.5


def test_looks_of_nothing_deflate_nothing_and_make_no_file(file, tmp_path):
    looks = looks_of(Ledger(file))
    returns = np.array([0.01, -0.005, 0.02, 0.003])
    assert looks.count == 0
    assert re.fullmatch("No trial.* ES between 2024-01-01 and 2024-12-31.", looks.sentence())
    assert looks.expected_best == 0.0
    assert looks.deflated_sharpe(returns) == deflated_sharpe_ratio(returns, trials=1, sharpe_variance=0.0)
    assert math.isnan(looks.sharpe_variance)
    assert math.isnan(looks.overfitting())
    assert looks.by_study().empty
    assert not list(tmp_path.iterdir())


def test_ledger_in_a_schema_that_is_not_there_reads_nothing_and_makes_it_to_write(ledger_server):
    ledger = Ledger(f"{ledger_server}{'&' if '?' in ledger_server else '?'}options=-csearch_path%3Doptuna")
    assert looks_of(ledger).count == 0
    ledger.record([trial(0)])
    assert looks_of(ledger).count == 1


def test_deflated_sharpe_takes_count_and_variance_from_every_trial(file):
    # Two sessions a, b have mean (a + b) / 2 and deviation |a - b| / √2, so a Sharpe ratio of (a + b) / (√2 |a - b|):
    # of (3, 1) √2, of (1, 0) 1/√2, of (1, -1) 0. Mean of the three 1/√2, variance ½ (½ + 0 + ½) = ½.
    index = sessions("2024-01-01", 2)
    ledger = Ledger(file)
    pairs = [(3.0, 1.0), (1.0, 0.0), (1.0, -1.0)]
    ledger.record([trial(number, pd.Series(pair, index=index)) for number, pair in enumerate(pairs)])
    ledger.record([trial(3, state="pruned"), trial(4, state="failed")])
    ledger.record([trial(5, pd.Series([0.0, 0.0], index=index))])  # never traded: a look, and no Sharpe ratio

    looks = looks_of(ledger)

    assert looks.trials["sharpe"].iloc[:3].tolist() == pytest.approx([math.sqrt(2), math.sqrt(0.5), 0.0], abs=1e-15)
    assert looks.count == 5
    assert looks.sharpe_variance == pytest.approx(0.5)
    # Bailey & López de Prado's √V ((1 − γ) Φ⁻¹(1 − 1/5) + γ Φ⁻¹(1 − 1/(5 e))), the quantiles from a table.
    expected = math.sqrt(0.5) * ((1 - 0.5772157) * 0.8416212 + 0.5772157 * 1.4496)
    assert looks.expected_best == pytest.approx(expected, abs=1e-4)
    returns = np.random.default_rng(1).normal(0.1, 1, 250)
    assert looks.deflated_sharpe(returns) == deflated_sharpe_ratio(
        returns, trials=5, sharpe_variance=looks.sharpe_variance, dependent=True
    )
    assert looks.deflated_sharpe(returns) < deflated_sharpe_ratio(returns, trials=1, sharpe_variance=0.0)


def test_deflated_sharpe_of_trials_without_returns_is_unknown_not_one_trials(file):
    ledger = Ledger(file)
    ledger.record([trial(0), trial(1)])
    assert math.isnan(looks_of(ledger).deflated_sharpe([0.1, -0.1, 0.2]))
    assert math.isnan(looks_of(ledger).expected_best)


def test_looks_take_of_longer_trials_the_returns_within_the_period(file):
    index = sessions("2024-01-01", 6)
    ledger = Ledger(file)
    ledger.record([trial(0, pd.Series([9.0, 3.0, 1.0, 9.0, 9.0, 9.0], index=index))])
    looks = ledger.looks("ES", index[1], index[2])
    assert looks.trial_returns[0].tolist() == [3.0, 1.0]
    assert looks.trials["sharpe"].tolist() == [pytest.approx(math.sqrt(2))]


def test_overfitting_by_hand_of_two_trials_in_four_blocks(file):
    # Means of the four blocks: 4, 3, 1, 1 and 1, 1, 3, 3; two sessions a block, far above and below them, so that all
    # halves deviate alike and the means alone decide. Two equal ones rank 1½ of 2: a logit of 0, which counts as
    # overfitted; the first of two equal ones is chosen.
    #   half     means (0, 1)   chosen   other half   means (0, 1)   rank ≤ median
    #   {1, 2}   3.5, 1         0        {3, 4}       1, 3           yes
    #   {1, 3}   2.5, 2         0        {2, 4}       2, 2           yes
    #   {1, 4}   2.5, 2         0        {2, 3}       2, 2           yes
    #   {2, 3}   2, 2           0 first  {1, 4}       2.5, 2         no
    #   {2, 4}   2, 2           0 first  {1, 3}       2.5, 2         no
    #   {3, 4}   1, 3           1        {1, 2}       3.5, 1         yes
    blocks = {0: [4, 3, 1, 1], 1: [1, 1, 3, 3]}
    index = sessions("2024-01-01", 8)
    ledger = Ledger(file)
    for number, means in blocks.items():
        ledger.record(
            [trial(number, pd.Series(np.repeat(np.float64(means), 2) + np.tile([1000.0, -1000.0], 4), index=index))]
        )
    assert looks_of(ledger).overfitting(blocks=4) == pytest.approx(4 / 6)
    assert math.isnan(looks_of(ledger).overfitting(blocks=16))


def test_trial_returns_are_of_common_sessions_and_leave_out_what_leaves_none(file):
    rng = np.random.default_rng(5)
    long, shifted, old = sessions("2024-01-01", 60), sessions("2024-01-08", 60), sessions("2023-12-01", 5)
    ledger = Ledger(file)
    ledger.record([trial(k, pd.Series(rng.normal(size=60), index=long)) for k in range(3)])
    ledger.record([trial(k, pd.Series(rng.normal(size=60), index=shifted), study="later") for k in range(3)])
    ledger.record([trial(k, pd.Series(rng.normal(size=5), index=old), study="old") for k in range(3)])

    looks = looks_of(ledger, "2023-01-01", "2024-12-31")

    assert looks.count == 9
    assert looks.trial_returns.shape == (55, 6)
    assert list(looks.trial_returns.index) == list(long.intersection(shifted))
    assert set(looks.trials.loc[looks.trial_returns.columns, "study"]) == {"ES strategy", "later"}
    assert looks.trials["sharpe"].notna().all()
    assert 0 <= looks.overfitting(blocks=16) <= 1
    assert looks_of(ledger, "2023-12-01", "2023-12-31").trial_returns.shape == (5, 3)


OWN = 10  # trials of each worker, and of the study they share


def _record_from(url: str, worker: int, barrier) -> None:
    """Every worker adds its own trials, and all of the trials of a study they share, in its own order."""
    index = sessions("2024-01-01", 40)
    shared = [trial(k, pd.Series(np.full(40, float(k)), index=index), study="shared") for k in range(OWN)]
    np.random.default_rng(worker).shuffle(shared)
    ledger = Ledger(url)
    barrier.wait()
    for k in range(OWN):
        ledger.record([trial(k, study=f"own {worker}"), shared[k]])
    ledger.record(shared)


def test_record_by_several_processes_at_once_loses_and_doubles_no_trial(url):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    workers = [context.Process(target=_record_from, args=(url, worker, barrier)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [worker.exitcode for worker in workers] == [0] * 4
    trials = looks_of(Ledger(url)).trials
    assert len(trials) == 5 * OWN
    for study in ["shared", *(f"own {worker}" for worker in range(4))]:
        assert trials.loc[trials["study"] == study, "number"].tolist() == list(range(OWN))
    returns = looks_of(Ledger(url)).trial_returns
    assert returns.shape == (40, OWN)
    assert returns.iloc[0].tolist() == list(range(OWN))


def test_record_is_whole_or_not_at_all(file):
    ledger = Ledger(file)
    with pytest.raises(DataError, match="a parameter is"):
        ledger.record([trial(0), trial(1, params={"k": object()})])
    assert looks_of(ledger).count == 0


def test_record_waits_for_a_database_that_comes_back(tmp_path):
    database = tmp_path / "optuna.db"
    database.mkdir()  # cannot be opened

    def back() -> None:
        time.sleep(0.4)
        database.rmdir()

    helper = threading.Thread(target=back)
    helper.start()
    Ledger(f"sqlite:///{database}").record([trial(0)])
    helper.join()
    assert sqlite3.connect(database).execute("select count(*) from vpoc_trials").fetchone() == (1,)


def test_ledger_that_does_not_answer_is_one_sentence_without_the_password():
    ledger = Ledger("postgres://me:secret@127.0.0.1:9/vpoc", patience=0)
    with pytest.raises(ConfigurationError, match="does not answer") as caught:
        looks_of(ledger)
    assert "secret" not in str(caught.value)


def test_ledger_that_is_not_a_database_says_so_without_waiting(tmp_path):
    (tmp_path / "optuna.db").write_text("no database " * 200)
    with pytest.raises(ConfigurationError, match=r"optuna\.db is damaged .file is not a database"):
        looks_of(Ledger(f"sqlite:///{tmp_path / 'optuna.db'}"))


def test_ledger_locked_by_another_writer_is_waited_for_within_the_limit(file):
    ledger = Ledger(file, patience=0)
    ledger.record([trial(0)])
    holder = sqlite3.connect(file.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("begin exclusive")
    with pytest.raises(ConfigurationError, match="database is locked"):
        ledger.record([trial(1)])
    holder.execute("rollback")
    holder.close()
    assert looks_of(ledger).count == 1


@pytest.mark.parametrize(
    ("url", "says"), [("mysql://h/db", "an SQLite file, .* or postgresql"), ("nothing", "not an address")]
)
def test_ledger_of_another_database_says_which_are_possible(url, says):
    with pytest.raises(ConfigurationError, match=says):
        Ledger(url).record([trial(0)])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"state": "running"}, "has the state 'running'"),
        ({"number": -1}, "negative number"),
        ({"first": day("2025-01-01")}, "after its end"),
        ({"finished": dt.datetime(2026, 1, 1)}, "without a time zone"),
        ({"returns": pd.Series([1.0], index=[0])}, "not indexed by session"),
        ({"returns": pd.Series([1.0, 2.0], index=[day("2024-02-02")] * 2)}, "not increasing"),
        ({"returns": pd.Series([1.0], index=[day("2023-12-29")])}, "outside its period"),
        ({"returns": pd.Series([math.nan], index=[day("2024-02-02")])}, "is missing or infinite"),
    ],
)
def test_trial_record_that_cannot_be_says_what_is_wrong(fields, says):
    given = {"number": 7, "returns": None} | fields
    number, returns = given.pop("number"), given.pop("returns")
    period = {"first": day("2024-01-01"), "last": day("2024-12-31")}
    with pytest.raises(DataError, match=says):
        trial(number, returns, **(period | given))
