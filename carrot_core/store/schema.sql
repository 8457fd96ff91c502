-- The database of CARROT, version 1. Prompts and models are numbered within their benchmark, in the order
-- of their ids and names, so that a table of outcomes is read straight into its rows and columns; the view
-- `results` has the names. NULL = not recorded. Times are UTC.

create table schema_version (
    version integer not null
);

create type split as enum ('train', 'validation', 'test');

create table benchmarks (
    benchmark  integer primary key,
    name       varchar not null unique check (name <> ''),
    source     varchar not null,            -- file name or address
    licence    varchar not null,            -- 'none stated' = texts stay here; '' = not known
    sha256     varchar not null,            -- of the source file
    note       varchar not null,
    loaded_at  timestamp not null,
    split_rule varchar not null,
    split_seed bigint not null,
    data_hash  varchar not null,            -- sha256 of prompts, outcomes and prices
    warnings   varchar[] not null
);

create table models (
    benchmark           integer not null,
    model               integer not null,
    name                varchar not null check (name <> ''),
    input_usd_per_mtok  double check (input_usd_per_mtok >= 0 and isfinite(input_usd_per_mtok)),
    output_usd_per_mtok double check (output_usd_per_mtok >= 0 and isfinite(output_usd_per_mtok)),
    as_of               varchar not null,
    source              varchar not null,   -- where the price is from
    primary key (benchmark, model),
    unique (benchmark, name)
);

create table prompts (
    benchmark       integer not null,
    prompt          integer not null,
    prompt_id       varchar not null check (prompt_id <> ''),
    text            varchar,
    text_sha256     varchar,                -- key into embeddings
    task            varchar not null,       -- '' = none
    family          varchar not null,       -- '' = none
    split           split not null,
    duplicate_group integer not null,       -- the same number for prompts with the same text
    primary key (benchmark, prompt),
    unique (benchmark, prompt_id),
    check ((text is null) = (text_sha256 is null))
);

create table outcomes (
    benchmark     integer not null,
    prompt        integer not null check (prompt >= 0),
    model         integer not null check (model >= 0),
    score         double not null check (score between 0 and 1),
    input_tokens  double check (input_tokens >= 0 and isfinite(input_tokens)),
    output_tokens double check (output_tokens >= 0 and isfinite(output_tokens)),
    cost_usd      double check (cost_usd >= 0 and isfinite(cost_usd)),
    primary key (benchmark, prompt, model)
);

create table embeddings (
    text_sha256 varchar not null,
    encoder     varchar not null,
    vector      float[] not null,
    primary key (text_sha256, encoder)
);

create table runs (
    run           integer primary key,
    run_id        varchar not null unique,  -- sha256 of benchmark, router, params, seed, fit_on and pool
    benchmark     integer not null,
    router        varchar not null,
    params        json not null,
    seed          bigint not null,
    fit_on        varchar,                  -- NULL = fitted on the train split of the benchmark itself
    pool          varchar[] not null,
    versions      json not null,
    data_hash     varchar not null,
    cost_unit_usd double not null check (cost_unit_usd > 0),
    best_single   varchar not null,
    metrics       json not null,
    created_at    timestamp not null
);

create table estimates (
    run          integer not null,
    split        varchar not null,          -- a split, or 'all'
    prompt       integer not null,
    model        integer not null,
    est_score    double not null check (isfinite(est_score)),
    est_cost_usd double not null check (est_cost_usd >= 0 and isfinite(est_cost_usd)),
    primary key (run, split, prompt, model)
);

create view results as
select b.name as benchmark, p.prompt_id, p.task, p.family, p.split, m.name as model,
       o.score, o.input_tokens, o.output_tokens, o.cost_usd
from outcomes o
join benchmarks b on b.benchmark = o.benchmark
join prompts p on p.benchmark = o.benchmark and p.prompt = o.prompt
join models m on m.benchmark = o.benchmark and m.model = o.model;
