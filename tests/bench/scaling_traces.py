"""The traces of the scaling bench, fixed before any of them was looked at: whoever changes one changes all figures.

Each is a list of options of `fcgipool simulate --generate KIND`. `clients` is the demand in workers (at its height, where
it varies), `service` the mean time of service and `start` the time until a worker accepts, in milliseconds.
"""

# What all of them run with; idle_timeout, spare and max_starting are left at their defaults.
SETTINGS = {"listen": "unix:/tmp/simulated.sock", "command": ["/bin/true"], "workers": {"min": 2, "max": 50}}

TRACES = [
    {"generate": "steps", "seed": 1, "seconds": 600, "clients": 40, "service": 500, "start": 50},
    {"generate": "steps", "seed": 2, "seconds": 600, "clients": 25, "service": 100, "start": 200},
    {"generate": "poisson", "seed": 3, "seconds": 600, "clients": 10, "service": 100, "start": 100},
    {"generate": "poisson", "seed": 4, "seconds": 600, "clients": 30, "service": 500, "start": 100},
    {"generate": "bursts", "seed": 5, "seconds": 600, "clients": 40, "service": 200, "start": 100},
    {"generate": "bursts", "seed": 6, "seconds": 600, "clients": 20, "service": 1000, "start": 100},
    {"generate": "diurnal", "seed": 7, "seconds": 3600, "clients": 40, "service": 200, "start": 100},
    {"generate": "diurnal", "seed": 8, "seconds": 1800, "clients": 20, "service": 50, "start": 100},
    {"generate": "heavy-tailed", "seed": 9, "seconds": 600, "clients": 15, "service": 200, "start": 100},
    {"generate": "heavy-tailed", "seed": 10, "seconds": 600, "clients": 30, "service": 50, "start": 100},
    {"generate": "slow-start", "seed": 11, "seconds": 600, "clients": 30, "service": 200, "start": 3000},
    {"generate": "slow-start", "seed": 12, "seconds": 600, "clients": 15, "service": 1000, "start": 5000},
]

SQUARE = {"generate": "square", "seed": 13, "seconds": 3600, "clients": 40, "service": 200, "start": 100}

RIVALS = ["fpm-dynamic", "fpm-ondemand", "uwsgi-spare", "uwsgi-busyness"]

# At equal or lower worker-seconds than the rival's, p99 of the waiting time is lower on so many of the traces.
TO_WIN = 10
# An hour of square wave starts at most so many times the workers of the ideal.
SQUARE_BOUND = 1.2

# fpm-dynamic tuned by hindsight: of these shares of max for (min_spare, max_spare) the pair that has the lowest p99 on
# the trace at no more worker-seconds than fcgipool.
TUNINGS = [(low, high) for low in (0.02, 0.1, 0.2, 0.3, 0.5) for high in (0.06, 0.2, 0.3, 0.4, 0.6, 0.8) if low < high]
