"""Groups of assets, numbered, since Dagster's page sorts them by name: in the order of the story."""

__all__ = [
    "BACKTESTS",
    "FEATURES",
    "JUDGEMENT",
    "MARKET_DATA",
    "MODELS",
    "PROFILES",
    "SIGNALS",
    "STUDIES",
]

MARKET_DATA = "1_market_data"
PROFILES = "2_volume_profiles"
SIGNALS = "3_signals"
FEATURES = "4_features"
BACKTESTS = "5_backtests"
MODELS = "6_models"
STUDIES = "7_studies"
JUDGEMENT = "8_judgement"
