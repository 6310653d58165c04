BEGIN TRANSACTION;
CREATE TABLE item(
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    filename TEXT NOT NULL,
    path BLOB NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    metadata TEXT NOT NULL,
    captured_at TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    not_before REAL NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    outcome_unknown INTEGER NOT NULL DEFAULT 0,
    reencoded INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    origin TEXT,
    beside BLOB,
    boot_id TEXT,
    boot_s REAL,
    time_trusted INTEGER
);
INSERT INTO "item" VALUES(2,'cam-1','cam-1-20260314T081502.417Z-2.jpg',X'6974656D732F3030303030302F63616D2D312D3230323630333134543038313530322E3431375A2D322E6A7067','image/jpeg',6,'16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4','{"source": "cam-1"}','2026-03-14T08:15:02.417Z','waiting',1000000000.0,1,0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "item" VALUES(3,'cam-1','cam-1-20260314T081502.417Z-3.jpg',X'6974656D732F3030303030302F63616D2D312D3230323630333134543038313530322E3431375A2D332E6A7067','image/jpeg',5,'b1e99324505bd32da0e1f85dcf5e19a09db0481e8a15f62c41eb320304a8e927','{"source": "cam-1"}','2026-03-14T08:15:02.417Z','waiting',0.0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE known(
    source TEXT NOT NULL,
    path BLOB NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (source, path)
) WITHOUT ROWID;
INSERT INTO "known" VALUES('door',X'612E6A7067',7,5,1,'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff');
CREATE TABLE leftover(item_id INTEGER PRIMARY KEY, path BLOB NOT NULL, origin TEXT, beside BLOB);
INSERT INTO "leftover" VALUES(1,X'6974656D732F3030303030302F63616D2D312D3230323630333134543038313530322E3431375A2D312E6A7067',NULL,NULL);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('boot_id','00000000-0000-4000-8000-000000000000');
INSERT INTO "meta" VALUES('next_sequence','257');
CREATE TABLE progress(
    source TEXT NOT NULL,
    path TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    next_frame INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    PRIMARY KEY (source, path)
) WITHOUT ROWID;
CREATE TABLE receipt(
    item_id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    filename TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    result TEXT NOT NULL,
    image_id TEXT,
    batch_id TEXT,
    storage_key TEXT,
    attempts INTEGER NOT NULL,
    outcome_unknown INTEGER NOT NULL,
    captured_at TEXT NOT NULL,
    delivered_at TEXT NOT NULL,
    origin BLOB
);
INSERT INTO "receipt" VALUES(1,'cam-1','cam-1-20260314T081502.417Z-1.jpg',5,'a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e','delivered','img-1','batch-1','s3://key',1,0,'2026-03-14T08:15:02.417Z','2026-03-14T08:15:02.417Z',NULL);
CREATE TABLE tally(
    source TEXT NOT NULL,
    what TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    items INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (source, what, reason)
) WITHOUT ROWID;
INSERT INTO "tally" VALUES('cam-1','captured','',3,16);
INSERT INTO "tally" VALUES('cam-1','delivered','',1,5);
CREATE INDEX item_due ON item(not_before, id) WHERE state = 'waiting';
CREATE INDEX item_quarantined ON item(id) WHERE state = 'quarantined';
CREATE INDEX item_mistimed ON item(boot_id, id) WHERE time_trusted = 0 AND boot_s IS NOT NULL;
CREATE INDEX known_inode ON known(inode);
COMMIT;
PRAGMA user_version = 2;
