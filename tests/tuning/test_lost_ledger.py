"""A ledger that is lost, emptied, replaced or put back counts each look once, and none less than before."""

import json
import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.home import Home
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.records import Proof, proofs
from tests.tuning.ledgers import day, looks_of, sessions, trial

YEAR = {"first_session": "2024-01-01", "last_session": "2024-12-31"}


def sql(url: str, *statements: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def drop(url: str) -> None:
    sql(url, "drop table vpoc_trials", "drop table vpoc_trial_sessions")


def empty(url: str) -> None:
    sql(url, "delete from vpoc_trials", "delete from vpoc_trial_sessions")


def study(home: Home, looks: int, name: str = "strategy", **period: str) -> None:
    path = home.root / "tuning" / "ES" / name / "study.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**YEAR, **period, "looks": looks}))


def summary(home: Home, looks: int) -> None:
    frame = pd.DataFrame({"value": [1.0]})
    frame.attrs = {"looks": {"trials": looks, **YEAR}}
    path = home.assets / "backtest_summary" / "ES.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.mark.parametrize("lose", [drop, empty])
def test_looks_after_a_ledger_was_lost_are_those_before_and_those_since(
    url: str, home: Home, lose: Callable[[str], None]
) -> None:
    ledger = Ledger(url, home=home)
    ledger.record([*(trial(number) for number in range(7)), trial(7, state="failed", values=())])
    before = looks_of(ledger)
    lose(url)
    assert looks_of(ledger).count == 7
    lose(url)

    ledger.record([trial(8), trial(9)])

    looks = looks_of(ledger)
    assert looks.count == 9
    assert looks.sentence().startswith(
        "9 trials in 1 study recorded on ES between 2024-01-01 and 2024-12-31, 1 more failed"
    )
    pd.testing.assert_frame_equal(looks.trials.iloc[:8], before.trials)
    assert looks_of(ledger).count == 9


def test_look_repeated_after_a_ledger_was_lost_counts_once_and_has_its_returns_again(url: str, home: Home) -> None:
    ledger = Ledger(url, home=home)
    returns = pd.Series([0.5, 0.0, -0.25], sessions("2024-01-01", 3))
    ledger.record([trial(0, returns), trial(1, returns * 2), trial(2)])
    ledger.record([trial(0, returns, study="by hand")], renew=True)
    assert looks_of(ledger).count == 4
    drop(url)
    assert looks_of(ledger).trial_returns.shape == (0, 0)

    grown = pd.Series([0.5, 0.0, -0.25, 1.0], sessions("2024-01-01", 4))
    ledger.record([trial(0, returns), trial(1, returns * 2)])
    ledger.record([trial(0, grown, study="by hand")], renew=True)

    looks = looks_of(ledger)
    assert looks.count == 4
    assert looks.trial_returns.T.to_numpy().tolist() == [[0.5, 0.0, -0.25], [1.0, 0.0, -0.5], [0.5, 0.0, -0.25]]


def test_look_by_hand_grown_night_by_night_is_the_same_look_after_a_ledger_was_lost(url: str, home: Home) -> None:
    ledger = Ledger(url, home=home)
    for length in (100, 115, 130):
        ledger.record([trial(0, pd.Series(1.0, sessions("2024-01-01", length)))], renew=True)
        assert looks_of(ledger).count == 1
    drop(url)

    ledger.record([trial(0, pd.Series(1.0, sessions("2024-01-01", 145)))], renew=True)

    assert looks_of(ledger).count == 1


def test_looks_by_period_are_those_of_each_after_a_ledger_was_lost(url: str, home: Home) -> None:
    ledger = Ledger(url, home=home)
    ledger.record([trial(number) for number in range(5)])
    ledger.record([trial(5 + k, first=day("2024-03-01"), last=day("2024-03-29")) for k in range(2)])
    ledger.record([trial(7, first=day("2029-01-01"), last=day("2029-06-29")), trial(8, symbol="NQ")])
    windows = [("2024-01-01", "2024-12-31"), ("2024-03-01", "2024-03-29"), ("2024-06-03", "2024-06-28")]
    windows += [("2029-01-01", "2029-12-31"), ("2020-01-01", "2020-12-31"), ("2020-01-01", "2030-12-31")]
    counts = [looks_of(ledger, *window).count for window in windows]
    assert counts == [7, 7, 5, 1, 0, 8]
    drop(url)

    assert [looks_of(ledger, *window).count for window in windows] == counts
    ledger.record([trial(9, first=day("2024-06-03"), last=day("2024-06-28"))])
    assert [looks_of(ledger, *window).count for window in windows] == [8, 7, 6, 1, 0, 9]


def test_looks_of_a_lost_ledger_that_comes_back_are_counted_once(tmp_path: Path, home: Home) -> None:
    path, backup = tmp_path / "optuna.db", tmp_path / "backup.db"
    ledger = Ledger(f"sqlite:///{path}", home=home)
    returns = pd.Series([0.5, 0.0, -0.25], sessions("2024-01-01", 3))
    ledger.record([trial(number, returns * (number + 1)) for number in range(7)])
    shutil.copy(path, backup)
    ledger.record([trial(7)])
    assert looks_of(ledger).count == 8
    path.unlink()
    ledger.record([trial(8), trial(9)])
    assert looks_of(ledger).count == 10

    shutil.copy(backup, path)

    looks = looks_of(ledger)
    assert looks.count == 10
    assert looks.trial_returns.shape == (3, 7)
    ledger.record([trial(10)])
    assert looks_of(ledger).count == 11


def test_looks_whose_rows_are_put_back_into_a_ledger_that_went_on_are_counted_once(url: str, home: Home) -> None:
    ledger = Ledger(url, home=home)
    ledger.record([trial(number) for number in range(3)])
    assert looks_of(ledger).count == 3
    sql(url, "create table kept as select * from vpoc_trials")
    empty(url)
    ledger.record([trial(3)])  # puts the three back, too

    sql(
        url, "delete from vpoc_trials where number < 3", "insert into vpoc_trials select * from kept", "drop table kept"
    )

    assert looks_of(ledger).count == 4


def test_looks_move_with_the_home_to_another_database(url: str, tmp_path: Path, home: Home) -> None:
    first, second = Ledger(f"sqlite:///{tmp_path / 'before.db'}", home=home), Ledger(url, home=home)
    first.record([trial(number) for number in range(4)])
    assert looks_of(first).count == 4
    second.record([trial(4)])

    assert looks_of(second).count == 5
    assert looks_of(first).count == 5


@pytest.mark.parametrize("lose", [drop, empty])
def test_looks_proven_by_number_only_are_counted_beside_those_since(
    url: str, home: Home, lose: Callable[[str], None]
) -> None:
    ledger = Ledger(url, home=home)
    study(home, 20)
    summary(home, 34)
    message = looks_of(ledger).sentence()
    assert message.startswith("34 trials recorded on ES between 2024-01-01 and 2024-12-31, 34 of them known by number")
    ledger.record([trial(0), trial(1)])
    looks = looks_of(ledger)
    assert looks.count == 36
    assert "34 of them known by number only" in looks.sentence()
    assert looks.by_study()["complete"].to_dict() == {"ES/lost": 34, "ES strategy": 2}

    # What tells of looks since tells of no others.
    study(home, 36, "later")
    summary(home, 36)
    assert looks_of(ledger).count == 36
    lose(url)
    shutil.rmtree(home.root / "looks")
    ledger.record([trial(2)])
    assert looks_of(ledger).count == 37
    lose(url)
    assert looks_of(ledger).count == 37


def test_looks_proven_by_number_count_in_their_own_periods(url: str, home: Home) -> None:
    ledger = Ledger(url, home=home)
    study(home, 5, "short", first_session="2024-03-01", last_session="2024-03-29")
    study(home, 7)
    study(home, 3, "other", first_session="2029-01-01", last_session="2029-12-31")

    assert looks_of(ledger).count == 7
    assert looks_of(ledger, "2029-06-01", "2029-06-29").count == 3
    assert looks_of(ledger, "2020-01-01", "2020-12-31").count == 0
    assert ledger.looks("NQ", day("2024-01-01"), day("2024-12-31")).count == 0


def test_proofs_are_those_of_notes_studies_and_summary_and_of_no_torn_or_absurd_file(home: Home) -> None:
    study(home, 200, first_session="2024-02-01")
    study(home, 10**12, "absurd")
    summary(home, 344)
    (home.root / "tuning" / "ES" / "looks.json").write_text(json.dumps([{**YEAR, "looks": 7}, {"looks": 9}, 3]))
    for name, text in {"torn": '{"looks": 9', "no dates": '{"looks": 9}', "empty": "", "other": "[1]"}.items():
        study(home, 0, name)
        (home.root / "tuning" / "ES" / name / "study.json").write_text(text)
    first, last = day("2024-01-01").date(), day("2024-12-31").date()

    assert proofs(home, "ES") == [
        Proof(first, last, 344),
        Proof(day("2024-02-01").date(), last, 200),
        Proof(first, last, 7),
    ]
    assert proofs(home, "NQ") == []


def test_copy_with_lines_that_are_torn_gives_back_the_others_and_is_repaired(file: str, home: Home) -> None:
    ledger = Ledger(file, home=home)
    ledger.record([trial(number) for number in range(3)])
    assert looks_of(ledger).count == 3
    path = home.root / "looks" / "ES.jsonl"
    lines = path.read_text().splitlines()
    wrong = [*lines[:-1], "[]", '{"study": 1}', lines[0].replace('"number": 0', '"number": "a"')]
    wrong += [lines[0].replace('"{', '"[{').replace('}"', '}]"'), lines[-1][:40]]
    path.write_text("\n".join(wrong))
    assert looks_of(ledger).count == 3

    drop(file)

    assert looks_of(ledger).count == 3


def test_copy_that_cannot_be_written_costs_no_verdict(file: str, home: Home) -> None:
    home.root.mkdir()
    (home.root / "looks").write_text("no folder")
    ledger = Ledger(file, home=home)
    ledger.record([trial(0)])
    assert looks_of(ledger).count == 1


def _look_at_once(url: str, home: Home, worker: int, barrier: object) -> None:
    ledger = Ledger(url, home=home)
    barrier.wait()  # type: ignore[attr-defined]
    ledger.record([trial(100 + worker)])
    looks_of(ledger)


@pytest.mark.parametrize("copied", [True, False], ids=["copied", "by number"])
def test_ledger_found_lost_by_several_processes_at_once_gets_each_look_back_once(
    url: str, home: Home, copied: bool
) -> None:
    ledger = Ledger(url, home=home)
    ledger.record([trial(number) for number in range(7)])
    assert looks_of(ledger).count == 7
    study(home, 7)
    drop(url)
    if not copied:
        shutil.rmtree(home.root / "looks")
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    workers = [context.Process(target=_look_at_once, args=(url, home, worker, barrier)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [worker.exitcode for worker in workers] == [0] * 4
    assert looks_of(ledger).count == 11
    drop(url)
    assert looks_of(ledger).count == 11


@given(st.lists(st.sampled_from(["look", "look by hand", "verdict", "lose", "keep", "put back"]), max_size=12))
@settings(max_examples=20, deadline=None)
def test_looks_are_those_of_every_verdict_and_those_since_whatever_happens_to_the_ledger(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("lost")
    path, kept = folder / "optuna.db", folder / "kept.db"
    ledger = Ledger(f"sqlite:///{path}", home=Home(folder / "home"))
    held: set[int] = set()  # what the database holds
    copied: set[int] = set()  # what a verdict has seen
    backup: set[int] = set()
    for number, step in enumerate(steps):
        if step.startswith("look"):
            by_hand = step == "look by hand"
            ledger.record([trial(number)], renew=by_hand)
            if by_hand or not held:
                held |= copied
                copied |= held
            held.add(number)
        elif step == "verdict":
            held |= copied
            copied |= held
            assert looks_of(ledger).count == len(held)
        elif step == "lose":
            path.unlink(missing_ok=True)
            held = set()
        elif step == "keep" and path.exists():
            shutil.copy(path, kept)
            backup = set(held)
        elif step == "put back" and kept.exists():
            shutil.copy(kept, path)
            held = set(backup)
    held |= copied
    assert looks_of(ledger).count == len(held)
