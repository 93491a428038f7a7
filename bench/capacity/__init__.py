"""How many requests a second, or how many cameras, this machine holds within a limit: arrivals, instances, capacity.

`arrivals` plans when requests are due; `station` runs instances of a model that serve them (`instance` is the process);
`queueing` computes what waits, `estimate` what that says of a rate; `searching` finds the best setup and its
capacity, `lasting` whether it stays.
"""

from bench.capacity.searching import search
from bench.capacity.station import Target

__all__ = ["Target", "search"]
