"""The peers that do the work of ``benchmarks.flights`` into PostgreSQL, one file each, in the environments they have.

A module has ``NAME``, for the table of results, ``PACKAGE``, the distribution, ``TABLE``, where the rows are then, and
``load``, which takes the CSV file, the URL of the database and a folder for the rejects, and returns how many rejects
it kept. Each is written as one who knows the peer would write it, and has to leave the rows that everyone leaves.
"""
