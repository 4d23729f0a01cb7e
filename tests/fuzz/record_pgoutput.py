#!/usr/bin/env python3
"""Records seeds for the targets that read what a PostgreSQL server sends.

  record_pgoutput.py CONNINFO [CORPUS]

CONNINFO leads to a superuser of a throw-away server with wal_level = logical, in a database that
may be filled. Needs psql. CORPUS is the folder of the corpora (default: the one beside this file);
existing seeds of the same names are written over.
"""

import struct
import subprocess
import sys
from pathlib import Path

SETUP = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE wide (id int PRIMARY KEY, b boolean, s smallint, l bigint, r real, d double precision,
  n numeric(10, 2), free numeric, t text, v varchar(20), c char(3), y bytea, da date, ti time,
  ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, m mood, p positive, a int[]);
CREATE TABLE by_index (a int NOT NULL, b text NOT NULL, c int);
CREATE UNIQUE INDEX by_index_b ON by_index (b);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_b;
CREATE TABLE whole (a int, b text);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE nothing (a int);
ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE parent (id int PRIMARY KEY, x text) PARTITION BY RANGE (id);
CREATE TABLE parent_1 PARTITION OF parent FOR VALUES FROM (0) TO (100);
CREATE TABLE "Odd.Näme" ("a b" int PRIMARY KEY, "q""q" text);
CREATE TABLE long_key (id text PRIMARY KEY, n int);
ALTER TABLE long_key ALTER id SET STORAGE EXTERNAL;
CREATE TABLE filler (id int PRIMARY KEY, t text);
CREATE PUBLICATION pub FOR TABLE wide, by_index, whole, parent, "Odd.Näme", long_key, filler
  WITH (publish_via_partition_root);
CREATE PUBLICATION appended FOR TABLE nothing WITH (publish = 'insert');
"""

LONG = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 80) i)"

# One file each: what happens, in one or several transactions.
STORIES = {
    "every-type": """
      INSERT INTO wide VALUES (1, true, -1, 9000000000, 0.1, 1e300, 12.30, 1e-20, 'text', 'v', 'c',
        '\\x00ff', '2024-02-29', '23:59:59.999999', '0044-03-15 12:00 BC', '2024-01-01 00:00+02',
        '550e8400-e29b-41d4-a716-446655440000', '{"a": 1}', '{"a": [1, null]}', 'good', 7, '{1,2}');
      INSERT INTO wide (id) VALUES (2);
      INSERT INTO wide VALUES (3, false, 32767, -1, 'NaN', '-Infinity', -0.05, 'NaN', '', '', '',
        '', 'infinity', '24:00', '-infinity', 'infinity',
        '00000000-0000-0000-0000-000000000000', '[]', '{}', 'bad', 1, '{}');""",
    "key-default": """
      INSERT INTO wide (id, t) VALUES (10, 'a');
      UPDATE wide SET t = 'b' WHERE id = 10; UPDATE wide SET id = 11 WHERE id = 10;
      DELETE FROM wide WHERE id = 11;""",
    "key-index": """
      INSERT INTO by_index VALUES (1, 'x', 2); UPDATE by_index SET c = 3;
      UPDATE by_index SET b = 'y'; DELETE FROM by_index;""",
    "key-full": """
      INSERT INTO whole VALUES (1, 'x'), (1, NULL); UPDATE whole SET b = 'z'; DELETE FROM whole;""",
    "key-nothing": "INSERT INTO nothing VALUES (1), (NULL);",
    "toast-unchanged": f"""
      INSERT INTO wide (id, t) VALUES (20, {LONG}); UPDATE wide SET s = 1 WHERE id = 20;
      UPDATE wide SET id = 21 WHERE id = 20;""",
    "toast-full": f"""
      ALTER TABLE whole ALTER b SET STORAGE EXTERNAL; INSERT INTO whole VALUES (5, {LONG});
      UPDATE whole SET a = 6; DELETE FROM whole;""",
    "toast-key": f"""
      INSERT INTO long_key VALUES (left({LONG}, 2400), 1); UPDATE long_key SET n = 2;
      DELETE FROM long_key;""",
    "truncate": "TRUNCATE wide, by_index; TRUNCATE whole RESTART IDENTITY CASCADE;",
    "partitioned": "INSERT INTO parent VALUES (1, 'p'); UPDATE parent SET x = 'q'; TRUNCATE parent;",
    "odd-names": """INSERT INTO "Odd.Näme" VALUES (1, 'ü'); DELETE FROM "Odd.Näme";""",
    "relation-changes": """
      INSERT INTO filler VALUES (1, 'a'); ALTER TABLE filler ADD COLUMN more int DEFAULT 5;
      UPDATE filler SET t = 'b'; ALTER TABLE filler DROP COLUMN t; INSERT INTO filler VALUES (2, 6);
      ALTER TABLE filler ADD COLUMN t text; ALTER TABLE filler REPLICA IDENTITY FULL;
      UPDATE filler SET more = 7; DELETE FROM filler;""",
    "messages": """
      SELECT pg_logical_emit_message(false, 'prefix', 'outside');
      BEGIN; SELECT pg_logical_emit_message(true, 'p', 'inside'); INSERT INTO nothing VALUES (3);
      COMMIT;""",
    "origin": """
      SELECT pg_replication_origin_create('elsewhere');
      SELECT pg_replication_origin_session_setup('elsewhere');
      BEGIN; SELECT pg_replication_origin_xact_setup('0/ABCDEF', now());
      INSERT INTO nothing VALUES (4); COMMIT; SELECT pg_replication_origin_session_reset();
      SELECT pg_replication_origin_drop('elsewhere');""",
    "subtransactions": """
      BEGIN; INSERT INTO nothing VALUES (5); SAVEPOINT s; INSERT INTO nothing VALUES (6);
      ROLLBACK TO s; INSERT INTO nothing VALUES (7); COMMIT;""",
}

# In-progress transactions, for protocol versions from 2 on: more than logical_decoding_work_mem.
STREAMED = """
  BEGIN; INSERT INTO filler (id, t) SELECT i, repeat('x', 100) FROM generate_series(1, 700) i;
  SAVEPOINT s; INSERT INTO filler (id, t) SELECT i, 'y' FROM generate_series(1001, 1900) i;
  ROLLBACK TO s; COMMIT;"""
PREPARED = "BEGIN; INSERT INTO nothing VALUES (8); PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p';"
STREAM_MESSAGES_MAX = 40  # of each end: the middle is all alike

COPIES = {
    "copy-every-type": "SELECT id, b, s, l, r, d, n, free, t, v, c, y, da, ti, ts FROM wide",
    "copy-text": "SELECT format('%s', id), format('%s', u), format('%s', a) FROM wide",
    "copy-nulls": "SELECT NULL::int, NULL::text FROM generate_series(1, 3)",
    "copy-empty": "SELECT 1, 2 WHERE false",
}
COPY_COLUMNS = {"copy-every-type": 15, "copy-text": 3, "copy-nulls": 2, "copy-empty": 2}


class Server:
    def __init__(self, conninfo):
        self.conninfo = conninfo

    def run(self, sql):
        return subprocess.run(
            ["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-d", self.conninfo],
            input=sql.encode(), stdout=subprocess.PIPE, check=True,
        ).stdout

    def messages(self, slot, options):
        """What the slot has collected, without consuming it."""
        rows = self.run(
            f"SELECT encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('{slot}', NULL, "
            f"NULL, 'publication_names', 'pub,appended', {options})"
        )
        return [bytes.fromhex(row.decode()) for row in rows.split()]


def framed(messages):
    """As the targets take them; what is longer than two bytes can say is left out."""
    return b"".join(struct.pack(">H", len(m)) + m for m in messages if len(m) < 65536)


def ends_of(messages):
    if len(messages) <= 2 * STREAM_MESSAGES_MAX:
        return messages
    return messages[:STREAM_MESSAGES_MAX] + messages[-STREAM_MESSAGES_MAX:]


def record_streams(server, corpus):
    def write(name, messages):
        assert messages, name
        (corpus / "pgoutput" / name).write_bytes(framed(messages))

    for name, sql in STORIES.items():
        server.run("SELECT pg_create_logical_replication_slot('seed', 'pgoutput')")
        server.run(sql)
        write(f"v1-{name}", server.messages("seed", "'proto_version', '1', 'messages', 'true'"))
        if name in ("every-type", "key-default", "key-full"):
            write(f"v1-binary-{name}",
                  server.messages("seed", "'proto_version', '1', 'binary', 'true'"))
        server.run("SELECT pg_drop_replication_slot('seed')")

    two_phase = "SELECT pg_create_logical_replication_slot('seed', 'pgoutput', false, true)"
    for name, sql in {"streamed": STREAMED, "prepared": PREPARED}.items():
        server.run(two_phase)
        server.run(sql)
        known = []
        for version in (2, 3, 4):
            options = f"'proto_version', '{version}', 'streaming', 'on'"
            try:
                messages = server.messages(
                    "seed", options + (", 'two_phase', 'on'" if version > 2 else ""))
            except subprocess.CalledProcessError:
                print(f"protocol version {version}: the server does not know it")
                continue
            if messages not in known:
                write(f"v{version}-{name}", ends_of(messages))
            known.append(messages)
        server.run("SELECT pg_drop_replication_slot('seed')")


def record_copies(server, corpus):
    server.run("TRUNCATE wide;" + STORIES["every-type"])
    for name, query in COPIES.items():
        data = server.run(f"COPY ({query}) TO STDOUT (FORMAT binary)")
        (corpus / "copy_reader" / name).write_bytes(
            bytes([COPY_COLUMNS[name]]) + framed(split_copy(data)))


def split_copy(data):
    """COPY's file, cut into the messages in which the server sends it."""
    assert data.startswith(b"PGCOPY\n\xff\r\n\0")
    messages = []
    begin, at = 0, 19
    while at < len(data):
        count = struct.unpack_from(">h", data, at)[0]
        at += 2
        for _ in range(max(count, 0)):
            size = struct.unpack_from(">i", data, at)[0]
            at += 4 + max(size, 0)
        messages.append(data[begin:at])
        begin = at
    return messages


def main(arguments):
    server = Server(arguments[0])
    corpus = Path(arguments[1]) if len(arguments) > 1 else Path(__file__).resolve().parent / "corpus"
    server.run(SETUP)
    record_streams(server, corpus)
    record_copies(server, corpus)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1:])
