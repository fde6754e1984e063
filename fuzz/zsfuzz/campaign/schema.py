# SPDX-License-Identifier: GPL-2.0-only
"""The tables of a campaign's database.

`at` and `seconds` are seconds of campaign time: what all runs took together, by monotonic clocks.
`wall` is the time of day in seconds since 1970, to be shown only: clocks jump.
"""

VERSION = 1

TABLES = """
CREATE TABLE IF NOT EXISTS runs (        -- one for each `campaign start`
    id INTEGER PRIMARY KEY,
    wall REAL NOT NULL,                  -- when it was started
    at REAL NOT NULL,                    -- campaign time when it was started
    seconds REAL NOT NULL DEFAULT 0,     -- how long it has run, so far
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    options TEXT NOT NULL,               -- JSON
    ended TEXT                           -- stopped, time, failed or killed; NULL while it runs
);
CREATE TABLE IF NOT EXISTS kernels (     -- kernels that were run, and totals of their sites
    key TEXT PRIMARY KEY,                -- of the build, see `zsfuzz kernel list`
    design TEXT NOT NULL,
    flavour TEXT NOT NULL,
    variant TEXT NOT NULL,               -- '' for the default
    version TEXT NOT NULL,
    sites_total INTEGER NOT NULL,
    lines_total INTEGER NOT NULL,
    branches_total INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS workers (     -- one row for each process that was started
    id INTEGER PRIMARY KEY,              -- its scratch folder is work/<id>
    run INTEGER NOT NULL REFERENCES runs,
    slot INTEGER NOT NULL,               -- its place among those that run at the same time
    kernel TEXT NOT NULL REFERENCES kernels,
    faults TEXT NOT NULL,                -- fault injection: usual or many
    place TEXT NOT NULL,                 -- host, or address of the Dask worker
    pid INTEGER,
    birth TEXT,                          -- with pid: names a process for good
    at REAL NOT NULL,                    -- campaign time when it was started
    seconds REAL NOT NULL DEFAULT 0,     -- how long it ran programs
    programs INTEGER NOT NULL DEFAULT 0,
    operations INTEGER NOT NULL DEFAULT 0,
    counters TEXT NOT NULL DEFAULT '{}', -- JSON: all counters of zsfuzz.stats
    ended TEXT                           -- why it ended; NULL while it runs
);
CREATE INDEX IF NOT EXISTS workers_ended ON workers (ended);
CREATE TABLE IF NOT EXISTS hits (        -- how often each coverage site was reached
    kernel TEXT NOT NULL REFERENCES kernels,
    worker INTEGER NOT NULL,             -- 0: all workers that have ended
    counts TEXT NOT NULL,                -- JSON: one number for each site of layout.json, in order
    PRIMARY KEY (kernel, worker)
);
CREATE TABLE IF NOT EXISTS coverage (    -- a row whenever a kernel's coverage has grown
    at REAL NOT NULL,
    wall REAL NOT NULL,
    kernel TEXT NOT NULL REFERENCES kernels,
    sites INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    branches INTEGER NOT NULL            -- directions of conditional jumps
);
CREATE INDEX IF NOT EXISTS coverage_of ON coverage (kernel, at);
CREATE TABLE IF NOT EXISTS timeline (    -- a row every ten seconds
    at REAL PRIMARY KEY,
    wall REAL NOT NULL,
    programs INTEGER NOT NULL,           -- totals since the campaign began
    operations INTEGER NOT NULL,
    corpus INTEGER NOT NULL,
    findings INTEGER NOT NULL,
    workers INTEGER NOT NULL             -- that run now
);
CREATE TABLE IF NOT EXISTS findings (
    design TEXT NOT NULL,
    id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    title TEXT NOT NULL,
    path TEXT NOT NULL,                  -- folder, relative to the campaign's directory
    at REAL NOT NULL,                    -- when it was first seen
    wall REAL NOT NULL,
    seen INTEGER NOT NULL,               -- how often, by all workers
    PRIMARY KEY (design, id)
);
CREATE TABLE IF NOT EXISTS events (      -- what happened to workers, disk and campaign
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    wall REAL NOT NULL,
    kind TEXT NOT NULL,                  -- start, end, died, stalled, finding, corpus, disk, ...
    worker INTEGER,
    text TEXT NOT NULL
);
"""
