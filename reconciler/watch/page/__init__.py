"""The page: a static site with an index of all states and one page for each, written by `reconcile drift --html`.

Data flows one way: `data` and `ledger_data` turn reports into what a page shows, `render` turns that into one self-contained HTML
file, and `site` writes files. Names of live systems are hostile: templates escape every value, scripts use text nodes only, and
the Content-Security-Policy of a page allows nothing but the scripts and the style that are in it, by their digests.
"""
