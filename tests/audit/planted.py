"""Features that know the future, each in its own way; some only on rare days; and some that don't."""

import numpy as np
import pandas as pd

from pipeline.features import FeatureInputs, FeatureRegistry, anchor_warmup, anchored
from pipeline.features.externals import as_known
from pipeline.learning import candidate_labels
from pipeline.market import session_schedule
from pipeline.strategy import TradingRules, make_candidates

PLANTED = FeatureRegistry()
RARE = FeatureRegistry()
CLEAN = FeatureRegistry()

leak = PLANTED.feature
clean = CLEAN.feature
rare = RARE.feature


def _vix(inputs: FeatureInputs) -> pd.Series:
    frame = inputs.external["vix"]
    return pd.Series(frame["close"].to_numpy(), index=pd.DatetimeIndex(frame["timestamp"]).tz_localize(None))


@leak(family="planted", warmup=6, description="Centred window.")
def centred_mean(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["log_return"].rolling(5, center=True, min_periods=5).mean()


@leak(family="planted", warmup=6, description="Centred window that takes what there is.")
def centred_loose(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["volume"].rolling(7, center=True, min_periods=1).mean()


@leak(family="planted", warmup=2, description="The next session's return.")
def shifted_back(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["volume"].shift(-1)


@leak(family="planted", warmup=2, description="Whole-sample z-score.")
def z_score(inputs: FeatureInputs) -> pd.Series:
    volume = inputs.history["volume"]
    return (volume - volume.mean()) / volume.std()


@leak(family="planted", warmup=2, description="Returns at rolls filled from the next session.")
def filled_back(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["log_return"].bfill()


@leak(family="planted", warmup=12, description="The VIX close of the same day.", needs=("vix",))
def vix_same_day(inputs: FeatureInputs) -> pd.Series:
    return _vix(inputs).reindex(inputs.sessions, method="ffill", limit=10)


@leak(family="planted", warmup=12, description="The VIX, dated a day early and filled forward.", needs=("vix",))
def vix_future_dated(inputs: FeatureInputs) -> pd.Series:
    series = _vix(inputs)
    series.index = series.index - pd.Timedelta("1D")
    return series.reindex(inputs.sessions, method="ffill", limit=10)


@leak(family="planted", warmup=20, description="What the long of the coming session earns.")
def outcome(inputs: FeatureInputs) -> pd.Series:
    candidates = make_candidates(inputs.history, inputs.instrument, TradingRules(inputs.settings))
    labels = candidate_labels(inputs.bars, candidates, inputs.instrument)
    longs = candidates["side"] > 0
    found = pd.Series(labels.loc[longs, "r_multiple"].to_numpy(), pd.DatetimeIndex(candidates.loc[longs, "decided_on"]))
    return found.reindex(inputs.sessions)


@leak(family="planted", warmup=1, description="Days to the last bar of the contract in the data.")
def days_to_roll(inputs: FeatureInputs) -> pd.Series:
    run = pd.Series(np.cumsum(inputs.rolled), index=inputs.sessions)
    last = pd.Series(inputs.sessions, index=inputs.sessions).groupby(run.to_numpy()).transform("max")
    return (last - inputs.sessions.to_series()).dt.days.astype(float)


@leak(family="planted", warmup=2, description="Winsorised at quantiles of all sessions.")
def winsorised(inputs: FeatureInputs) -> pd.Series:
    volume = inputs.history["volume"]
    return volume.clip(*volume.quantile([0.05, 0.95]))


@leak(family="planted", warmup=2, description="Between minimum and maximum of the whole history.")
def min_max(inputs: FeatureInputs) -> pd.Series:
    volume = inputs.history["volume"]
    return (volume - volume.min()) / (volume.max() - volume.min())


@leak(family="planted", warmup=2, description="The next session's opening gap.")
def next_gap(inputs: FeatureInputs) -> pd.Series:
    return (inputs.history["open"].shift(-1) - inputs.history["close"]).where(~np.append(inputs.rolled[1:], False))


@leak(family="planted", warmup=1, description="Close of the four-hour frame that holds the session's close.")
def unfinished_frame(inputs: FeatureInputs) -> pd.Series:
    bars = inputs.bars
    frames = bars.groupby(bars["timestamp"].dt.floor("4h"))["volume"].sum()
    # At the end of the trade date: the frame goes on into the next session's evening.
    ends = pd.DatetimeIndex(inputs.closes + pd.Timedelta("1h")).floor("4h")
    return pd.Series(frames.reindex(ends).to_numpy(), index=inputs.sessions)


@leak(family="planted", warmup=1, description="Mean volume of the weekday, over all sessions.")
def weekday_code(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["volume"].groupby(inputs.sessions.day_of_week).transform("mean")


@leak(family="planted", warmup=21, description="Exponential average from the first row of the data on.")
def endless_average(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["volume"].ewm(span=20, adjust=False).mean()


@leak(family="planted", warmup=2, description="Change of the close, straight across rolls.")
def roll_step(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["close"].diff()


@leak(family="planted", warmup=21, description="Close less the mean of 20 closes, of whatever contract.")
def roll_window(inputs: FeatureInputs) -> pd.Series:
    close = inputs.instrument.to_ticks(inputs.history["close"]).astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([np.full(19, np.nan), close]), 20)
    return pd.Series(close - windows.sum(axis=1) / 20, index=inputs.sessions)


@leak(family="planted", warmup=2, description="Rank among all sessions.")
def whole_rank(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["volume"].rank(pct=True)


@leak(family="planted", warmup=2, description="Volume since the first row of the data.")
def running_total(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["volume"].cumsum()


@leak(family="planted", warmup=5, description="A window of ten sessions that says it is one of five.")
def short_warmup(inputs: FeatureInputs) -> pd.Series:
    windows = np.lib.stride_tricks.sliding_window_view(
        np.concatenate([np.zeros(9), inputs.history["volume"].to_numpy()]), 10
    )
    return pd.Series(windows.sum(axis=1), index=inputs.sessions)


@leak(family="planted", warmup=1, description="Infinite now and then.")
def infinite(inputs: FeatureInputs) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return 1 / (inputs.sessions.day_of_week.to_numpy() == 2).astype(float)


@leak(family="planted", warmup=1, description="Never there.")
def never(inputs: FeatureInputs) -> np.ndarray:
    return np.full(len(inputs.sessions), np.nan)


@leak(family="planted", warmup=1, description="Raises.")
def broken(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["no_such_column"]


@clean(family="clean", warmup=1, description="A price: a level.")
def level(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["close"]


@clean(family="clean", warmup=2, description="Returns, missing at rolls.", signed=True)
def known_return(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["log_return"]


@clean(family="clean", warmup=anchor_warmup, description="An exponential average from the anchor on.")
def anchored_average(inputs: FeatureInputs) -> pd.Series:
    return anchored(inputs.history[["volume"]], lambda part: part["volume"].ewm(span=20, adjust=False).mean())["value"]


@clean(family="clean", warmup=12, description="Yesterday's VIX.", needs=("vix",))
def vix_before(inputs: FeatureInputs) -> np.ndarray:
    frame = inputs.external["vix"]
    return as_known(frame, frame["close"].to_numpy(float), inputs.sessions, inputs.closes)


@clean(family="clean", warmup=2, description="Weekday.")
def weekday_of_session(inputs: FeatureInputs) -> np.ndarray:
    return inputs.sessions.day_of_week.to_numpy().astype(float)


def _ahead_on(inputs: FeatureInputs, days: np.ndarray) -> pd.Series:
    """Each session's volume; of these sessions the next one's."""
    volume = inputs.history["volume"]
    return volume.where(~days, volume.shift(-1))


@rare(family="rare", warmup=2, description="The next session's volume on days of an early close.")
def ahead_on_early_closes(inputs: FeatureInputs) -> pd.Series:
    hours = session_schedule(inputs.instrument, inputs.sessions[0], inputs.sessions[-1]).loc[inputs.sessions]
    return _ahead_on(inputs, (hours["rth_close"] - hours["rth_open"] < pd.Timedelta("6h")).to_numpy())


@rare(family="rare", warmup=2, description="The next session's volume on the first day of a contract.")
def ahead_on_rolls(inputs: FeatureInputs) -> pd.Series:
    return _ahead_on(inputs, inputs.rolled)


@rare(family="rare", warmup=2, description="The next session's volume where the next one is the first of a contract.")
def ahead_before_rolls(inputs: FeatureInputs) -> pd.Series:
    return _ahead_on(inputs, np.append(inputs.rolled[1:], False))


@rare(family="rare", warmup=2, description="The next session's volume on the Mondays after the clock has changed.")
def ahead_on_clock_changes(inputs: FeatureInputs) -> pd.Series:
    midnight = inputs.sessions.tz_localize("America/Chicago").tz_convert("UTC").hour
    return _ahead_on(inputs, np.append(False, midnight[1:] != midnight[:-1]))


@rare(family="rare", warmup=2, description="The next session's volume on third Wednesdays.")
def ahead_on_third_wednesdays(inputs: FeatureInputs) -> pd.Series:
    day, weekday = inputs.sessions.day, inputs.sessions.day_of_week
    return _ahead_on(inputs, np.asarray((weekday == 2) & (day > 14) & (day < 22)))


@rare(family="rare", warmup=2, description="The next session's volume on third Fridays.")
def ahead_on_third_fridays(inputs: FeatureInputs) -> pd.Series:
    day, weekday = inputs.sessions.day, inputs.sessions.day_of_week
    return _ahead_on(inputs, np.asarray((weekday == 4) & (day > 14) & (day < 22)))


@rare(family="rare", warmup=2, description="The next session's volume on days that fell by 2 percent.")
def ahead_on_worst_days(inputs: FeatureInputs) -> pd.Series:
    return _ahead_on(inputs, (inputs.history["log_return"] < -0.02).to_numpy())


@rare(family="rare", warmup=2, description="The next session's volume on days that rose by 2 percent.")
def ahead_on_best_days(inputs: FeatureInputs) -> pd.Series:
    return _ahead_on(inputs, (inputs.history["log_return"] > 0.02).to_numpy())


@rare(family="rare", warmup=2, description="Tomorrow's fall, where it is one of 2 percent.")
def warned_of_worst_days(inputs: FeatureInputs) -> pd.Series:
    fall = -inputs.history["log_return"].shift(-1)
    return fall.where(fall > 0.02, 0.0)
