-- One evaluated router: one row of `runs`, its estimates by split, and the fitted router where it was stored.

create table schema_version (
    version integer not null
);

create table runs (
    run_id        varchar not null,         -- sha256 of benchmark, router, params, seed, fit_on and pool
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
    split        varchar not null,          -- a split, or 'all'
    prompt       integer not null,
    model        integer not null,
    est_score    double not null check (isfinite(est_score)),
    est_cost_usd double not null check (est_cost_usd >= 0 and isfinite(est_cost_usd)),
    est_output_tokens double,               -- where some are free, so that dollars do not tell them
    primary key (split, prompt, model)
);

create table fitted_routers (              -- no row = only the estimates were stored
    router_json        varchar,
    router_safetensors blob
);
