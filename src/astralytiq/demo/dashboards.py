"""The demo's twelve dashboards: of each table what an analyst would ask first."""

from typing import Any

from .plans import Dashboard, Fields


def figure(name: str, title: str) -> Fields:
    return {"type": "metric", "metric": name, "title": title, "width": 3}


def trend(name: str, title: str) -> Fields:
    return {"type": "line", "metric": name, "title": title, "hours": 24, "width": 6}


def bar(title: str, dataset: str, group_by: str, value: str = "", **more: Any) -> Fields:
    """Of `value` the mean, or how many rows; "{name}" stands for the id of a data set."""
    return grouped("bar", title, dataset, group_by, value, more)


def line(title: str, dataset: str, group_by: str, value: str = "", **more: Any) -> Fields:
    return {**grouped("line", title, dataset, group_by, value, {"order": "group", **more}),
            "width": 12}  # fmt: skip


def grouped(
    kind: str, title: str, dataset: str, group_by: str, value: str, more: dict[str, Any]
) -> dict[str, Any]:
    asked = {"aggregate": "mean", "value": value} if value else {"aggregate": "count"}
    groups = {"group_by": group_by} if group_by else {}  # else all rows are one
    query = {"dataset_id": f"{{{dataset}}}", **groups, **asked, **more}
    return {"type": kind, "title": title, "width": 6, "query": query}


def table(title: str, dataset: str, *columns: str, **more: Any) -> Fields:
    query = {"dataset_id": f"{{{dataset}}}", "columns": list(columns), "limit": 10, **more}
    return {"type": "table", "title": title, "width": 6, "query": query}


def where(column: str, op: str, value: Any = None) -> Fields:
    return {"column": column, "op": op, "value": value}


def origin(kind: str, thing: str) -> Fields:
    return {"type": "lineage", "kind": kind, "id": thing, "direction": "up", "width": 12}


def newest(topic: str, title: str) -> Fields:
    return {"type": "events", "topic": topic, "title": title, "limit": 10, "width": 6}


def words(text: str) -> Fields:
    return {"type": "markdown", "text": text, "width": 12}


DASHBOARDS = (
    Dashboard(
        "The platform today",
        "What there is, what waits, what failed.",
        (
            figure("records", "Records"),
            figure("datasets", "Data sets"),
            figure("models_in_production", "Models in production"),
            figure("data_quality_score", "Mean quality of the data sets"),
            figure("jobs_queued", "Jobs that wait"),
            figure("jobs_failed", "Jobs that failed today"),
            figure("rejects_open", "Open rejects"),
            figure("alerts_firing", "Alerts that fire"),
            trend("records", "Records by time"),
            newest("jobs", "Newest jobs"),
            newest("runs", "Newest runs"),
        ),
    ),
    Dashboard(
        "Penguins by species",
        "Which birds were measured where, and what tells them apart.",
        (
            bar("Birds of each species", "penguins", "species"),
            bar("Birds on each island", "penguins", "island"),
            bar("Mean body mass in grams", "penguins", "species", "body_mass_g"),
            bar("Mean bill length in mm", "penguins", "species", "bill_length_mm"),
            table("Sex was not determined", "penguins", "species", "island", "year",
                  where=[where("sex", "is_null")]),
            origin("model_version", "penguin_species@1"),
        ),
        needs=("penguins", "penguin_species"),
    ),
    Dashboard(
        "Wines by cultivar",
        "What differs between three cultivars of one region.",
        (
            bar("Wines of each cultivar", "wine", "cultivar", order="group"),
            bar("Mean flavanoids", "wine", "cultivar", "flavanoids", order="group"),
            bar("Mean intensity of colour", "wine", "cultivar", "color_intensity", order="group"),
            table("The strongest: more than 14 %", "wine", "alcohol", "cultivar", "proline",
                  where=[where("alcohol", "gt", 14)]),
            words("Flavanoids alone tell most wines of cultivar 3 from the others: compare "
                  "`wine_cultivar`, which learnt from all thirteen measures."),
        ),
        needs=("wine", "wine_cultivar"),
    ),
    Dashboard(
        "Weather of two cities",
        "Seattle and New York, 2012 to 2015.",
        (
            line("Mean warmest temperature of a month in °C", "weather", "published_at",
                 "temp_max", bucket="month", limit=48),
            bar("Mean rain a day in mm", "weather", "category", "precipitation"),
            bar("Kinds of weather in Seattle", "seattle_weather", "weather"),
            table("Seattle's wettest days: above 40 mm", "seattle_weather", "published_at",
                  "precipitation", "wind", where=[where("precipitation", "gt", 40)]),
            origin("model_version", "weather_kind@2"),
        ),
        needs=("weather", "seattle_weather", "weather_kind"),
    ),
    Dashboard(
        "Earthquakes of a week",
        "31 January to 7 February 2018: how many, how strong, who reported them.",
        (
            line("Earthquakes an hour", "earthquakes", "published_at", bucket="hour", limit=200),
            bar("By network", "earthquakes", "category", limit=12),
            bar("Strongest of each network", "earthquakes", "category", "magnitude",
                aggregate="max", limit=12),
            table("Magnitude 5 and more", "earthquakes", "title", "magnitude", "depth_km",
                  where=[where("magnitude", "ge", 5), where("event_type", "eq", "earthquake")]),
            bar("Reviewed or automatic in Alaska", "alaska_earthquakes", "status"),
        ),
        needs=("earthquakes", "alaska_earthquakes"),
    ),
    Dashboard(
        "Birds that met aircraft",
        "When it happened, what it damaged, what it cost.",
        (
            line("Strikes a month", "bird_strikes", "published_at", bucket="month", limit=200),
            bar("In which phase of the flight", "bird_strikes", "category"),
            bar("Which damage", "bird_strikes", "damage"),
            bar("Costs by size of the animal in dollars", "bird_strikes", "wildlife_size",
                "cost_total", aggregate="sum"),
            table("Above a million dollars", "bird_strikes", "title", "aircraft", "cost_total",
                  where=[where("cost_total", "gt", 1_000_000)]),
            bar("Airports with most strikes", "bird_strikes", "airport", limit=10),
        ),
        needs=("bird_strikes",),
    ),
    Dashboard(
        "Carbon dioxide on Mauna Loa",
        "Weekly values, and the weeks without one.",
        (
            line("ppm since 1990", "co2_mauna_loa", "date", "co2_ppm", limit=700,
                 where=[where("date", "ge", "1990-01-01")]),
            bar("Mean until 1979 (version 1)", "co2_mauna_loa", "", "co2_ppm", version=1),
            bar("Mean of all weeks (version 2)", "co2_mauna_loa", "", "co2_ppm", version=2),
            table("Weeks without a value", "co2_mauna_loa", "date",
                  where=[where("co2_ppm", "is_null")]),
            origin("dataset_version", "{co2_mauna_loa}@2"),
        ),
        needs=("co2_mauna_loa",),
    ),
    Dashboard(
        "Sunspots since 1700",
        "Is there a period, and how regular is it?",
        (
            line("Sunspots of each year", "sunspots", "year", "sunspots", limit=400),
            table("Years with more than 150", "sunspots", "year", "sunspots",
                  where=[where("sunspots", "gt", 150)]),
            table("Years with none", "sunspots", "year",
                  where=[where("sunspots", "eq", 0)]),
            words("Between two maxima lie about eleven years, but never exactly."),
        ),
        needs=("sunspots",),
    ),
    Dashboard(
        "Work in the United States",
        "Employees by industry, 2006 to 2015, in thousands.",
        (
            line("All employees", "us_employment", "month", "nonfarm", limit=120),
            line("Construction alone", "us_employment", "month", "construction",
                 limit=120),
            bar("Gained or lost, by year", "us_employment", "month", "nonfarm_change",
                aggregate="sum", bucket="year", order="group"),
            table("Months that lost more than 600,000", "us_employment", "month",
                  "nonfarm_change", where=[where("nonfarm_change", "lt", -600)]),
        ),
        needs=("us_employment",),
    ),
    Dashboard(
        "How people travel",
        "Between Sydney, Canberra and Melbourne: what they chose, and what it took.",
        (
            bar("Chosen", "travel_modes", "mode", where=[where("chosen", "eq", True)]),
            bar("Minutes under way, as offered", "travel_modes", "mode", "travel_minutes"),
            bar("Dollars, as offered", "travel_modes", "mode", "cost_dollars"),
            bar("Income of those who chose, in 1,000 dollars", "travel_modes", "mode",
                "household_income", where=[where("chosen", "eq", True)]),
            origin("model_version", "travel_choice@1"),
        ),
        needs=("travel_modes", "travel_choice"),
    ),
    Dashboard(
        "Voters of 1996",
        "Who wanted Clinton, who Dole.",
        (
            bar("Votes", "voters_1996", "vote"),
            bar("Votes for Clinton by party, 0 strongly Democrat", "voters_1996",
                "party_identification", order="group", where=[where("vote", "eq", "Clinton")]),
            bar("Mean age", "voters_1996", "vote", "age"),
            bar("Mean days of TV news a week", "voters_1996", "vote", "tv_news_days"),
            words("Respondents of one survey, not weighted: no estimate of the election."),
        ),
        needs=("voters_1996",),
    ),
    Dashboard(
        "Drowsy drivers, simulated",
        "Devices that do not exist, and a detector that learnt from made-up minutes.",
        (
            figure("telemetry_events", "Events"),
            figure("devices", "Devices"),
            figure("drowsiness_rate", "Drowsy, of the last five minutes"),
            figure("telemetry_events_last_hour", "Events of the last hour"),
            newest("events", "Newest events"),
            bar("Made-up minutes", "drowsiness (synthetic)", "state"),
            bar("Mean PERCLOS", "drowsiness (synthetic)", "state", "perclos"),
            bar("Mean longest closure in ms", "drowsiness (synthetic)", "state",
                "longest_closure_ms"),
            origin("model_version", "drowsiness_detector@1"),
            words("Simulated: no claim of safety. For more events: `astralytiq telemetry "
                  "simulate --devices 3 --rate 1 --seconds 60`."),
        ),
        needs=("drowsiness_detector",),
    ),
)  # fmt: skip
