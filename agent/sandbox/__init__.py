"""A small Acusight platform with scripted faults: quick start, opponent of the tests, trial ground.

A request passes `wire` (the connection) → `gate` (faults, counts) → `device` (the API) → `store` (the folder);
`desk` and `page` show what arrived. The daemon imports nothing from here.
"""
