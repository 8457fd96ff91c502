-- What a benchmark is: one row of `benchmarks`, its models, prompts and outcomes. Written once, at the import.
-- Prompts and models are numbered in the order of their ids and names, so that a table of outcomes is read
-- straight into its rows and columns; the view `results` has the names. NULL = not recorded. Times are UTC.

create table schema_version (
    version integer not null
);

create type split as enum ('train', 'validation', 'test');

create table benchmarks (
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
    model               integer not null,
    name                varchar not null check (name <> ''),
    input_usd_per_mtok  double check (input_usd_per_mtok >= 0 and isfinite(input_usd_per_mtok)),
    output_usd_per_mtok double check (output_usd_per_mtok >= 0 and isfinite(output_usd_per_mtok)),
    as_of               varchar not null,
    source              varchar not null,   -- where the price is from
    cached_input_usd_per_mtok double check (cached_input_usd_per_mtok >= 0 and isfinite(cached_input_usd_per_mtok)),
    reasoning_usd_per_mtok    double check (reasoning_usd_per_mtok >= 0 and isfinite(reasoning_usd_per_mtok)),
    cached_input_share  double check (cached_input_share between 0 and 1),   -- of the input, as recorded
    reasoning_share     double check (reasoning_share between 0 and 1),      -- of the output
    tiers               varchar,            -- JSON: prices from so many input tokens up (carrot_core.prices.Tier)
    provider            varchar,
    open_weights        boolean,
    release_date        varchar,            -- 2025, 2025-02 or 2025-02-06
    context_tokens      double,
    effort              varchar,
    base_model          varchar,
    primary key (model),
    unique (name)
);

create table prompts (
    prompt          integer not null,
    prompt_id       varchar not null check (prompt_id <> ''),
    text            varchar,                -- what is read: of a chat the last text of the user
    messages        varchar,                -- all messages of a chat, as JSON; NULL = no chat
    text_sha256     varchar,                -- key into embeddings, also of a text that is not here
    task            varchar not null,       -- '' = none
    family          varchar not null,       -- '' = none
    split           split not null,
    duplicate_group integer not null,       -- the same number for prompts with the same text
    primary key (prompt),
    unique (prompt_id),
    check (text is null or text_sha256 is not null)
);

-- One row per prompt and model, in their order: the writer checks this, since the index of a primary key would be
-- held in memory.
create table outcomes (
    prompt        integer not null check (prompt >= 0),
    model         integer not null check (model >= 0),
    score         double not null check (score between 0 and 1),
    input_tokens  double check (input_tokens >= 0 and isfinite(input_tokens)),
    output_tokens double check (output_tokens >= 0 and isfinite(output_tokens)),
    cost_usd      double check (cost_usd >= 0 and isfinite(cost_usd)),
    cached_input_tokens double check (cached_input_tokens >= 0 and isfinite(cached_input_tokens)), -- of input_tokens
    reasoning_tokens    double check (reasoning_tokens >= 0 and isfinite(reasoning_tokens)),       -- of output_tokens
    latency_s           double check (latency_s >= 0 and isfinite(latency_s)),
    time                varchar,            -- ISO 8601, UTC
    n_samples           integer not null default 1 check (n_samples >= 1),
    score_variance      double check (score_variance >= 0),                -- within the cell, unbiased; NULL = one sample
    cost_variance       double check (cost_variance >= 0)
);

-- Every run where some cell was run several times, else no row; `outcomes` then has the means of a cell's samples.
create table samples (
    prompt        integer not null check (prompt >= 0),
    model         integer not null check (model >= 0),
    sample        varchar not null,         -- tells the runs of a cell apart
    score         double not null check (score between 0 and 1),
    input_tokens  double check (input_tokens >= 0 and isfinite(input_tokens)),
    output_tokens double check (output_tokens >= 0 and isfinite(output_tokens)),
    cost_usd      double check (cost_usd >= 0 and isfinite(cost_usd)),
    cached_input_tokens double check (cached_input_tokens >= 0 and isfinite(cached_input_tokens)),
    reasoning_tokens    double check (reasoning_tokens >= 0 and isfinite(reasoning_tokens)),
    latency_s           double check (latency_s >= 0 and isfinite(latency_s)),
    time                varchar
);

create view results as
select b.name as benchmark, p.prompt_id, p.task, p.family, p.split, m.name as model,
       o.score, o.input_tokens, o.output_tokens, o.cost_usd
from outcomes o join prompts p using (prompt) join models m using (model) cross join benchmarks b;
