"""The demo's twelve models, trained by our own algorithms: no extra is needed for them.

All learn from real tables but the last: of drivers' eyes there is none that we may carry.
"""

from astralytiq.features.registry.models import Stage

from .plans import Model, Training

BIRD = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
FLOWER = ["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"]
DAY = ["precipitation", "temp_max", "temp_min", "wind"]
TRIP = ["waiting_minutes", "cost_dollars", "travel_minutes", "household_income", "party_size"]
VOTER = [
    "party_identification", "self_left_right", "clinton_left_right", "dole_left_right", "age",
    "education", "income",
]  # fmt: skip
PRODUCTION, STAGING = Stage.production, Stage.staging

# The first is what the README begins with. A version put into production archives the one before.
MODELS = (
    Model(
        "penguin_species",
        (
            Training(
                "penguins@1",
                {
                    "algorithm": "random_forest",
                    "target": "species",
                    "features": BIRD,
                    "params": {"n_estimators": 50},
                    "seed": 7,
                },
                PRODUCTION,
            ),
        ),
    ),
    Model(
        "penguin_groups",
        (
            Training(
                "penguins@1",
                {"algorithm": "kmeans", "features": BIRD[:3], "params": {"n_clusters": 3}},
                PRODUCTION,
            ),
        ),
    ),
    Model(
        "iris_species",
        (
            Training(
                "iris_flowers@1",
                {
                    "algorithm": "decision_tree",
                    "target": "species",
                    "features": FLOWER[2:],
                    "params": {"max_depth": 2},
                },
                PRODUCTION,
            ),
            Training(
                "iris_flowers@1",
                {
                    "algorithm": "random_forest",
                    "target": "species",
                    "features": FLOWER,
                    "params": {"n_estimators": 50},
                    "cv_folds": 5,
                },
                PRODUCTION,
            ),
        ),
    ),
    Model(
        "wine_cultivar",
        (
            Training(
                "wine@1",
                {
                    "algorithm": "random_forest",
                    "target": "cultivar",
                    "params": {"n_estimators": 60},
                    "cv_folds": 5,
                    "seed": 3,
                },
                PRODUCTION,
            ),
        ),
    ),
    Model(
        "wine_groups",
        (
            Training(
                "wine@1",
                {
                    "algorithm": "kmeans",
                    "features": ["alcohol", "flavanoids", "color_intensity", "hue"],
                    "params": {"n_clusters": 3, "init": "random", "n_init": 10},
                    "seed": 1,
                },
                STAGING,
            ),
        ),
    ),
    Model(
        "tumour_diagnosis",
        (
            Training(
                "breast_cancer@1",
                {
                    "algorithm": "decision_tree",
                    "target": "diagnosis",
                    "params": {"max_depth": 4},
                    "seed": 11,
                },
                PRODUCTION,
            ),
            Training(
                "breast_cancer@1",
                {
                    "algorithm": "random_forest",
                    "target": "diagnosis",
                    "params": {"n_estimators": 60},
                    "cv_folds": 3,
                    "seed": 11,
                },
                PRODUCTION,
            ),
            Training(
                "breast_cancer@1",
                {
                    "algorithm": "random_forest",
                    "target": "diagnosis",
                    "params": {"n_estimators": 60, "class_weight": "balanced"},
                    "seed": 11,
                },
                STAGING,
            ),
        ),
        challenger=3,
    ),
    Model(
        "digit_reader",
        (
            Training(
                "digits@1",
                {"algorithm": "random_forest", "target": "digit", "params": {"n_estimators": 60}},
                PRODUCTION,
            ),
        ),
    ),
    Model(
        "weather_kind",
        (
            Training(
                "weather@1",
                {
                    "algorithm": "random_forest",
                    "target": "weather",
                    "features": DAY,
                    "params": {"n_estimators": 40, "min_samples_leaf": 3},
                },
                PRODUCTION,
                later="weather@2",
            ),
            Training(
                "weather@2",
                {
                    "algorithm": "random_forest",
                    "target": "weather",
                    "features": DAY,
                    "params": {"n_estimators": 40, "min_samples_leaf": 3},
                },
                PRODUCTION,
            ),
        ),
    ),
    Model(
        "earthquake_regions",
        (
            Training(
                "earthquakes@1",
                {
                    "algorithm": "kmeans",
                    "features": ["latitude", "longitude"],
                    "params": {"n_clusters": 8},
                    "seed": 5,
                },
                PRODUCTION,
            ),
        ),
    ),
    Model(
        "travel_choice",
        (
            Training(
                "travel_modes@1",
                {
                    "algorithm": "decision_tree",
                    "target": "chosen",
                    "features": TRIP,
                    "search": {"grid": {"max_depth": [3, 5, 8], "min_samples_leaf": [1, 5, 15]}},
                    "seed": 2,
                },
                PRODUCTION,
            ),
        ),
    ),
    Model(
        "vote_1996",
        (
            Training(
                "voters_1996@1",
                {
                    "algorithm": "random_forest",
                    "target": "vote",
                    "features": VOTER,
                    "params": {"n_estimators": 30},
                    "search": {
                        "random": {
                            "max_depth": [2, 4, 6, 8],
                            "min_samples_leaf": [1, 3, 9],
                            "n_iter": 4,
                        }
                    },
                    "cv_folds": 3,
                    "seed": 4,
                },
                PRODUCTION,
            ),
        ),
    ),
    Model(
        "drowsiness_detector",
        (
            Training(
                "synthetic:drowsiness",
                {
                    "algorithm": "random_forest",
                    "target": "state",
                    "params": {"n_estimators": 50, "min_samples_leaf": 5},
                },
                PRODUCTION,
            ),
        ),
        description="Learnt from made-up minutes (synthetic:drowsiness), which are nobody's: it "
        "makes no claim of safety.",
    ),
)
