"""The demo's fifteen data sets. `samples/README.md` says where each comes from, and its licence."""

from .plans import Fields, Frozen, Table

SOURCES: dict[str, Fields] = {
    "penguins": {"path": "penguins.csv", "primary_key": "id"},
    "weather": {
        "path": "weather/*.csv",
        "primary_key": ["location", "date"],
        "mapping": {"published_at": "date", "category": "location"},
    },
    "earthquakes": {
        "path": "earthquakes.csv.gz",
        "primary_key": "id",
        "mapping": {"title": "place", "published_at": "time", "category": "network"},
    },
    "bird_strikes": {
        "path": "bird_strikes.csv.gz",
        "primary_key": "id",
        "delimiter": ";",
        "mapping": {"title": "species", "published_at": "flight_date", "category": "phase"},
    },
    "co2": {"path": "co2/*.csv", "primary_key": "date", "cursor_field": "date"},
}

KINDS_OF_WEATHER = ["drizzle", "fog", "rain", "snow", "sun"]

# The first is what the README begins with: it is loaded before everything else.
TABLES = (
    Table(
        name="penguins",
        description="Penguins of the Palmer Archipelago: bill, flipper, mass, sex (Palmer "
        "Station LTER; CC0). The rule on sex fails: some birds' sex was not determined.",
        source="penguins",
        versions=(Frozen(("penguins.csv",)),),
        rules=(
            {"kind": "in", "column": "species", "values": ["Adelie", "Chinstrap", "Gentoo"]},
            {"kind": "range", "column": "body_mass_g", "low": 2000, "high": 7000},
            {"kind": "in", "column": "sex", "values": ["female", "male"]},
            {"kind": "not_null", "column": "sex"},
        ),
    ),
    Table(
        name="iris_flowers",
        description="150 irises of three species, measured by E. Anderson, published by R. A. "
        "Fisher in 1936 (UCI, doi:10.24432/C56C76, CC BY 4.0).",
        file="iris.csv",
        rules=(
            {"kind": "in", "column": "species", "values": ["setosa", "versicolor", "virginica"]},
        ),
    ),
    Table(
        name="wine",
        description="Chemical analysis of 178 Italian wines of three cultivars (S. Aeberhard, "
        "M. Forina; UCI, doi:10.24432/C5PC7J, CC BY 4.0).",
        file="wine.parquet",
    ),
    Table(
        name="breast_cancer",
        description="569 tumours, thirty measures of cell nuclei each (W. Wolberg, O. Mangasarian, "
        "N. Street, W. Street; UCI, doi:10.24432/C5DW2B, CC BY 4.0). No medical advice.",
        file="breast_cancer.csv",
        rules=({"kind": "in", "column": "diagnosis", "values": ["benign", "malignant"]},),
    ),
    Table(
        name="digits",
        description="1,797 handwritten digits in 8 x 8 pixels of 0 to 16 (E. Alpaydin, C. Kaynak; "
        "UCI, doi:10.24432/C50P49, CC BY 4.0).",
        file="digits.parquet",
        rules=({"kind": "range", "column": "digit", "low": 0, "high": 9},),
    ),
    Table(
        name="weather",
        description="Daily weather of Seattle and New York, 2012 to 2015 (NOAA, public domain). "
        "Version 1 ends with 2013.",
        source="weather",
        versions=(
            Frozen(
                tuple(f"weather/{year}.csv" for year in range(2012, 2016)),
                {"published_before": "2014-01-01T00:00:00Z"},
            ),
            Frozen(query={"published_before": "2016-01-01T00:00:00Z"}),
        ),
        rules=(
            {"kind": "in", "column": "weather", "values": KINDS_OF_WEATHER},
            {"kind": "range", "column": "precipitation", "low": 0, "high": 500},
        ),
    ),
    Table(
        name="seattle_weather",
        description="The days of Seattle among the records of the source weather (NOAA, public "
        "domain). Its kinds of weather must be among those of the data set weather.",
        source="weather",
        versions=(Frozen(query={"category": "Seattle"}),),
        rules=({"kind": "foreign", "column": "weather", "dataset": "{weather}", "key": "weather"},),
        needs=("weather",),
    ),
    Table(
        name="earthquakes",
        description="Earthquakes of a week, 31 January to 7 February 2018 (USGS, public domain). "
        "Small networks report no stations and gaps: the rule on stations fails.",
        source="earthquakes",
        versions=(Frozen(("earthquakes.csv.gz",)),),
        rules=(
            {"kind": "range", "column": "latitude", "low": -90, "high": 90},
            {"kind": "range", "column": "longitude", "low": -180, "high": 180},
            {"kind": "not_null", "column": "stations"},
        ),
    ),
    Table(
        name="alaska_earthquakes",
        description="What Alaska's network (ak) reported among the records of the source "
        "earthquakes (USGS, public domain).",
        source="earthquakes",
        versions=(Frozen(query={"category": "ak"}),),
        needs=("earthquakes",),
    ),
    Table(
        name="bird_strikes",
        description="10,000 aircraft that met birds, 1990 to 2002 (FAA Wildlife Strike Database, "
        "public domain). Speeds are missing, and some damages are codes nobody explained.",
        source="bird_strikes",
        versions=(Frozen(("bird_strikes.csv.gz",)),),
        rules=(
            {
                "kind": "in",
                "column": "damage",
                "values": ["None", "Minor", "Medium", "Substantial"],
            },
            {"kind": "not_null", "column": "speed_knots"},
            {"kind": "range", "column": "cost_total", "low": 0},
        ),
    ),
    Table(
        name="co2_mauna_loa",
        description="Weekly carbon dioxide on Mauna Loa (Keeling and Whorf, public domain). "
        "Version 1 ends with 1979, version 2 with 2001: compare them. Some weeks have no value.",
        source="co2",
        versions=(Frozen(("co2/1958-1979.csv",)), Frozen(("co2/1980-2001.csv",))),
        rules=(
            {"kind": "unique", "column": "date"},
            {"kind": "not_null", "column": "co2_ppm"},
            {"kind": "range", "column": "co2_ppm", "low": 250, "high": 450},
        ),
    ),
    Table(
        name="travel_modes",
        description="210 trips between Australian cities, four ways to travel each, and which was "
        "chosen (Greene and Hensher 1997, public domain).",
        file="travel_modes.jsonl",
        rules=({"kind": "in", "column": "mode", "values": ["air", "bus", "car", "train"]},),
    ),
    Table(
        name="voters_1996",
        description="944 respondents of the American National Election Study of 1996 (public "
        "domain).",
        file="voters_1996.csv",
        rules=(
            {"kind": "in", "column": "vote", "values": ["Clinton", "Dole"]},
            {"kind": "range", "column": "age", "low": 18, "high": 110},
        ),
    ),
    Table(
        name="sunspots",
        description="Sunspots of each year, 1700 to 2008 (NOAA National Geophysical Data Center, "
        "public domain).",
        file="sunspots.csv",
        rules=({"kind": "unique", "column": "year"},),
    ),
    Table(
        name="us_employment",
        description="Employees of the United States by industry, monthly from 2006 to 2015, in "
        "thousands (Bureau of Labor Statistics, public domain).",
        file="us_employment.xlsx",
        rules=({"kind": "unique", "column": "month"},),
    ),
)
