"""A triaged list as one HTML file that needs nothing else: table, intervals, maps, method.

Scored rows -> maps -> page. Needs the extra `report`; only `libraries` and `maps` do without it.
"""
