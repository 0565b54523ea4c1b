"""Names that neither the state nor the repository knows are reported with what was probably meant."""

from __future__ import annotations

import re

import yaml
from conftest import Bench

from reconciler.files.table_check import IMPLIED_DIMENSIONS, INTEGER_DIMENSIONS, REQUIRED_DIMENSIONS

TYPE = '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'


def test_an_unknown_dimension_and_an_unknown_storage_class_are_reported_with_a_suggestion(bench: Bench) -> None:
    wrong = '[dataset_type.a]\nstorage_class = "SimpleCatalgo"\ndimensions = ["htm7"]\n'
    output = bench.diff(bench.state(wrong + '[dataset_type.b]\nstorage_class = "Exposure"\ndimensions = ["exposures"]\n'), 1)
    assert 'test.toml:5: dataset_type.a: unknown storage class "SimpleCatalgo"; did you mean "SimpleCatalog"?' in output
    assert 'test.toml:8: dataset_type.b: unknown dimension "exposures"; did you mean "exposure"?' in output


def test_an_unknown_dimension_of_a_repository_that_does_not_exist_yet_fails_with_its_name(empty_bench: Bench) -> None:
    state = empty_bench.state('[dataset_type.b]\nstorage_class = "Exposure"\ndimensions = ["exposures"]\n')
    assert 'unknown dimension "exposures"; did you mean "exposure"?' in empty_bench.apply(state, 1)


def test_an_unknown_dataset_type_of_an_expectation_is_reported_even_where_none_is_expected(bench: Bench) -> None:
    bench.apply(bench.state(TYPE + '[collection.run]\ntype = "RUN"\n'))
    expect = '[expect.{}]\ndataset_type = "{}"\ncollections = ["run"]\ncount = {}\n'
    tables = [expect.format(*words) for words in (("a", "cta", 0), ("b", "cat", 0), ("c", "cta", 1))]
    output = bench.diff(bench.state("".join(tables)), 2)
    assert output.count('dataset type "cta" is neither in this file nor in the repository; did you mean "cat"?') == 2
    assert "expect.b" not in output


def test_an_unknown_dataset_type_of_a_tagged_collection_is_reported(bench: Bench) -> None:
    bench.apply(bench.state(TYPE + '[collection.run]\ntype = "RUN"\n'))
    output = bench.diff(bench.state('[tagged.t]\ndataset_type = "cta"\nfrom = ["run"]\n'), 2)
    assert 'dataset type "cta" is neither in this file nor in the repository; did you mean "cat"?' in output


def test_a_collection_that_exists_live_is_suggested_for_one_that_does_not(bench: Bench) -> None:
    bench.butler.collections.register("HSC/raw/all")
    output = bench.diff(bench.state('[chain.c]\nchildren = ["HSC/raw/al"]\n'), 1)
    assert 'which no table provides and which doesn\'t exist; did you mean "HSC/raw/all"?' in output


def test_a_default_formatter_that_cannot_be_imported_is_known_before_anything_is_done(sqlite_bench: Bench) -> None:
    path = sqlite_bench.repo / "butler.yaml"
    config = yaml.safe_load(path.read_text())
    config["datastore"].setdefault("formatters", {})["SimpleCatalog"] = "lsst.nosuch.Formatter"
    path.write_text(yaml.safe_dump(config))
    (sqlite_bench.folder / "t.csv").write_text("filename,htm7\nx.fits,131072\n")
    table = '[file_ingest.refs]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "/data"\n'
    for type_table in (TYPE, ""):  # as it is to be defined, and as it is
        output = sqlite_bench.diff(sqlite_bench.state(type_table + table), 2)
        assert "needs the Science Pipelines, set up in this shell, for the default formatter of cat" in output
        sqlite_bench.apply(sqlite_bench.state(TYPE))
    named = table + 'formatter = "lsst.obs.base.formatters.fitsGeneric.FitsGenericFormatter"\n'
    assert "Science Pipelines" not in sqlite_bench.diff(sqlite_bench.state(named), 2)


def test_the_dimensions_that_tables_are_checked_for_are_those_of_the_installed_butler() -> None:
    from lsst.daf.butler import DimensionUniverse

    for dimension in DimensionUniverse().dimensions:
        pixels = re.fullmatch(r"(htm|healpix)\d+", dimension.name)
        if not dimension.name.startswith("ssp_"):  # of solar system processing, which no table of files has
            is_number = dimension.primaryKey.getPythonType() is int
            assert (dimension.name in INTEGER_DIMENSIONS or pixels is not None) is is_number, dimension.name
            assert set(REQUIRED_DIMENSIONS.get(dimension.name, ())) == dimension.required.names - {dimension.name}
            assert dimension.implied.names <= set(IMPLIED_DIMENSIONS.get(dimension.name, ())), dimension.name
