-- Vectors of texts by one encoder. A text has at most one in a file; of several files the newest counts.

create table schema_version (
    version integer not null
);

create table embeddings (
    text_sha256 varchar not null,
    encoder     varchar not null,
    vector      float[] not null
);
