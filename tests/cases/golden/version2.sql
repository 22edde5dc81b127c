-- A case as Leukoscope wrote it with version 2 of the tables: an event of each kind that there was then, but carry.
BEGIN TRANSACTION;
CREATE TABLE cells (
    key INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    id INTEGER NOT NULL CHECK (id > 0),
    block INTEGER NOT NULL,
    x REAL NOT NULL,
    y REAL NOT NULL,
    area_um2 REAL,
    nucleus_area_um2 REAL,
    score REAL,
    label TEXT NOT NULL,
    probabilities BLOB NOT NULL,
    UNIQUE (run, id)
);
INSERT INTO "cells" VALUES(1,1,1,0,100.0,100.0,25.0,NULL,0.9,'blast',X'9A9999999999E93F9A9999999999B93F9A9999999999B93F');
INSERT INTO "cells" VALUES(2,1,2,0,200.0,100.0,25.0,NULL,0.9,'lymphocyte',X'9A9999999999B93F9A9999999999E93F9A9999999999B93F');
INSERT INTO "cells" VALUES(3,1,3,0,300.0,100.0,25.0,NULL,0.9,'blast',X'9A9999999999E93F9A9999999999B93F9A9999999999B93F');
INSERT INTO "cells" VALUES(4,1,4,0,400.0,100.0,25.0,NULL,0.9,'monocyte',X'9A9999999999B93F9A9999999999B93F9A9999999999E93F');
INSERT INTO "cells" VALUES(5,1,5,-1,402.0,100.0,25.0,NULL,0.9,'monocyte',X'9A9999999999B93F9A9999999999B93F9A9999999999E93F');
CREATE TABLE classes (id TEXT PRIMARY KEY, info TEXT NOT NULL);
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (
        kind IN ('relabel', 'outline', 'undo', 'redo', 'carry', 'read', 'sample', 'sign', 'amend')
    ),
    run INTEGER NOT NULL REFERENCES runs (id),
    cells TEXT,
    label TEXT,
    reviewer TEXT,
    target INTEGER REFERENCES events (id),
    carried TEXT,
    detail TEXT NOT NULL DEFAULT '{}',
    version TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT ''
);
INSERT INTO "events" VALUES(1,'2026-03-04T05:06:01.000+00:00','relabel',1,'[2]','blast','mk',NULL,'[]','{"was":{"lymphocyte":[2]}}','0.1.0','blood m1');
INSERT INTO "events" VALUES(2,'2026-03-04T05:06:02.000+00:00','undo',1,'[]','','mk',1,'[]','{"was":{"blast":[2]},"is":{"lymphocyte":[2]}}','0.1.0','blood m1');
INSERT INTO "events" VALUES(3,'2026-03-04T05:06:03.000+00:00','relabel',1,'[1]','blast','mk',NULL,'[]','{"was":{"blast":[1]}}','0.1.0','blood m1');
INSERT INTO "events" VALUES(4,'2026-03-04T05:06:04.000+00:00','read',1,'[2]','monocyte','al',NULL,'[]','{"was":{"lymphocyte":[2]}}','0.1.0','blood m1');
INSERT INTO "events" VALUES(5,'2026-03-04T05:06:05.000+00:00','sample',1,'[2,4]','','mk',NULL,'[]','{"seed":3,"profile":{"name":"blood","denominator":"leukocytes","min_cells":200,"thresholds":[{"percent":5,"name":"MDS with increased blasts 2, blood (WHO 2022)"},{"percent":20,"name":"AML (WHO 2022)"},{"percent":25,"name":"ALL rather than lymphoma, by convention"}],"blasts":["blast"],"title":"Peripheral blood","review":"none"},"population":{"blast":2,"lymphocyte":1,"monocyte":1}}','0.1.0','blood m1');
INSERT INTO "events" VALUES(6,'2026-03-04T05:06:06.000+00:00','outline',1,'[4,5]','','mk',NULL,'[]','{"removed":[4],"added":[[5,[4],4]],"was":{"monocyte":[4]},"is":{"monocyte":[5]}}','0.1.0','blood m1');
INSERT INTO "events" VALUES(7,'2026-03-04T05:06:07.000+00:00','sign',1,'[]','','mk',NULL,'[]','{"number":1,"profile":{"name":"blood","denominator":"leukocytes","min_cells":200,"thresholds":[{"percent":5,"name":"MDS with increased blasts 2, blood (WHO 2022)"},{"percent":20,"name":"AML (WHO 2022)"},{"percent":25,"name":"ALL rather than lymphoma, by convention"}],"blasts":["blast"],"title":"Peripheral blood","review":"none"},"review":"none","amendment":0,"counts":{"blast":2,"lymphocyte":1,"monocyte":1},"denominator":4,"verdict":"blasts 50.0 % (6.8–93.2): too few cells, 4 of the 200 that blood asks for","files":{"report.html":"d42918b8ca9a8c4657c196755d672854cc4949dc2b9fc55e1ed8f83b8c7d313b","report.pdf":"85859d631aa5e45c1cde34f66a568eee8354879b3c3a5265078cc2c108afa7c5","counts.csv":"f33c23ecbbbf9f806c4d1b8c37b6fdcc072f160f5679e9fae3ec085c89a5ce05"}}','0.1.0','blood m1');
INSERT INTO "events" VALUES(8,'2026-03-04T05:06:08.000+00:00','amend',1,'[]','','mk',NULL,'[]','{"number":1,"reason":"again"}','0.1.0','blood m1');
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('created','2026-03-04T05:06:00.000+00:00');
INSERT INTO "meta" VALUES('id','9a6b568d-e209-4ef4-b361-ebd5bef462bb');
INSERT INTO "meta" VALUES('settings','{"classes": ["blast", "lymphocyte", "monocyte"], "model": "blood", "model_fingerprint": "m1", "mpp": 0.25, "mpp_source": "given", "notes": {}, "options": {}, "profile": "blood", "segmenter": "watershed", "segmenter_fingerprint": "s1"}');
INSERT INTO "meta" VALUES('shown','1');
CREATE TABLE outlines (
    key INTEGER PRIMARY KEY REFERENCES cells (key) ON DELETE CASCADE,
    cell BLOB NOT NULL,
    nucleus BLOB
);
INSERT INTO "outlines" VALUES(1,X'010300000001000000050000000000000000805B4000000000008056400000000000805B400000000000805B4000000000008056400000000000805B40000000000080564000000000008056400000000000805B400000000000805640',NULL);
INSERT INTO "outlines" VALUES(2,X'010300000001000000050000000000000000406A4000000000008056400000000000406A400000000000805B400000000000C067400000000000805B400000000000C0674000000000008056400000000000406A400000000000805640',NULL);
INSERT INTO "outlines" VALUES(3,X'010300000001000000050000000000000000607340000000000080564000000000006073400000000000805B4000000000002072400000000000805B400000000000207240000000000080564000000000006073400000000000805640',NULL);
INSERT INTO "outlines" VALUES(4,X'010300000001000000050000000000000000A0794000000000008056400000000000A079400000000000805B4000000000006078400000000000805B40000000000060784000000000008056400000000000A079400000000000805640',NULL);
INSERT INTO "outlines" VALUES(5,X'010300000001000000050000000000000000C0794000000000008056400000000000C079400000000000805B4000000000008078400000000000805B40000000000080784000000000008056400000000000C079400000000000805640',NULL);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    settings TEXT NOT NULL,
    segmenter TEXT NOT NULL,
    segmenter_fingerprint TEXT NOT NULL,
    model TEXT NOT NULL,
    model_fingerprint TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'completed', 'canceled', 'errored', 'interrupted')),
    detail TEXT NOT NULL DEFAULT '',
    blocks INTEGER NOT NULL CHECK (blocks >= 0),
    done INTEGER NOT NULL DEFAULT 0 CHECK (done BETWEEN 0 AND blocks),
    dropped INTEGER NOT NULL DEFAULT 0,
    begun TEXT NOT NULL,
    finished TEXT
);
INSERT INTO "runs" VALUES(1,'{"classes": ["blast", "lymphocyte", "monocyte"], "model": "blood", "model_fingerprint": "m1", "mpp": 0.25, "mpp_source": "given", "notes": {}, "options": {}, "profile": "blood", "segmenter": "watershed", "segmenter_fingerprint": "s1"}','watershed','s1','blood','m1','completed','',1,1,0,'2026-11-22T01:56:36.013+00:00','2026-11-22T01:56:36.069+00:00');
CREATE TABLE slide (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    info TEXT NOT NULL
);
INSERT INTO "slide" VALUES(1,'smear','f','{"name": "smear", "address": "/slides/smear.svs", "fingerprint": "f", "shapes": [[1000, 1000]], "downsamples": [1.0], "mpp": 0.25, "mpp_source": "metadata", "fields": []}');
CREATE TRIGGER events_are_kept BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_stay_as_written BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',8);
COMMIT;
PRAGMA application_id = 1279612235;
PRAGMA user_version = 2;
