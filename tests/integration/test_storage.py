"""Datasets whose files are missing or damaged on local storage, WebDAV or S3 are reported and never changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dcache
import pytest
import s3
from conftest import Bench
from inputs import make_export
from webdav import serving

from reconciler.playground.world import IN2P3, World
from reconciler.systems import storage

CATALOG = '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'


def catalog(bench: Bench, prefix: str, verify: str) -> Path:
    rows = "".join(f"{pixel}.fits,{pixel}\n" for pixel in range(131072, 131080))
    (bench.folder / "t.csv").write_text("file,htm7\n" + rows)
    table = f'[file_ingest.refcat]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "{prefix}"\nverify = "{verify}"\n'
    return bench.state(CATALOG + table)


def stars(folder: Path) -> Path:
    (folder / "cat").mkdir()
    for pixel in range(131072, 131080):
        (folder / "cat" / f"{pixel}.fits").write_text("stars")
    return folder / "cat"


def break_some(folder: Path) -> None:
    (folder / "131073.fits").unlink()
    (folder / "131075.fits").write_text("sta")


@pytest.fixture
def webdav(empty_bench: Bench) -> Iterator[str]:
    with serving(empty_bench.folder) as url:
        yield url


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an S3 server that has a bucket with the files."""
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-s3-secret")
    with s3.serving() as url:
        monkeypatch.setenv("S3_ENDPOINT_URL", url)
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        client.create_bucket(Bucket="stars")
        for pixel in range(131072, 131080):
            client.put_object(Bucket="stars", Key=f"cat/{pixel}.fits", Body=b"stars")
        yield client


def check_broken_folder(bench: Bench, folder: Path, prefix: str) -> None:
    check_broken_files(bench, prefix, lambda: break_some(folder))
    assert not (folder / "131073.fits").exists()


def check_broken_files(bench: Bench, prefix: str, break_them: Callable[[], object]) -> None:
    state = catalog(bench, prefix, "all")
    bench.apply_and_check(state)
    break_them()
    output = bench.diff(state, 2)
    assert "2 of 8 files checked are missing from storage or differ from their recorded size" in output
    assert "problem=missing" in output
    assert "problem=3 bytes, 5 recorded" in output
    assert "changed 0" in bench.apply(state, 2)
    bench.diff(catalog(bench, prefix, "none"), 0)


def test_a_missing_or_truncated_file_is_reported_and_not_changed(bench: Bench) -> None:
    folder = stars(bench.folder)
    check_broken_folder(bench, folder, str(folder))


def test_a_missing_or_truncated_file_on_webdav_is_reported_and_not_changed(sqlite_bench: Bench, webdav: str) -> None:
    check_broken_folder(sqlite_bench, stars(sqlite_bench.folder), f"{webdav}/cat")


def test_a_missing_or_truncated_object_on_s3_is_reported_and_not_changed(sqlite_bench: Bench, bucket: Any) -> None:
    def break_them() -> None:
        bucket.delete_object(Bucket="stars", Key="cat/131073.fits")
        bucket.put_object(Bucket="stars", Key="cat/131075.fits", Body=b"sta")

    check_broken_files(sqlite_bench, "s3://stars/cat", break_them)


def test_an_unreachable_s3_server_is_reported_and_its_objects_are_not_missing(
    sqlite_bench: Bench, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = catalog(sqlite_bench, "s3://stars/cat", "all")
    sqlite_bench.apply_and_check(state)
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")
    output = sqlite_bench.diff(state, 1)
    assert "the storage server http://127.0.0.1:9 can't be reached" in output
    assert "problem=missing" not in output
    assert "hush-s3-secret" not in output


def test_an_s3_server_that_denies_access_is_reported_and_its_objects_are_not_missing(
    sqlite_bench: Bench, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = catalog(sqlite_bench, "s3://stars/cat", "all")
    sqlite_bench.apply_and_check(state)
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)  # from now on, no credentials are accepted
    output = sqlite_bench.diff(state, 1)
    assert "could not be read: the storage answered 403 Forbidden to HEAD" in output
    assert "may this user read and write in that bucket?" in output
    assert "problem=missing" not in output
    assert "hush-s3-secret" not in output


def test_a_sample_checks_the_given_number_of_files(sqlite_bench: Bench) -> None:
    folder = stars(sqlite_bench.folder)
    state = catalog(sqlite_bench, str(folder), "sample:3")
    sqlite_bench.apply_and_check(state)
    for path in folder.iterdir():
        path.unlink()
    assert "3 of 3 files checked" in sqlite_bench.diff(state, 2)


def test_a_lost_file_that_a_sample_found_is_reported_until_it_is_back(sqlite_bench: Bench) -> None:
    folder = stars(sqlite_bench.folder)
    state = catalog(sqlite_bench, str(folder), "sample:1")
    sqlite_bench.apply_and_check(state)
    lost = sorted(folder.iterdir())[0]
    content = lost.read_bytes()
    lost.unlink()
    assert any("1 of 1 files checked" in sqlite_bench.run("diff", state).output for _ in range(200))
    for _ in range(5):
        assert "1 of 1 files checked" in sqlite_bench.diff(state, 2)
    lost.write_bytes(content)
    for _ in range(5):
        sqlite_bench.diff(state, 0)


def test_files_are_checked_by_several_workers(sqlite_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FILES_PER_CHECK", 3)
    folder = stars(sqlite_bench.folder)
    state = catalog(sqlite_bench, str(folder), "all")
    sqlite_bench.apply_and_check(state)
    break_some(folder)
    assert "2 of 8 files checked" in sqlite_bench.diff(state, 2, "--jobs", "2")


def test_an_unreachable_webdav_server_is_reported_and_its_files_are_not_missing(sqlite_bench: Bench, webdav: str) -> None:
    stars(sqlite_bench.folder)
    state = catalog(sqlite_bench, f"{webdav}/cat", "all")
    sqlite_bench.apply_and_check(state)
    port = webdav.rpartition(":")[2]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        words = entry.read_bytes().split(b"\0")
        if port.encode() in words:
            os.kill(int(entry.parent.name), 9)
    output = sqlite_bench.diff(state, 1)
    assert "problem=missing" not in output
    assert "could not be checked" in output
    assert f"the storage server 127.0.0.1:{port} can't be reached" in output


def test_a_webdav_server_that_denies_access_is_reported_without_its_html_page(sqlite_bench: Bench) -> None:
    stars(sqlite_bench.folder)
    link = sqlite_bench.folder / "link"
    link.symlink_to(sqlite_bench.folder)  # this server does not follow links
    with serving(link) as url:
        output = sqlite_bench.apply(catalog(sqlite_bench, f"{url}/cat", "none"), 1)
    assert "the storage answered 403 Forbidden" in output
    assert "<html>" not in output


def test_files_of_imported_datasets_are_checked(comcam: Bench) -> None:
    export = make_export(comcam.folder / "export")
    text = f'[import.x]\nexport_file = "{export}/export.yaml"\nroot = "{export}/files"\nverify = "all"\n'
    state = comcam.state(text)
    comcam.apply_and_check(state)
    (export / "files" / "bias_3.fits").unlink()
    assert "1 of 6 files checked" in comcam.diff(state, 2)


def deliver(client: Any, world: World, scope: str) -> Path:
    """Register files with their checksums at this facility, and return their folder."""
    import zlib

    folder = world.storage(IN2P3) / scope
    folder.mkdir(parents=True)
    cat = stars(folder)
    checksum = f"{zlib.adler32(b'stars'):08x}"
    files = [{"scope": scope, "name": f"cat/{path.name}", "bytes": 5, "adler32": checksum} for path in cat.iterdir()]
    client.add_dataset(scope, "d")
    client.add_replicas(IN2P3, files)
    client.add_files_to_dataset(scope, "d", files)
    client.close(scope, "d")
    return cat


def delivered_catalog(bench: Bench, prefix: str, scope: str, verify: str) -> Path:
    text = (
        catalog(bench, prefix, verify).read_text().replace("[dataset_type", '[rucio]\nrse = "IN2P3_RAW_DISK"\n[dataset_type', 1)
    )
    (bench.folder / "test.toml").write_text(f'{text}delivered_by = ["{scope}:d"]\n')
    return bench.folder / "test.toml"


@pytest.mark.parametrize("protocol", ["file", "dav"])
def test_another_file_of_the_same_size_is_found_by_its_checksum(
    sqlite_bench: Bench, client: Any, world: World, fresh_scope: str, protocol: str
) -> None:
    from lsst.resources import ResourcePath

    sqlite_bench.environment |= world.environment()
    folder = deliver(client, world, fresh_scope)
    with dcache.serving(folder.parent.parent) as url:
        prefix = str(folder) if protocol == "file" else f"{url}/{fresh_scope}/cat"
        state = delivered_catalog(sqlite_bench, prefix, fresh_scope, "checksum:8")
        if protocol == "dav" and not hasattr(ResourcePath, "get_info"):  # an older lsst-resources, which can't ask for checksums
            assert "the checksums of 8 of 8 files can't be compared; use `all` or `sample:N`" in sqlite_bench.apply(state, 2)
            return
        sqlite_bench.apply_and_check(state)
        (folder / "131075.fits").write_text("moons")
        output = sqlite_bench.diff(state, 2)
        assert "1 of 8 files checked are missing from storage or differ from their recorded size or checksum" in output
        assert "htm7=131075" in output
        assert "problem=checksum 067e022d, 068e022e recorded" in output
        sqlite_bench.diff(delivered_catalog(sqlite_bench, prefix, fresh_scope, "all"), 0)


def test_files_whose_checksum_cannot_be_compared_are_reported(
    sqlite_bench: Bench, client: Any, world: World, fresh_scope: str, webdav: str, template: Path
) -> None:
    sqlite_bench.environment |= world.environment()
    folder = deliver(client, world, fresh_scope)
    stars(sqlite_bench.folder)
    state = catalog(sqlite_bench, str(folder), "checksum:2")
    sqlite_bench.apply(state, 2)
    output = sqlite_bench.diff(state, 2)
    assert "the checksums of 2 of 2 files can't be compared" in output
    assert "problem=no checksum recorded in Rucio" in output
    assert "missing from storage" not in output
    shutil.rmtree(sqlite_bench.repo)
    shutil.copytree(template, sqlite_bench.repo)
    state = delivered_catalog(sqlite_bench, f"{webdav}/cat", fresh_scope, "checksum:2")
    sqlite_bench.apply(state, 2)
    assert "problem=the storage returns no Adler-32 checksum" in sqlite_bench.diff(state, 2)
